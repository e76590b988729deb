"""What the peer engines share: prompts rendered by the suite, and a worker that runs in the peer's own Python."""

from __future__ import annotations

from apr_leaderboard.engine.peers.engine import Peer, PeerEngine
from apr_leaderboard.engine.peers.rendering import Template, render_prompts, write_rendered

__all__ = ["Peer", "PeerEngine", "Template", "render_prompts", "write_rendered"]

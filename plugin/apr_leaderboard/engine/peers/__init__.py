"""What the peer engines share: prompts rendered by the suite, and a worker program that runs in the peer's own Python."""

from __future__ import annotations

from apr_leaderboard.engine.peers.rendering import Template, render_prompts, write_rendered

__all__ = ["Template", "render_prompts", "write_rendered"]

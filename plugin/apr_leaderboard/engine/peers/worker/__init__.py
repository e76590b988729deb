"""The program that runs inside a peer's own Python: torch and transformers, or llama-cpp-python.

It is started by the path of this folder, needs nothing of this package and no library beyond the peer's own, so it also
runs where only those are installed. Its modules import each other relatively.
"""

from __future__ import annotations

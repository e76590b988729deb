"""The program that compile writes: a decoder of its own in NumPy and the standard library, nothing else.

These files are copied into the archive as they stand and must run there without this package. Only `program_file`
imports them here, to hold them against the engine.
"""

from __future__ import annotations

__all__: list[str] = []

"""The command line of the program: `./model --prompt TEXT --max-tokens N`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

__all__ = ["main"]


def main(archive: Path) -> int:
    """Answer one prompt on stdout. Exit codes: 0 answered, 2 usage, 3 something it needs is not here."""
    parser = argparse.ArgumentParser(
        prog=archive.name, description="One language model in one file. Needs Python 3.11 or later, and NumPy."
    )
    parser.add_argument("--prompt", required=True, help="what to answer")
    parser.add_argument("--max-tokens", type=int, default=128, help="longest answer (default: 128)")
    parser.add_argument("--raw", action="store_true", help="continue the text, without the model's chat template")
    args = parser.parse_args()
    try:
        from .answer import Model
    except ImportError as error:
        sys.stderr.write(f"error: {error}: this program needs NumPy; get it with `pip install numpy`\n")
        return 3
    try:
        for piece in Model(archive).answer(args.prompt, args.max_tokens, raw=args.raw):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.buffer.write(b"\n")
    return 0

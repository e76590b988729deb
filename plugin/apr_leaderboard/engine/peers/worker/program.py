"""The worker's command line: `OP --model M --prompts P --max-tokens N ...`, or `OP --versions`.

stdout is JSON lines, `{"progress": ...}`, `{"completion": ...}` and last `{"record": {"figures": ...}}`; an error is
one line `error: ...` on stderr. Exit codes: 0 done, 2 usage, 3 a wrong input, 4 a library is missing, 5 refused,
8 failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .lines import Decoding, WorkerError, say

__all__ = ["OPS", "main"]

OPS = {"transformers": "torch_op", "llama_cpp": "llama_op"}
EXIT_MISSING = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Answer every prompt of a file and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    top = argparse.ArgumentParser(prog="worker", description="Answer prompts with a peer's own libraries.")
    top.add_argument("op", choices=sorted(OPS), help="which peer")
    op = top.parse_args(words[:1]).op
    try:
        module: Any = import_module(f"{__package__}.{OPS[op]}")
    except ImportError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_MISSING
    parser = argparse.ArgumentParser(prog=f"worker {op}", description=(module.__doc__ or "").partition("\n")[0])
    parser.add_argument("--versions", action="store_true", help="only say what answers would be made with")
    parser.add_argument("--model", type=Path, help="a .gguf file, or what else the peer reads")
    parser.add_argument("--prompts", type=Path, help="JSON lines of rendered prompts")
    parser.add_argument("--tokens", action="store_true", help="add the answer's token ids to each completion")
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--temperature", type=float, default=0.0, help="0: greedy")
    parser.add_argument("--top-k", type=int, default=0, help="0: no limit")
    parser.add_argument("--top-p", type=float, default=1.0)
    module.add_arguments(parser)
    args = parser.parse_args(words[1:])
    try:
        if args.versions:
            say("versions", module.versions(args))
            return 0
        if args.model is None or args.prompts is None:
            parser.error("--model and --prompts are needed")
        decoding = Decoding(args.max_tokens, args.temperature, args.top_k, args.top_p)
        say("record", {"figures": module.run(args, decoding)})
    except WorkerError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return error.code
    return 0

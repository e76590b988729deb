"""The most likely next tokens after given texts, by `apr` and by transformers, for texts where their answers part.

    python benchmarks/gpu/top5.py TEXTS.jsonl -o OUT.jsonl [--apr APR --gguf MODEL.gguf] [--hf FOLDER --dtype float32]

TEXTS.jsonl has `task_id` and `text` a line: the prompt as rendered with the answer up to where it parts. A line of
OUT.jsonl has for each program its best tokens with their logits or log-probabilities, as the program gives them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_SECONDS = 90
_BEST = 5


def by_apr(apr: str, model: Path, text: str) -> Any:
    """What `apr run --json --logprobs` says of the one token it adds."""
    argv = [apr, "run", str(model), "--prompt", text, "-n", "1", "--json", "--logprobs", str(_BEST)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return {"exit_code": done.returncode, "stdout": done.stdout[-800:], "stderr": done.stderr[-800:]}


def by_transformers(folder: Path, dtype: str, texts: list[str]) -> list[Any]:
    """Best ids, their words and logits, by one pass over each text."""
    import torch
    import transformers

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModelForCausalLM.from_pretrained(str(folder), dtype=getattr(torch, dtype))
    model = model.to(device).eval()
    found = []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids.to(device)
        with torch.inference_mode():
            logits = model(ids, logits_to_keep=1).logits[0, -1].float()
        values, best = logits.topk(_BEST)
        ids_found = best.tolist()
        words = [tokenizer.decode([one]) for one in ids_found]
        found.append({"n_ids": ids.shape[1], "ids": ids_found, "words": words, "logits": values.tolist()})
    return found


def main() -> int:
    """Ask whoever was named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("texts", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--apr")
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--hf", type=Path)
    parser.add_argument("--dtype", default="float32")
    args = parser.parse_args()
    lines = [json.loads(line) for line in args.texts.read_text(encoding="utf-8").split("\n") if line.strip()]
    theirs = by_transformers(args.hf, args.dtype, [line["text"] for line in lines]) if args.hf else None
    with args.out.open("w", encoding="utf-8") as out:
        for place, line in enumerate(lines):
            told = {"task_id": line["task_id"]}
            if args.apr and args.gguf:
                told["apr"] = by_apr(args.apr, args.gguf, line["text"])
            if theirs is not None:
                told["transformers"] = theirs[place]
            out.write(json.dumps(told) + "\n")
            out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

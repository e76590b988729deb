"""Where two engines' answers part, and what a third holds most probable there on either's reading of the prompt.

    PYTHON benchmarks/gpu/diverge.py MODEL.gguf PROMPTS.jsonl A.jsonl.gz B.jsonl.gz -o OUT.json --tasks T [T ...]
        [--apr APR]

PYTHON has llama-cpp-python. A is the answer file with token ids (transformers'), B the other (`apr`'s). For each task
llama.cpp reads the prompt as the suite tokenises it, then A's answer up to where B's text parts from it, and says its
best five next tokens with log-probabilities; with --apr, again with the prompt as `apr serve`'s /tokenize reads it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from answers import read_lines
from apr_serve import AprServer

_PEERS = Path(__file__).resolve().parents[2] / "plugin" / "apr_leaderboard" / "engine" / "peers"
_BEST = 5
_POSITIONS = 2048


class Oracle:
    """llama.cpp's best next tokens after given ids."""

    def __init__(self, model: Path) -> None:
        sys.path.insert(0, str(_PEERS))
        import llama_cpp
        from worker.llama_model import LlamaModel

        self._library = llama_cpp
        self.model: Any = LlamaModel(model, 1, _POSITIONS, 0)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(self.model.vocab)
        self._batch = llama_cpp.llama_batch_init(_POSITIONS, 0, 1)

    def best(self, ids: list[int]) -> list[tuple[int, str, float]]:
        """(id, text, log-probability) of the five most probable."""
        self._library.llama_memory_seq_rm(self.model.memory, 0, -1, -1)
        batch = self._batch
        batch.n_tokens = len(ids)
        for place, token in enumerate(ids):
            batch.token[place], batch.pos[place] = token, place
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
            batch.logits[place] = place == len(ids) - 1
        if self._library.llama_decode(self.model.ctx, batch) != 0:
            raise RuntimeError("llama_decode failed")
        raw = self._library.llama_get_logits_ith(self.model.ctx, len(ids) - 1)
        logits = np.ctypeslib.as_array(raw, shape=(self._vocabulary,)).astype(np.float64)
        chances = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
        order = [int(token) for token in np.argsort(-chances)[:_BEST]]
        return [(one, self.model.piece(one).decode("utf-8", "replace"), round(float(chances[one]), 3)) for one in order]


def part(pieces: list[bytes], other: bytes) -> int:
    """How many of the first answer's tokens the other's text begins with."""
    before = b""
    for count, piece in enumerate(pieces):
        before += piece
        if not other.startswith(before):
            return count
    return len(pieces)


def main() -> int:
    """Read, ask, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("model", "prompts", "first", "second"):
        parser.add_argument(name, type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument("--apr")
    args = parser.parse_args()
    prompts = {line["task_id"]: line for line in read_lines(args.prompts)}
    first, second = ({line["task_id"]: line for line in read_lines(file)} for file in (args.first, args.second))
    read = {task: prompts[task]["ids"] for task in args.tasks}
    theirs = _tokenised(args.apr, args.model, {task: prompts[task]["rendered"] for task in args.tasks})
    oracle, found = Oracle(args.model), []
    for task in args.tasks:
        tokens = first[task]["tokens"]
        pieces = [oracle.model.piece(token) for token in tokens]
        other = second[task]["answer"].encode()
        count = part(pieces, other)
        before = b"".join(pieces[:count])
        told: dict[str, Any] = {"task_id": task, "k": count, "before": before.decode("utf-8", "replace")[-40:]}
        told["apr_goes_on"] = other[len(before) :][:24].decode("utf-8", "replace")
        told["tf_token"] = pieces[count].decode("utf-8", "replace") if count < len(pieces) else ""
        told["suite_top5"] = oracle.best(read[task] + tokens[:count])
        if theirs:
            told["apr_top5"] = oracle.best(theirs[task] + tokens[:count])
        found.append(told)
    args.out.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0


def _tokenised(apr: str | None, model: Path, texts: dict[str, str]) -> dict[str, list[int]]:
    if apr is None:
        return {}
    with tempfile.TemporaryDirectory() as scratch, AprServer(apr, model, Path(scratch) / "log") as server:
        replies = {task: server.ask("POST", "/tokenize", {"text": text}, 60.0)[1] for task, text in texts.items()}
    return {task: [int(token) for token in reply["token_ids"]] for task, reply in replies.items()}


if __name__ == "__main__":
    sys.exit(main())

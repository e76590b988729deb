"""`apr data`: decontaminate, dedup, split and balance, against sets and counts."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.bench.contamination import ngrams
from apr_leaderboard.proof.differ.claims import ends, lines, says
from apr_leaderboard.proof.differ.operation import Axis, Operation, Trial

__all__ = ["DATASETS"]

_WORDS: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight")
_STRANGERS: Final = ("ash", "oak", "elm", "fir")
_GATE: Final = 0.01
"""`decontaminate` declines to pass a set with more than this share of contaminated rows, in its own words."""


def _rows(draw: random.Random, count: int, length: int, words: Sequence[str]) -> list[str]:
    return [" ".join(draw.choice(words) for _ in range(length)) for _ in range(count)]


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _decontaminate(values: Mapping[str, Any], folder: Path) -> Trial:
    draw = random.Random(values["seed"])
    rows = _rows(draw, values["rows"], values["length"], _WORDS[: values["words"]])
    strangers = values["planted"] == "nothing in common"
    known = _rows(draw, 2, values["length"], _STRANGERS if strangers else _WORDS[: values["words"]])
    if values["planted"] and not strangers:
        rows[-1] = known[0].upper() if values["planted"] == "in capitals" else known[0]
    _write(folder / "rows.jsonl", [{"text": row} for row in rows])
    _write(folder / "known.jsonl", [{"prompt": text} for text in known])
    n, threshold = values["ngram"], values["threshold"]
    seen = {gram for text in known for gram in ngrams(text, n)}
    flagged = 0
    for row in rows:
        grams = set(ngrams(row, n))
        flagged += bool(grams) and len(grams & seen) / len(grams) > threshold
    argv = ("data", "decontaminate", "rows.jsonl", "--reference", "known.jsonl", "--ngram", str(n))
    told = ", no word in common" if strangers else ""
    passes = flagged / len(rows) <= _GATE
    claims = (
        ends(1, "done" if passes else "refused", f"the gate{told}"),
        says(f"rows flagged{told}", "1.stdout", ["contaminated_count"], flagged),
        says("rows counted", "1.stdout", ["total_samples"], len(rows)),
    )
    return Trial(((*argv, "--threshold", str(threshold), "--json"),), claims)


def _dedup(values: Mapping[str, Any], folder: Path) -> Trial:
    draw = random.Random(values["seed"])
    rows: list[dict[str, Any]] = [{"text": text, "label": draw.randrange(2)} for text in
                                  _rows(draw, values["rows"], values["length"], _WORDS[: values["words"]])]  # fmt: skip
    if values["reordered"]:  # the same object, its keys written in another order
        rows.append(dict(reversed(rows[0].items())))
    _write(folder / "rows.jsonl", rows)
    kept = [row for place, row in enumerate(rows) if row not in rows[:place]]
    claims = (
        lines("each row once, in order", ["out.jsonl"], kept, ordered=True),
        says("rows removed", "1.stdout", ["removed"], len(rows) - len(kept)),
    )
    return Trial((("data", "dedup", "rows.jsonl", "-o", "out.jsonl", "--json"),), claims)


def _split(values: Mapping[str, Any], folder: Path) -> Trial:
    draw, count, classes = random.Random(values["seed"]), values["rows"], values["classes"]
    rows = [{"id": i, "input": f"row {i}", "label": i % classes} for i in range(count)]
    draw.shuffle(rows)
    _write(folder / "rows.jsonl", rows)
    train, val, test = values["shares"]
    argv = ("data", "split", "rows.jsonl", "--train", str(train), "--val", str(val), "--test", str(test))
    files = ["parts/train.jsonl", "parts/val.jsonl", "parts/test.jsonl"]
    claims = [lines("every row in one part", files, rows)]
    # Where each class divides evenly, the paper-and-pencil share is the only right one.
    each = count / classes
    if all(abs(each * share - round(each * share)) < 1e-9 and each * share > 0.5 for share in (train, val, test)):
        for part, share in zip(("train", "val", "test"), values["shares"], strict=True):
            wanted = round(count * share)
            claims.append(says(f"rows of {part}", "1.stdout", [part, "samples"], wanted))
    return Trial(((*argv, "--seed", str(values["seed"]), "-o", "parts", "--json"),), tuple(claims))


def _balance(values: Mapping[str, Any], folder: Path) -> Trial:
    counts = [values["first"], values["second"]]
    rows = [{"input": f"row {label} {i}", "label": label} for label, n in enumerate(counts) for i in range(n)]
    random.Random(values["seed"]).shuffle(rows)
    _write(folder / "rows.jsonl", rows)
    wanted = (max if values["strategy"] == "oversample" else min)(counts)
    argv = ("data", "balance", "rows.jsonl", "--strategy", values["strategy"], "--seed", str(values["seed"]))
    steps = ((*argv, "-o", "out.jsonl", "--json"), ("data", "audit", "out.jsonl", "--json"))
    claims = (
        says("rows after", "1.stdout", ["resampled_samples"], 2 * wanted),
        says("classes after", "2.stdout", ["class_distribution"], {"0": wanted, "1": wanted}),
    )
    return Trial(steps, claims)


_SEED: Final = Axis("seed", tuple(range(1, 41)))

DATASETS: Final = (
    Operation(
        "data-decontaminate",
        "a row is flagged where the share of its n-grams of words that the references hold is above the threshold",
        (_SEED, Axis("rows", (1, 2, 4)), Axis("length", (3, 4, 6, 12)), Axis("words", (8, 2, 4)),
         Axis("ngram", (2, 1, 3, 5)), Axis("threshold", (0.5, 0.25, 1.0)),
         Axis("planted", ("", "nothing in common", "as it is", "in capitals"))),
        _decontaminate,
    ),
    Operation(
        "data-dedup",
        "the first of equal rows stays; rows are equal as JSON objects are",
        (_SEED, Axis("rows", (1, 2, 4, 8, 32)), Axis("length", (1, 2)), Axis("words", (2, 4, 8)),
         Axis("reordered", (False, True))),
        _dedup,
    ),
    Operation(
        "data-split",
        "the parts are a partition of the rows, and hold their share of each class where it is a whole number",
        (_SEED, Axis("rows", (20, 2, 3, 5, 10, 40)), Axis("classes", (2, 1, 4)),
         Axis("shares", ((0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.6, 0.2, 0.2)))),
        _split,
    ),
    Operation(
        "data-balance",
        "every class has as many rows as the largest (oversample) or the smallest (undersample)",
        (_SEED, Axis("first", (1, 2, 5, 9)), Axis("second", (1, 2, 5, 9)),
         Axis("strategy", ("oversample", "undersample"))),
        _balance,
    ),
)  # fmt: skip

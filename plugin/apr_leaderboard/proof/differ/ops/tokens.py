"""`apr tokenize encode` and `import-hf`, against the tokenizers library."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.proof.differ.claims import says
from apr_leaderboard.proof.differ.operation import Axis, Operation, Trial
from apr_leaderboard.proof.differ.tiny import MARKS, MERGES, TinyModel

__all__ = ["TOKENS"]

_PIECES: Final = ("a", "b", "cd", "ab", "abcd", "er", " ", "the", "\n", "  ", MARKS[2], MARKS[1], "xyz", " th", "\n\n")
"""What drawn texts are strung together from; all of it is in the vocabulary."""


def _text(values: Mapping[str, Any]) -> str:
    """Of the first `alphabet` pieces."""
    draw = random.Random(values["text"])
    return "".join(draw.choice(_PIECES[: values["alphabet"]]) for _ in range(values["length"]))


def _encode(values: Mapping[str, Any], folder: Path) -> Trial:
    from apr_leaderboard.engine.reference.gguf_write import write_gguf
    from apr_leaderboard.engine.reference.tensors import HfFolder

    model, text = TinyModel(n_merges=values["merges"]), _text(values)
    source = str(model.write(folder / "m"))
    (folder / "text.txt").write_text(text, encoding="utf-8")
    steps: tuple[tuple[str, ...], ...] = ()
    if values["made_by"] == "reference":
        write_gguf(HfFolder(folder / "m"), folder / "m.gguf", "f32", "{}")
    else:
        export = ("export", "m.apr", "--format", "gguf", "-o", "m.gguf")
        steps = (("import", source, "-o", "m.apr"), export)
    out = f"{len(steps) + 1}.stdout"
    made = "a GGUF file of its own" if steps else "a GGUF file"
    claims = (says(f"token ids of {made}", out, ["ids"], model.encode(text)),)
    return Trial((*steps, ("tokenize", "encode", "m.gguf", "-f", "text.txt", "--json")), claims)


def _import_hf(values: Mapping[str, Any], folder: Path) -> Trial:
    model = TinyModel(n_merges=values["merges"], seed=values["seed"])
    model.write(folder / "m")
    vocabulary = {token: i for i, token in enumerate(model.tokens) if values["added"] or token not in MARKS}
    argv = ["tokenize", "import-hf", "--input", "m/tokenizer.json", "--output", "words", "--json"]
    claims = (
        says("vocabulary", "words/vocab.json", [], vocabulary),
        says("tokens counted", "1.stdout", ["effective_vocab_count"], len(vocabulary)),
        says("merges counted", "1.stdout", ["merges_count"], values["merges"]),
    )
    return Trial((tuple(argv + ["--include-added-tokens"] * values["added"]),), claims)


_MERGED: Final = Axis("merges", tuple(range(1, len(MERGES) + 1)))

TOKENS: Final = (
    Operation(
        "tokenize-encode",
        "the ids that the tokenizers library gives for tokenizer.json",
        (
            Axis("length", (1, 2, 3, 4, 6, 8, 12)),
            Axis("alphabet", tuple(range(2, len(_PIECES) + 1))),
            Axis("text", tuple(range(1, 41))),
            _MERGED,
            Axis("made_by", ("reference", "apr")),
        ),
        _encode,
    ),
    Operation(
        "tokenize-import-hf",
        "vocabulary and merges of tokenizer.json (the whole grid)",
        (_MERGED, Axis("added", (False, True)), Axis("seed", tuple(range(1, 18)))),
        _import_hf,
    ),
)

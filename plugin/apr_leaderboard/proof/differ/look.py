"""Holds what a program left against what was expected; Python's standard library alone, since reproducers carry it.

`python3 look.py expected.json FOLDER` prints each difference and ends with 1 where there is one, with 0 where there is
none. `expected.json` is {"claims": [...]}; a claim is an object with a `name`, a `kind` (a key of `KINDS`) and what
that kind needs. Commands left their output in FOLDER as `1.stdout`, `1.stderr`, `1.exit`, `2.stdout`, ...
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

try:
    from apr_leaderboard.proof.differ.modelfile import UnreadableError, read_model
except ImportError:  # beside a reproducer, where both lie in one folder
    from modelfile import UnreadableError, read_model  # type: ignore[import-not-found,no-redef]

__all__ = ["KINDS", "REFUSALS", "differences", "main"]

Claim = Mapping[str, Any]
Difference = dict[str, str]

REFUSALS = frozenset({1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15})
"""Exit codes by which the program declines in words; any other but 0 is a crash."""
_SHOWN = 200
_MOVED = 1e-6
_DIGITS = 1e-8
"""Expected values are written with nine digits, which is less than half a unit in the last place of a float32."""
_ERROR_LINE = re.compile(r"^error: (.+)$", re.MULTILINE)
_PANIC_LINE = re.compile(r"panicked at ([^\n]+:\d+):\d+:?\n(.+)")
_NAMES_AND_NUMBERS = re.compile(r"'[^']*'|\"[^\"]*\"|[\w./-]*/[\w./-]*|\d+(\.\d+)?%?")


def differences(folder: Path, claims: Sequence[Claim]) -> list[Difference]:
    """Each claim that does not hold: `claim`, `detail` (what kind of difference), `where`, `expected`, `got`.

    Where a command did not end as it should, nothing else is looked at: what it would have left is not there.
    """
    found = [one for claim in claims if claim["kind"] == "exit" for one in _exit(folder, claim)]
    if found:
        return found[:1]
    for claim in claims:
        if claim["kind"] != "exit":
            try:
                found += KINDS[claim["kind"]](folder, claim)
            except FileNotFoundError as error:
                found.append(_difference(claim, "no file", Path(str(error.filename)).name, "a file", "none"))
            except UnreadableError as error:
                where = claim.get("file") or " ".join(claim.get("files", ()))
                found.append(_difference(claim, "unreadable", where, "a whole file", str(error)))
    return found


def main(arguments: Sequence[str]) -> int:
    """Print the differences; 1 where there are any."""
    expected, folder = Path(arguments[0]), Path(arguments[1])
    found = differences(folder, json.loads(expected.read_text(encoding="utf-8"))["claims"])
    for one in found:
        print(f"{one['claim']}: {one['detail']} ({one['where']})")
        print(f"  expected {one['expected']}")
        print(f"  got      {one['got']}")
    print(f"{len(found)} differences" if found else "no difference")
    return 1 if found else 0


def _difference(claim: Claim, detail: str, where: str, expected: object, got: object) -> Difference:
    shown = [value if isinstance(value, str) else json.dumps(value) for value in (expected, got)]
    cut = [text if len(text) <= _SHOWN else text[: _SHOWN - 4] + " ..." for text in shown]
    return {"claim": claim["name"], "detail": detail, "where": where, "expected": cut[0], "got": cut[1]}


# -- how a command ended ----------------------------------------------------------------------------------------------


def _exit(folder: Path, claim: Claim) -> list[Difference]:
    step = claim["step"]
    code = int((folder / f"{step}.exit").read_text())
    got = "done" if code == 0 else "refused" if code in REFUSALS else "crashed"
    if got == claim["expect"]:
        return []
    words = _own_words((folder / f"{step}.stderr").read_text(errors="replace"))
    detail = got if got == "done" else f"{got}: {_NAMES_AND_NUMBERS.sub('_', words)}"
    return [_difference(claim, detail[:160], f"command {step}", claim["expect"], f"exit code {code}: {words}")]


def _own_words(stderr: str) -> str:
    panic = _PANIC_LINE.search(stderr)
    if panic:
        return f"panic at {panic[1].rsplit('/', 1)[-1]}: {panic[2]}"
    errors = _ERROR_LINE.findall(stderr)
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return str(errors[-1]) if errors else (lines[-1] if lines else "nothing on stderr")


# -- files and figures ------------------------------------------------------------------------------------------------


def _format(folder: Path, claim: Claim) -> list[Difference]:
    got = read_model(folder / claim["file"]).kind
    if got == claim["expect"]:
        return []
    return [_difference(claim, f"{got} inside", claim["file"], claim["expect"], got)]


def _value(folder: Path, claim: Claim) -> list[Difference]:
    """One figure of a JSON document, or of a model file's metadata, at a path of keys; `within` is relative."""
    path = folder / claim["file"]
    document: Any
    if path.suffix in (".apr", ".gguf"):
        model = read_model(path)
        if f".{model.kind}" != path.suffix:  # which is told by the claim on the file's format
            return []
        document = model.metadata
    else:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UnreadableError(f"no JSON: {error}") from None
    for key in claim["at"]:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            document = None
    where = f"{claim['file']}: {'.'.join(map(str, claim['at']))}"
    if _same(document, claim["expect"], claim.get("within", 0.0)):
        return []
    detail = "not said" if document is None else "other value"
    return [_difference(claim, detail, where, claim["expect"], document)]


def _same(got: Any, expected: Any, within: float) -> bool:
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (got, expected))
    if numbers:
        return got == expected or math.isclose(got, expected, rel_tol=within, abs_tol=within * 1e-3)
    if isinstance(expected, list) and isinstance(got, list):
        return len(got) == len(expected) and all(_same(g, e, within) for g, e in zip(got, expected))
    return bool(got == expected)


def _lines(folder: Path, claim: Claim) -> list[Difference]:
    """The JSON lines of one file or of several together; in any order unless `ordered`."""
    got = []
    for file in claim["files"]:
        try:
            text = (folder / file).read_text(encoding="utf-8")
            got += [json.dumps(json.loads(line), sort_keys=True) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise UnreadableError(f"{file}: no JSON lines: {error}") from None
    expected = [json.dumps(line, sort_keys=True) for line in claim["expect"]]
    if not claim.get("ordered", False):
        got, expected = sorted(got), sorted(expected)
    if got == expected:
        return []
    detail = "lines missing" if len(got) < len(expected) else "lines added" if len(got) > len(expected) else "others"
    return [_difference(claim, detail, " ".join(claim["files"]), expected, got)]


def _at_most(folder: Path, claim: Claim) -> list[Difference]:
    """Bytes of the named tensors together."""
    tensors = read_model(folder / claim["file"]).tensors
    size = sum(tensors[name].size for name in claim["names"] if name in tensors)
    if size <= claim["expect"]:
        return []
    return [_difference(claim, "larger", claim["file"], f"at most {claim['expect']} bytes of tensors", f"{size} bytes")]


def _whole(folder: Path, claim: Claim) -> list[Difference]:
    """Every tensor of floats has the bytes that its shape takes."""
    for name, tensor in read_model(folder / claim["file"]).tensors.items():
        each = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8}.get(tensor.dtype)
        due = math.prod(tensor.shape) * (each or 0)
        if each is not None and tensor.size != due:
            shown = f"{tensor.dtype} {list(tensor.shape)}"
            detail = "no bytes" if tensor.size == 0 else "other size"
            return [
                _difference(claim, detail, f"{claim['file']}: {name}, {shown}", f"{due} bytes", f"{tensor.size} bytes")
            ]
    return []


# -- tensors ----------------------------------------------------------------------------------------------------------


def _tensors(folder: Path, claim: Claim) -> list[Difference]:
    """Names, shapes and values; `within` is absolute, for all of a tensor. The first difference of each sort."""
    model = read_model(folder / claim["file"])
    expected: Mapping[str, Any] = claim["expect"]
    found: dict[str, Difference] = {}

    def note(detail: str, name: str, wanted: object, got: object) -> None:
        found.setdefault(detail, _difference(claim, detail, f"{claim['file']}: {name}", wanted, got))

    if claim.get("only", False):
        for name in model.tensors:
            if name not in expected and name not in claim.get("may", ()):
                note("tensor unexpected", name, "none of that name", "one")
    for name, wanted in expected.items():
        if name not in model.tensors:
            note("tensor missing", name, f"shape {wanted['shape']}", "none of that name")
        elif list(model.tensors[name].shape) != list(wanted["shape"]):
            note("other shape", name, wanted["shape"], list(model.tensors[name].shape))
        elif "values" in wanted:
            _compare(name, model.values(name), wanted, note)
    return list(found.values())


def _compare(name: str, got: Sequence[float], wanted: Claim, note: Callable[[str, str, object, object], None]) -> None:
    within = wanted.get("within", 0.0)
    left = list(range(len(got)))
    choices = [wanted["values"], *wanted.get("or", [])]
    for choice in choices:  # what is not finite is within no bound
        left = [at for at in left if not abs(got[at] - choice[at]) <= within + _DIGITS * abs(choice[at])]
    if not left:
        return
    at = left[0]
    detail = "other values" if all(math.isfinite(got[place]) for place in left) else "not finite"
    allowed = " or ".join(f"{choice[at]:.8g}" for choice in choices)
    note(detail, f"{name}[{at}]", f"{allowed} within {within:.3g}", f"{got[at]:.8g}; {len(left)} of {len(got)} differ")


def _zeros(folder: Path, claim: Claim) -> list[Difference]:
    """How many zeros each row of each named tensor holds, give or take `within`."""
    model = read_model(folder / claim["file"])
    for name, wanted in claim["expect"].items():
        if name not in model.tensors:
            return [_difference(claim, "tensor missing", name, "one", "none")]
        values, n_rows = model.values(name), len(wanted)
        width = len(values) // n_rows
        got = [sum(value == 0 for value in values[row * width : (row + 1) * width]) for row in range(n_rows)]
        if any(abs(g - w) > claim.get("within", 0) for g, w in zip(got, wanted)):
            return [_difference(claim, "other zeros", f"{claim['file']}: {name}", wanted, got)]
    return []


def _moved(folder: Path, claim: Claim) -> list[Difference]:
    """The share of all values that are not those of `base`, within the two bounds of `expect`."""
    model = read_model(folder / claim["file"])
    moved = total = 0
    for name, base in claim["base"].items():
        if name in model.tensors:
            moved += sum(abs(value - was) > _MOVED for value, was in zip(model.values(name), base))
            total += len(base)
    low, high = claim["expect"]
    share = moved / total if total else 0.0
    if low <= share <= high:
        return []
    detail = "too few" if share < low else "too many"
    return [_difference(claim, detail, claim["file"], f"{low:.3f} to {high:.3f} of {total} values", f"{share:.3f}")]


KINDS: dict[str, Callable[[Path, Claim], list[Difference]]] = {
    "exit": _exit,
    "format": _format,
    "value": _value,
    "lines": _lines,
    "at_most": _at_most,
    "tensors": _tensors,
    "whole": _whole,
    "zeros": _zeros,
    "moved": _moved,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

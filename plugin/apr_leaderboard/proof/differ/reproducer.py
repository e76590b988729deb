"""A difference as a folder that shows it: inputs, `run.sh`, what was expected, what came, and a page about it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shlex
import shutil
import tarfile
import textwrap
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.model.record import EngineIdentity
from apr_leaderboard.proof.differ.campaign import run_trial
from apr_leaderboard.proof.differ.operation import Operation, Trial
from apr_leaderboard.proof.differ.shrink import Group

__all__ = ["Reproducer", "slug_of", "write_reproducer"]

_LOOKERS: Final = ("look.py", "modelfile.py")
_SLUG_LENGTH: Final = 60


@dataclass(frozen=True)
class Reproducer:
    """Where it lies, and the line that a list of them shows."""

    folder: Path
    group: Group
    summary: str


def slug_of(signature: str) -> str:
    """A file name for a signature: its words, cut to length, with a digest where something was cut."""
    words = re.sub(r"[^a-z0-9]+", "-", signature.lower()).strip("-")
    if len(words) <= _SLUG_LENGTH:
        return words
    return f"{words[:_SLUG_LENGTH].rstrip('-')}-{hashlib.sha256(signature.encode()).hexdigest()[:4]}"


def write_reproducer(out: Path, operation: Operation, group: Group, binary: Path, engine: EngineIdentity) -> Reproducer:
    """Write OUT/slug anew: `inputs/`, `run.sh`, `expected.json`, `got.txt`, `REPORT.md`."""
    folder = out / slug_of(group.signature)
    if folder.exists():
        shutil.rmtree(folder)
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    values = operation.values(group.picks)
    trial = operation.build(values, inputs)
    claim = {"claims": _bearing_on(trial, group)}
    expected = json.dumps(claim, indent=1) + "\n"
    (folder / "expected.json").write_text(expected, encoding="utf-8")
    (folder / "run.sh").write_text(_script(trial, group, inputs, json.dumps(claim)), encoding="utf-8")
    (folder / "run.sh").chmod(0o755)
    page = _page(operation, group, trial, values, engine)
    (folder / "REPORT.md").write_text(page, encoding="utf-8")
    work = folder / "work"
    shutil.copytree(inputs, work)
    run_trial(binary, trial, work)
    (folder / "got.txt").write_text(_got(trial, group, work), encoding="utf-8")
    shutil.rmtree(work)
    return Reproducer(folder, group, f"{group.signature} ({group.cases} cases)")


def _bearing_on(trial: Trial, group: Group) -> list[dict[str, Any]]:
    """The claims of the group's name, and how the commands must end: another difference is another reproducer's."""
    return [c for c in trial.all_claims() if c["name"] == group.difference["claim"] or c["kind"] == "exit"]


def _commands(trial: Trial) -> list[str]:
    return [shlex.join(("apr", *arguments)) for arguments in trial.commands]


def _script(trial: Trial, group: Group, inputs: Path, expected: str) -> str:
    """A script that needs `apr` (or APR_BIN) and python3, and nothing beside itself."""
    steps = [
        f'"$apr" {shlex.join(arguments)} >{n}.stdout 2>{n}.stderr; echo $? >{n}.exit'
        for n, arguments in enumerate(trial.commands, 1)
    ]
    packed = "\n".join(textwrap.wrap(_packed(inputs, expected), 120))
    return f"""#!/bin/sh
# {group.signature}
# Ends with 1 where the difference is there, with 0 where it is gone, with 2 where it cannot be tried.
# Needs python3, and apr on PATH or named by APR_BIN. Works in a folder of its own under TMPDIR.
apr=$(command -v "${{APR_BIN:-apr}}") || {{ echo "got no apr; set APR_BIN or PATH" >&2; exit 2; }}
case $apr in /*) ;; *) apr=$PWD/$apr ;; esac
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
export HOME="$work"
# The inputs and the script that looks (a .tar.gz in base64; `tar tz` lists it).
python3 -c 'import base64,io,sys,tarfile
tarfile.open(fileobj=io.BytesIO(base64.b64decode(sys.stdin.read()))).extractall()' <<'INPUTS' || exit 2
{packed}
INPUTS
{chr(10).join(steps)}
python3 look/look.py look/expected.json .
"""


def _packed(inputs: Path, expected: str) -> str:
    """inputs/* and look/* as a .tar.gz in base64, the same for the same inputs."""
    files = {file.relative_to(inputs).as_posix(): file.read_bytes() for file in inputs.rglob("*") if file.is_file()}
    here = Path(__file__).parent
    files |= {f"look/{name}": (here / name).read_bytes() for name in _LOOKERS}
    files["look/expected.json"] = expected.encode()
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)  # a gzip member without a time
    return base64.b64encode(squeeze.compress(plain.getvalue()) + squeeze.flush()).decode()


def _got(trial: Trial, group: Group, work: Path) -> str:
    parts = [f"{group.difference['where']}: {group.difference['got']}", ""]
    for step, line in enumerate(_commands(trial), 1):
        parts.append(f"$ {line}")
        for stream in ("stdout", "stderr"):
            text = (work / f"{step}.{stream}").read_text(encoding="utf-8").strip().replace(str(work), ".")
            parts += [text] if text else []
        parts += [f"exit code {(work / f'{step}.exit').read_text()}", ""]
    return "\n".join(parts)


def _page(operation: Operation, group: Group, trial: Trial, values: dict[str, Any], engine: EngineIdentity) -> str:
    one = group.difference
    commands = "\n".join(_commands(trial))
    case = ", ".join(f"{name} {value}" for name, value in values.items())
    return f"""# {group.signature}

`apr` {engine.version}, found by `apr-leaderboard differ`. Seen in {group.cases} cases; the smallest, of
`{operation.name}`: {case}.

```sh
{commands}
```

| | |
|---|---|
| looked at | {_cell(one["where"])} |
| expected | {_cell(one["expected"])} |
| got | {_cell(one["got"])} |

The oracle: {operation.states}.

`run.sh` carries the inputs and shows it from an empty folder: it ends with 1 while the difference is there.
"""


def _cell(text: str) -> str:
    return "`" + text.replace("|", "\\|").replace("`", "'").replace("\n", " ") + "`"

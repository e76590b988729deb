"""The store on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from apr_leaderboard.cli import app, main
from apr_leaderboard.cli.figures import format_age, format_size, parse_size
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.record import EngineIdentity
from apr_leaderboard.store import Entry, Node, Store

ENGINE = EngineIdentity(name="apr", version="0.9", build="b")
NODES = [Node("import", {"quantization": "keep"}, {}, {}, ENGINE), Node("extract", {"strict": True})]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with two results whose maker is gone."""
    store = Store(tmp_path / "store")
    for node in NODES:
        store.compute(node, lambda out: (out / "f").write_bytes(b"x" * 1500) and {"m": 1})
    store.close()
    return store.root


def run(*args: str | Path) -> tuple[int, str]:
    """Exit code and output of one command within this process."""
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    return done.exit_code, done.stdout


def entry(root: Path, node: Node) -> Entry:
    """An entry that is there."""
    found = Store(root).peek(node)
    assert found is not None
    return found


def flip(root: Path, node: Node) -> None:
    """Change one byte of a result."""
    path = entry(root, node).file("f")
    path.chmod(0o644)
    path.write_bytes(b"y" + path.read_bytes()[1:])


def test_ls_says_what_each_result_is(root: Path) -> None:
    """One line each: key, operation, engine, size, use and parameters; then the sum."""
    code, out = run("store", "ls", "--store", root)
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["KEY", "OPERATION", "ENGINE", "SIZE", "USED", "PARAMETERS"]
    assert sorted(line.split()[:4] for line in lines[1:3]) == sorted(
        [[NODES[0].key[:12], "import", "apr", "0.9"], [NODES[1].key[:12], "extract", "-", "1.5"]]
    )
    assert "quantization=keep" in out
    assert "strict=true" in out
    assert lines[-1] == f"2 results, 3.0 kB in {root}"


def test_ls_op_lists_that_operation_only(root: Path) -> None:
    """--op narrows the list."""
    assert run("store", "ls", "--store", root, "--op", "extract")[1].count("extract") == 1
    assert "import" not in run("store", "ls", "--store", root, "--op", "extract")[1]


def test_ls_json_holds_everything(root: Path) -> None:
    """--json gives the manifests."""
    listed = {found["key"]: found for found in json.loads(run("store", "ls", "--store", root, "--json")[1])}
    found = listed[NODES[0].key]
    assert found["node"] == NODES[0].describe()
    assert found["digest"] == entry(root, NODES[0]).digest
    assert found["files"]["f"]["size"] == found["size"] == 1500


def test_ls_of_no_store_is_empty(tmp_path: Path) -> None:
    """A store nobody has used yet is empty, and asking does not make it."""
    assert run("store", "ls", "--store", tmp_path / "none") == (0, f"0 results, 0 B in {tmp_path / 'none'}\n")
    assert not (tmp_path / "none").exists()


def test_store_taken_from_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """APR_STORE names the store where --store does not."""
    monkeypatch.setenv("APR_STORE", str(root))
    assert run("store", "ls")[1].endswith(f"2 results, 3.0 kB in {root}\n")


def test_verify_intact_is_0(root: Path) -> None:
    """Nothing damaged: exit code 0."""
    assert run("store", "verify", "--store", root) == (0, "2 results read (3.0 kB intact): all intact\n")


@pytest.mark.parametrize("move", [(), ("--quarantine",)], ids=["leave", "quarantine"])
def test_verify_damaged_is_1_and_named(root: Path, move: tuple[str, ...]) -> None:
    """A damaged result is named with its file, and moved only when asked."""
    flip(root, NODES[1])
    code, out = run("store", "verify", "--store", root, *move)
    assert code == 1
    assert f"damaged: extract {NODES[1].key[:12]}: files/f content changed" in out
    assert out.endswith("2 results read (1.5 kB intact): 1 damaged\n")
    assert (Store(root).peek(NODES[1]) is None) == bool(move)


def test_verify_json_lists_the_damage(root: Path) -> None:
    """--json says the same to programs, with the same exit code."""
    flip(root, NODES[0])
    code, out = run("store", "verify", "--store", root, "--json")
    said = json.loads(out)
    assert (code, said["ok"], said["entries"]) == (1, False, 2)
    assert said["corruptions"][0]["key"] == NODES[0].key


def test_gc_dry_run_then_wet(root: Path) -> None:
    """A dry run says what would go; then it goes."""
    assert "would remove 2 results (3.0 kB)" in run("store", "gc", "--store", root, "--max-size", "0", "--dry-run")[1]
    assert run("store", "ls", "--store", root)[1].startswith("KEY")
    assert "removed 2 results (3.0 kB)" in run("store", "gc", "--store", root, "--max-size", "0")[1]
    assert run("store", "ls", "--store", root)[1].startswith("0 results")


def test_gc_json_lists_what_went(root: Path) -> None:
    """--json gives the report."""
    said = json.loads(run("store", "gc", "--store", root, "--max-size", "2k", "--json")[1])
    assert said["freed_bytes"] == 1500
    assert len(said["removed"]) == said["kept"] == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["store", "nonsense"], "No such command 'nonsense'"),
        (["store", "ls", "--nonsense"], "--nonsense"),
        (["store", "gc", "--keep-days", "soon"], "--keep-days"),
        (["store", "gc", "--keep-days", "-1"], "--keep-days"),
        (["store", "gc", "--max-size", "3Q"], "size '3Q'; allowed: a number with k, M, G or T"),
        (["store", "ls", "--store", __file__], "is a file; allowed: a folder"),
    ],
    ids=["command", "option", "days", "negative-days", "size", "file"],
)
def test_wrong_request_is_one_line_and_2(args: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be done as asked ends with one line on stderr."""
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("apr-leaderboard: ")
    assert said in err


@pytest.mark.parametrize("args", [[], ["store"]], ids=["root", "store"])
def test_no_command_shows_help(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command one sees what there is."""
    assert main(args) == 0
    assert "Commands" in capsys.readouterr().out


@pytest.mark.slow
def test_script_in_a_real_process(root: Path) -> None:
    """The installed script's way in: exit codes and streams as the shell sees them."""
    program = "import sys; from apr_leaderboard.cli import main; sys.exit(main())"
    env = {**os.environ, "APR_STORE": str(root)}

    def shell(*args: str) -> subprocess.CompletedProcess[Any]:
        return subprocess.run(
            [sys.executable, "-c", program, *args], capture_output=True, text=True, env=env, check=False
        )

    assert shell("--version").stdout.startswith("apr-leaderboard ")
    intact = shell("store", "verify")
    assert (intact.returncode, intact.stderr) == (0, "")
    flip(root, NODES[0])
    assert shell("store", "verify").returncode == 1
    assert shell("store", "gc", "--max-size", "x").returncode == 2


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("10", 10), ("1k", 1000), ("1.5 GB", 1_500_000_000), ("2MiB", 2 << 20), ("1Ti", 1 << 40), ("7B", 7)],
)
def test_size_is_read_as_written(text: str, size: int) -> None:
    """Decimal units by default, binary ones with an i."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1iB", "1 X", "1e9", "nan"])
def test_size_that_is_none_is_refused(text: str) -> None:
    """The message shows what is accepted."""
    with pytest.raises(RequestError, match="allowed: a number"):
        parse_size(text)


def test_figures_are_short() -> None:
    """Sizes and ages in the largest fitting unit."""
    assert [format_size(n) for n in (0, 999, 1000, 65e9, 5e15)] == ["0 B", "999 B", "1.0 kB", "65.0 GB", "5000.0 TB"]
    assert [format_age(n) for n in (-1, 59, 60, 7200, 259_200)] == ["0 s", "59 s", "1 min", "2 h", "3 d"]


def test_push_puts_there_what_is_missing(root: Path, tmp_path: Path) -> None:
    """The first push takes both results, the second none."""
    url = f"file://{tmp_path}/shared"
    assert run("store", "push", url, "--store", root) == (0, f"2 results pushed (3.0 kB), 0 there already: {url}\n")
    assert run("store", "push", url, "--store", root) == (0, f"0 results pushed (0 B), 2 there already: {url}\n")


def test_push_to_an_unknown_scheme_is_a_wrong_request(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 2."""
    assert main(["store", "push", "nosuch://b", "--store", str(root)]) == 2
    assert "accepted: a folder, or a URL" in capsys.readouterr().err

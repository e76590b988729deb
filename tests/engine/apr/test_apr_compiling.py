"""A program that compile leaves is asked on its own, and must answer as the model does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from apr_leaderboard.engine.apr import AprEngine
from apr_leaderboard.engine.jobs import Checkpoint, CompileJob
from apr_leaderboard.engine.protocol import ignore_progress
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.stage import CompileParams

_Fake = Callable[[str], Path]
_MODEL = Checkpoint(Path("/m/model.apr"), "apr")
_OWN = """if [ "$1" = run ]; then case "$3" in
  --prompt) printf '{"text": "own %s"}' "$4" ;; *) echo '{"text": "in a chat"}' ;; esac; exit 0; fi
"""
"""What the engine says to a prompt; anything but `run` goes on below."""


def _program(body: str) -> str:
    """Compiling that writes `body` as the program; $4 is where to."""
    return f"""{_OWN}cat > "$4" <<'END'
#!/bin/sh
{body}
END
chmod 755 "$4" """


def _compile(binary: Path, out: Path):  # type: ignore[no-untyped-def]
    return AprEngine(binary).run(CompileJob(_MODEL, CompileParams(strip=True)), out, ignore_progress)


def test_compile_argv_has_the_flags_that_are_set(fake_apr: _Fake) -> None:
    """release is the default; lto is not."""
    engine = AprEngine(fake_apr("exit 0"))
    argv = engine.command(CompileJob(_MODEL, CompileParams(output="coder", strip=True)), Path("/o"))
    assert argv[1:] == ("compile", "/m/model.apr", "-o", "/o/coder", "--release", "--strip", "--json")


def test_compile_of_a_program_that_answers_as_the_model_passes(fake_apr: _Fake, tmp_path: Path) -> None:
    """Asked without our environment, in a folder of its own."""
    out = tmp_path / "out"
    out.mkdir()
    record = _compile(fake_apr(_program('[ -z "$HOME" ] && [ "$(ls)" = model ] && echo "own $2"')), out)
    assert (record.checkpoint, record.format) == ("model", "program")
    assert (record.figures["runs_alone"], record.figures["n_answers_equal"]) == (True, 3)
    assert record.figures["size_bytes"] == (out / "model").stat().st_size


def test_compile_of_a_silent_program_is_not_a_model_that_failed_to_answer(fake_apr: _Fake, tmp_path: Path) -> None:
    """An error in place of an answer is no empty answer."""
    out = tmp_path / "out"
    out.mkdir()
    failing = _program("exit 0").replace('{"text": "in a chat"}', '{"task_id": "0", "error": "out of memory"}')
    with pytest.raises(EngineOutputError, match="answers every prompt with the same text: ''"):
        _compile(fake_apr(failing), out)


def test_compile_where_the_model_says_no_json_is_an_output_error(fake_apr: _Fake, tmp_path: Path) -> None:
    """There is nothing to hold the program to."""
    out = tmp_path / "out"
    out.mkdir()
    failing = _program("exit 0").replace('{"text"', "{text").replace('{"text": "in a chat"}', "hello")
    with pytest.raises(EngineOutputError, match="the model answers no probe"):
        _compile(fake_apr(failing), out)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_program("echo hello"), "answers every prompt with the same text: 'hello' to .*; the model's own: .*'own def"),
        (_program('echo "other $2"'), "answers every prompt otherwise than the model"),
        (_program("exit 9"), "the program does not run alone: exit code 9 to 'hello'"),
        ("echo compiled", "left no program model"),
    ],
    ids=["ignores-the-prompt", "another-model", "does-not-run", "nothing-there"],
)
def test_compile_of_a_program_that_is_not_the_model_is_an_output_error(
    fake_apr: _Fake, tmp_path: Path, body: str, message: str
) -> None:
    """A file and a line of success are no program that answers."""
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(EngineOutputError, match=message):
        _compile(fake_apr(body), out)

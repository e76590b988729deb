"""`apr-leaderboard doctor`: what is there is found, what is not is said with what it would unlock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apr_leaderboard.cli import main

_APR = """#!/bin/sh
case "$1" in
  --version) echo "apr 9.9.9";;
  devices) echo '{"entries": [{"kind": "cpu", "status": {"state": "ready"}},
           {"kind": "cuda", "status": {"state": "unavailable", "reason": "no driver"}}]}';;
esac
"""


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No programs, no hub, no token."""
    (tmp_path / "bin").mkdir()
    for name in ("sh", "bash", "cat"):
        (tmp_path / "bin" / name).symlink_to(Path("/bin") / name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("APR_TEST_BROWSER", raising=False)
    monkeypatch.delenv("APR_BIN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


def _seen(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, object]]:
    assert main(["doctor", "--json", *words]) == 0
    return {one["name"]: one for one in json.loads(capsys.readouterr().out)}


def test_bare_machine_is_no_error_and_says_what_would_unlock_what(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each missing thing names what it is for; the exit code is 0."""
    seen = _seen(capsys, "--store", str(tmp_path / "store"))
    missing = {name for name, one in seen.items() if one["here"] is False}
    assert missing >= {"apr", "hub", "hub token", "GPU", "npm", "browser"}
    assert all(seen[name]["unlocks"] for name in missing)
    assert "cargo install apr-cli" in str(seen["apr"]["hint"])
    assert not (tmp_path / "store").exists()


def test_program_is_found_with_its_backends(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Version, digest, and each kind of device with its state."""
    program = tmp_path / "apr"
    program.write_text(_APR)
    program.chmod(0o755)
    seen = _seen(capsys, "--apr-bin", str(program))
    assert seen["apr"]["here"] is True
    assert "9.9.9" in str(seen["apr"]["found"])
    assert seen["apr on cpu"]["here"] is True
    assert seen["apr on cuda"]["found"] == "unavailable: no driver"


def test_token_is_never_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there, and that is all."""
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "set (not shown)" in text
    assert "hf_secret" not in text


def test_text_fits_one_screen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """At 120 columns."""
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["doctor"]) == 0
    assert len(capsys.readouterr().out.splitlines()) <= 50

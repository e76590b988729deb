"""`apr-leaderboard submit` over a real run of the reference engine: looked at, refused, uploaded, and nothing twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_upload_hub import UploadHub, serve_hub
from submission_made import TOKEN

pytestmark = pytest.mark.slow

_RECIPE = """\
schema: 1
name: recipe-z-submit
title: Finetune a little and write a submission
stages: [import, finetune, eval]
profiles:
  smoke:
    model: smoke
    benchmarks: [smoke]
    finetune: {method: lora, dataset: smoke-instruct, epochs: 1, learning_rate: 3e-3, max_seq_len: 192}
    eval: {max_tokens: 64}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """A project whose recipe ran, with its store and its report."""
    folder = tmp_path_factory.mktemp("submitting")
    (folder / "recipes").mkdir()
    for name in ("catalogue.yaml", "suites", "data"):
        (folder / "recipes" / name).symlink_to(project_root / "recipes" / name)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "recipes" / "recipe-z-submit.yaml").write_text(_RECIPE)
    command = "-p no:cacheprovider -p no:xdist -m recipe_z --apr-store=store --apr-report=out"
    words = [sys.executable, "-m", "pytest", *command.split()]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _submit(folder: Path, hub: UploadHub, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(folder / "hf")}
    environment |= {"HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    tool = Path(sys.executable).with_name("apr-leaderboard")
    return subprocess.run(
        [str(tool), "submit", "out", "--repo", "me/little", "--store", "store", *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_command_writes_compares_asks_uploads_and_then_has_nothing_to_do(run: Path) -> None:
    """A dry run by default; --upload with nobody to ask is refused; --yes uploads; the next finds all of it there."""
    with serve_hub() as hub:
        dry = _submit(run, hub)
        assert dry.returncode == 0, dry.stderr
        assert "dry run: submission is what --upload would send to me/little" in dry.stdout
        assert "weights        holds: " in dry.stdout
        unasked = _submit(run, hub, "--upload")
        assert (unasked.returncode, hub.repos) == (2, {})
        assert "nobody is there to be asked; accepted: --yes" in unasked.stderr
        sent = _submit(run, hub, "--upload", "--yes")
        assert f"uploaded: {hub.url}/me/little/commit/" in sent.stdout, sent.stderr
        assert hub.repos["me/little"] == {file.name: file.read_bytes() for file in (run / "submission").iterdir()}
        again = _submit(run, hub, "--upload", "--yes")
        assert "nothing to upload: me/little holds all of it" in again.stdout
        for done in (dry, unasked, sent, again):
            assert TOKEN not in done.stdout + done.stderr


def test_card_uploaded_is_the_one_a_reader_of_the_hub_understands(run: Path) -> None:
    """Its metadata can be read back, with the interval."""
    from huggingface_hub import ModelCard

    with serve_hub() as hub:
        _submit(run, hub)
    [result] = ModelCard.load(run / "submission" / "README.md").data.eval_results
    assert (result.dataset_name, result.metric_name, len(result.metric_args["interval"])) == ("smoke", "pass@1", 2)

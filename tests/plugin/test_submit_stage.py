"""The stage `submit` and the command: the same folder by both, and nothing uploaded by either unless said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_types import Project

_ENGINE = '''
import json, struct
from fake_engine import FakeEngine as _Fake

class FakeEngine(_Fake):
    """Leaves a SafeTensors file beside its skill, and exports."""

    def capabilities(self):
        return super().capabilities() | {"export"}

    def run(self, job, out, watch):
        record = super().run(job, out, watch)
        header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
        value = float("nan") if ["spoil", job.op] in self._orders() else 1.0
        data = struct.pack("<Q", len(header)) + header + struct.pack("<2f", value, 2.0)
        (out / "model" / "model.safetensors").write_bytes(data)
        (out / "model" / "config.json").write_text("{}")
        return record
'''


@pytest.fixture
def submitting(project: Project) -> Project:
    """The project with a recipe that ends with a submission, and an engine whose models are SafeTensors."""
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace("from fake_engine import FakeEngine", _ENGINE))
    recipe = project.path / "recipes" / "recipe-x-test.yaml"
    text = recipe.read_text().replace("stages: [import, finetune, eval]", "stages: [import, finetune, eval, submit]")
    recipe.write_text(text + "    submit: {repo: me/little}\n")
    return project


def test_submit_stage_writes_the_folder_and_uploads_nothing(submitting: Project) -> None:
    """Model, card and manifest in the store's place for them; the run says where."""
    result = submitting.run("-m", "recipe_x", "--apr-report=out")
    assert result.ret == 0
    folder = submitting.path / "store" / "submissions" / "recipe-x-test-reference-smoke"
    assert {file.name for file in folder.iterdir()} >= {"README.md", "apr-leaderboard.json", "model.safetensors"}
    assert "pass@1 | 100.0%" in (folder / "README.md").read_text()
    result.stdout.fnmatch_lines(["*submission to me/little written, not uploaded: *recipe-x-test-reference-smoke"])


@pytest.mark.slow
def test_submit_stage_fails_where_a_check_does(submitting: Project) -> None:
    """With the check's words; the folder is there to be looked at."""
    submitting.order("spoil export")
    result = submitting.run("-m", "recipe_x")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*weights: not finite: w*"])
    assert (submitting.path / "store" / "submissions" / "recipe-x-test-reference-smoke" / "README.md").is_file()


@pytest.mark.slow
def test_command_without_the_model_in_the_store_is_one_line(submitting: Project, tmp_path: Path) -> None:
    """The results alone are not enough to give a model away."""
    submitting.run("-m", "recipe_x", "--apr-report=out")
    tool = Path(sys.executable).with_name("apr-leaderboard")
    words = [str(tool), "submit", "out", "--store", str(tmp_path / "other")]
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        words, cwd=submitting.path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "does not hold its model; accepted: --store, or run the recipe again" in done.stderr
    assert done.stderr.count("\n") == 1

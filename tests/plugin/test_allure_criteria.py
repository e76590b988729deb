"""`-m acceptance --alluredir` in this very project: what Allure is told of criteria is what results.json says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

_STATUS = {"pass": "passed", "not-run": "skipped", "blocked": "skipped", "fail": "failed", "error": "broken"}


def _decided(root: Path, folder: Path, workers: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Allure's results and those of results.json, of three criteria that take seconds."""
    spread = ["-n", str(workers)] if workers else ["-p", "no:xdist"]
    command = ["-p", "no:cacheprovider", *spread, "-m", "acceptance and (ac_016 or ac_021 or ac_025)"]
    kept = [f"--apr-store={folder / 'store'}", f"--alluredir={folder / 'ar'}", f"--apr-report={folder / 'out'}"]
    words = [sys.executable, "-m", "pytest", *command, *kept]
    subprocess.run(words, cwd=root, check=True, capture_output=True, timeout=240)
    told = [json.loads(file.read_text()) for file in (folder / "ar").glob("*-result.json")]
    return told, json.loads((folder / "out" / "results.json").read_text())["criteria"]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_acceptance_run_is_told_to_allure_as_results_json_has_it(
    project_root: Path, tmp_path: Path, workers: int
) -> None:
    """One result a test of a criterion: status, deciding figure, claim as behaviour, category, no trace of a skip."""
    told, criteria = _decided(project_root, tmp_path, workers)
    assert Counter(one["outcome"] for one in criteria) == {"pass": 3, "not-run": 1}
    by_name = {body["fullName"]: body for body in told}
    assert len(by_name) == len(told) == len(criteria)
    for one in criteria:
        body = by_name[f"criteria::{one['criterion']}::{one['part']}"]
        labels = {label["name"]: label["value"] for label in body["labels"]}
        assert body["status"] == _STATUS[one["outcome"]]
        assert labels["feature"].startswith(f"{one['criterion']} ")
        assert labels["parentSuite"] == "criteria"
        bounds = [measure for measure in one["measures"] if measure["bound"]]
        assert all(bounds[0][key] in body["name"] for key in ("name", "bound") if bounds)
        shown = {parameter["name"] for parameter in body["parameters"]}
        assert {measure["name"] for measure in one["measures"]} <= shown
        if one["outcome"] == "not-run":
            assert labels["category"] == "not-run"
            assert body["statusDetails"] == {"message": f"not-run: {one['reason']}"}
    assert len({body["historyId"] for body in told}) == len(told)

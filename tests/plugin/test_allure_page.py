"""Allure's own HTML, built by its npm package and looked at in a browser: the counts on the page are results.json's.

APR_TEST_ALLURE names an `allure` program (3.x); else npm installs the pinned one into a temporary folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

_ALLURE = "allure@3.18.0"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def allure(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program; skips where it cannot be had."""
    named = os.environ.get("APR_TEST_ALLURE")
    if named:
        return named
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm, and APR_TEST_ALLURE is not set")
    place = tmp_path_factory.mktemp("npm")
    words = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(place), _ALLURE]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm could not install {_ALLURE}: {done.stderr.strip().splitlines()[-1:]}")
    return str(place / "node_modules" / ".bin" / "allure")


@pytest.fixture(scope="module")
def browser() -> str:
    """The program; skips where there is none."""
    found = os.environ.get("APR_TEST_BROWSER") or next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        pytest.skip("no browser: looked for APR_TEST_BROWSER, chromium, google-chrome")
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """A folder with results of two shards of one run, twelve right answers and four wrong, and each one's results.json."""
    folder = tmp_path_factory.mktemp("shards")
    (folder / "recipes").mkdir()
    for name in ("catalogue.yaml", "suites", "data"):
        (folder / "recipes" / name).symlink_to(project_root / "recipes" / name)
    (folder / "pytest.ini").write_text("[pytest]\n")
    rows = (project_root / "recipes" / "suites" / "smoke.jsonl").read_text().splitlines()
    with (folder / "samples.jsonl").open("w") as out:
        for number, row in enumerate(map(json.loads, rows)):
            text = row["canonical_solution"] if number < 12 else "    return 'no'\n"
            out.write(json.dumps({"task_id": row["task_id"], "completion": text}) + "\n")
    odd = " or ".join(f"smoke/{n}" for n in range(10, 16))
    for name, chosen in (("one", f"not ({odd})"), ("two", odd)):
        command = "-p no:cacheprovider -p no:xdist -m smoke --apr-completions=samples.jsonl --apr-store=store"
        words = [*command.split(), "-k", chosen, f"--alluredir={name}", f"--apr-report=report-{name}"]
        subprocess.run(
            [sys.executable, "-m", "pytest", *words], cwd=folder, check=True, capture_output=True, timeout=240
        )
    return folder


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """A folder with results of the project's own acceptance run of three criteria, and its results.json."""
    folder = tmp_path_factory.mktemp("decided")
    command = ["-p", "no:cacheprovider", "-p", "no:xdist", "-m", "acceptance and (ac_016 or ac_021 or ac_025)"]
    kept = [f"--apr-store={folder / 'store'}", f"--alluredir={folder / 'ar'}", f"--apr-report={folder / 'out'}"]
    words = [sys.executable, "-m", "pytest", *command, *kept]
    subprocess.run(words, cwd=project_root, check=True, capture_output=True, timeout=240)
    return folder


def _visible(browser: str, page: Path, scratch: Path) -> str:
    """The text of a page after its scripts ran."""
    words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    done = subprocess.run(
        [browser, *words, f"--user-data-dir={scratch}", page.as_uri()], capture_output=True, text=True, timeout=120
    )
    body = re.sub(r"<(script|style|svg)\b.*?</\1>", "", done.stdout, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_page_of_merged_shards_and_criteria_shows_the_counts_of_results_json(
    allure: str, browser: str, run: Path, decided: Path, tmp_path: Path
) -> None:
    """Solved and unsolved problems as judged, one score, criteria as decided, the categories, the environment."""
    judged = [
        problem["c"]
        for name in ("one", "two")
        for benchmark in json.loads((run / f"report-{name}" / "results.json").read_text())["benchmarks"]
        for problem in benchmark["problems"]
    ]
    criteria = json.loads((decided / "out" / "results.json").read_text())["criteria"]
    outcomes = Counter(one["outcome"] for one in criteria)
    assert (len(judged), outcomes) == (16, {"pass": 3, "not-run": 1})
    merged, html = tmp_path / "merged", tmp_path / "html"
    tool = Path(sys.executable).with_name("apr-leaderboard")
    words = ["allure", "merge", "--out", str(merged), str(run / "one"), str(run / "two"), str(decided / "ar")]
    subprocess.run([str(tool), *words], check=True, capture_output=True, timeout=60)
    build = [allure, "awesome", "--single-file", "-c", str(merged / "allurerc.json"), "-o", str(html), str(merged)]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True, timeout=240)
    text = _visible(browser, html / "index.html", tmp_path / "profile")
    solved, score = sum(1 for c in judged if c), 1
    assert f"Total {len(judged) + score + len(criteria)} " in text
    assert f"Failed {len(judged) - solved} " in text
    assert f"Passed {solved + score + outcomes['pass']} " in text
    assert f"Skipped {outcomes['not-run']} " in text
    assert "smoke/15: unsolved (wrong)" in text
    assert f" criteria {outcomes['pass']} {outcomes['not-run']} " in text  # their suite, folded, with its own counts
    assert "apr-leaderboard 0.1.0" in text

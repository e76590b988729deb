"""The documentation says what is: generated pages are current, options and commands exist, files in it are accepted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from apr_leaderboard.bench import load_suites
from apr_leaderboard.cli import main
from apr_leaderboard.model.recipe import load_recipe
from apr_leaderboard.options import OPTIONS

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def docs(project_root: Path) -> Path:
    """The folder of pages."""
    return project_root / "docs"


def _blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def test_generated_pages_are_current(project_root: Path) -> None:
    """`python .ci/make_reference.py` would change nothing."""
    words = [sys.executable, str(project_root / ".ci" / "make_reference.py"), "--check"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"run python .ci/make_reference.py: {done.stdout}{done.stderr}"


def test_every_page_is_in_the_navigation(docs: Path, project_root: Path) -> None:
    """And every entry is a page."""
    text = (project_root / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r": ([\w-]+\.md)$", text, re.MULTILINE))
    assert named == {page.name for page in docs.glob("*.md")}


def test_every_option_named_exists(docs: Path, project_root: Path) -> None:
    """In the README and in every page."""
    known = {option.flag for option in OPTIONS}
    for page in (project_root / "README.md", *docs.glob("*.md")):
        named = set(re.findall(r"--apr-[a-z][a-z-]*[a-z]", page.read_text(encoding="utf-8")))
        assert not (named - known - {"--apr-x"}), page.name


def test_every_command_shown_takes_its_options(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`apr-leaderboard COMMAND --option` in a console block is in that command's help."""
    shown = {
        line.removeprefix("$ apr-leaderboard ")
        for page in docs.glob("*.md")
        for block in _blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ apr-leaderboard ")
    }
    assert shown
    for line in sorted(shown):
        words = line.split()
        path = words[:2] if words[0] in ("allure", "models", "store") else words[:1]
        assert main([*path, "--help"]) == 0, line
        text = capsys.readouterr().out
        for option in re.findall(r"--[a-z-]+", line):
            assert option in text, line


def test_every_test_that_a_page_names_exists(docs: Path, project_root: Path) -> None:
    """A row of docs/pains.md is worth what holds it; a name may end in `*`, or name a file."""
    files = list((project_root / "tests").rglob("test_*.py"))
    known = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)}
    known |= {file.stem for file in files}
    named = re.findall(r"\b(test_\w+)(\*?)", (docs / "pains.md").read_text())
    assert len(named) > 20
    assert [
        name for name, more in named if not any(one == name or (more and one.startswith(name)) for one in known)
    ] == []


def test_recipes_shown_are_accepted(docs: Path, tmp_path: Path) -> None:
    """A block that begins with the file's name is that file."""
    texts = [
        text for page in docs.glob("*.md") for text in _blocks(page, "yaml") if text.startswith("# recipes/recipe-")
    ]
    assert texts
    for text in texts:
        file = tmp_path / Path(text.splitlines()[0].removeprefix("# ")).name
        file.write_text(text, encoding="utf-8")
        load_recipe(file)


def test_suites_shown_are_accepted(docs: Path, tmp_path: Path) -> None:
    """The same for benchmarks, with the problem shown beside."""
    page = docs / "howto-benchmark.md"
    [suite] = _blocks(page, "yaml")
    [problem] = _blocks(page, "json")
    (tmp_path / "mine.yaml").write_text(suite, encoding="utf-8")
    (tmp_path / "mine.jsonl").write_text(problem, encoding="utf-8")
    [found] = load_suites(tmp_path)
    assert (found.name, found.n_problems) == ("mine", 1)


def test_workflow_shown_is_yaml(docs: Path) -> None:
    """With a step for each of its lines."""
    [workflow] = _blocks(docs / "howto-gate.md", "yaml")
    steps = yaml.safe_load(workflow)["jobs"]["score"]["steps"]
    assert any("pytest" in step.get("run", "") for step in steps)


@pytest.mark.slow
def test_site_builds_without_a_warning(project_root: Path, tmp_path: Path) -> None:
    """mkdocs --strict: a broken link or a page outside of the navigation fails it."""
    mkdocs = Path(sys.executable).with_name("mkdocs")
    if not mkdocs.is_file():
        pytest.skip("no mkdocs: pip install 'apr-leaderboard[docs]'")
    words = [str(mkdocs), "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(words, cwd=project_root, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "tutorial" / "index.html").is_file()

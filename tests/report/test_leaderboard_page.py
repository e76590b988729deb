"""The leaderboard's page: what it holds, and what a browser makes of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from browser import Browser, Page
from recorded import Recorder, verdicts_of

from apr_leaderboard.cli import main


@pytest.fixture
def page(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> Path:
    """Four runs on two engines and three models, as a page in the reports' folder."""
    recorder.run("a1", recorder.evaluation(verdicts_of(80, 164)), day=1)
    recorder.run("a2", recorder.evaluation(verdicts_of(96, 164)), day=2)
    recorder.run("b", recorder.evaluation(verdicts_of(60, 164), engine="apr"), day=3)
    bigger = "qwen2.5-coder-1.5b-instruct-q4_k_m"
    recorder.run(
        "c",
        recorder.evaluation(verdicts_of(115, 164), model=bigger),
        recorder.evaluation(verdicts_of(300, 500), model=bigger, benchmark="mbpp"),
        day=4,
    )
    recorder.run("d", recorder.evaluation(verdicts_of(3, 16), model="<b>&x", benchmark="smoke"), day=5)
    assert main(["leaderboard", "--reports", str(recorder.root)]) == 0
    assert "3 rows, 4 columns, from 5 runs" in capsys.readouterr().out
    return recorder.root / "leaderboard.html"


def _shown(page: Page) -> list[str]:
    """The models of the rows that show."""
    return [has["data-search"].split(" ")[0] for has in page.all("tr") if "data-search" in has and "hidden" not in has]


def test_page_loads_nothing_from_elsewhere(page: Path) -> None:
    """No script, style, picture or font by address; a policy says so to the browser as well."""
    text = page.read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?:https?:|//|data:)""", text)
    assert "@import" not in text
    assert "url(" not in text
    assert "default-src 'none'" in text


def test_every_rate_links_to_a_file_that_is_there(page: Path) -> None:
    """Each cell's evidence, relative to the page; anchors lead to details on the page itself."""
    parsed = Page(page.read_text())
    links = [has["href"] for has in parsed.all("a")]
    files = [link for link in links if not link.startswith("#")]
    assert sum("/verdicts/" in link for link in files) >= 5
    assert all((page.parent / unquote(link)).is_file() for link in files)
    anchors = {link[1:] for link in links if link.startswith("#")}
    assert anchors == {has["id"] for has in parsed.all("details")}


def test_same_runs_give_the_same_page(page: Path, recorder: Recorder) -> None:
    """No time of day, no order of the file system."""
    first = page.read_bytes()
    assert main(["leaderboard", "--reports", str(recorder.root)]) == 0
    assert page.read_bytes() == first


def test_hostile_names_stay_text(page: Path) -> None:
    """A model called as if it were a tag is shown as it is called."""
    assert "<b>&x" not in page.read_text()
    assert "&lt;b&gt;&amp;x" in page.read_text()


def test_browser_runs_the_page_without_complaint(page: Path, browser: Browser) -> None:
    """Its own policy refuses nothing of it, and all rows show."""
    assert browser.log(page) == ""
    opened = browser.open(page)
    assert opened.text_of("count") == "3 of 3 rows"
    assert len(_shown(opened)) == 3


def test_filters_leave_what_fits(page: Path, browser: Browser) -> None:
    """By words, by benchmark and engine, by verdict; the choice is in the address."""
    assert _shown(browser.open(page, "#?search=1.5b")) == ["qwen2.5-coder-1.5b-instruct-q4_k_m"]
    opened = browser.open(page, "#?engine=apr")
    assert _shown(opened) == ["qwen2.5-coder-0.5b-instruct-q4_k_m"]
    heads = [has["data-engine"] for has in opened.all("th") if "data-engine" in has and "hidden" not in has]
    assert heads == ["apr"]
    assert _shown(browser.open(page, "#?verdict=differs")) == ["qwen2.5-coder-0.5b-instruct-q4_k_m"]
    assert _shown(browser.open(page, "#?benchmark=mbpp")) == ["qwen2.5-coder-1.5b-instruct-q4_k_m"]


def test_sorting_puts_the_unmeasured_last_either_way(page: Path, browser: Browser) -> None:
    """Up and down by HumanEval on the reference engine."""
    up = _shown(browser.open(page, "#?sort=humaneval/reference"))
    down = _shown(browser.open(page, "#?sort=-humaneval/reference"))
    assert up[:2] == down[:2][::-1]
    assert up[-1] == down[-1] == "<b>&x"


def test_page_on_a_phone_is_no_wider_than_the_phone(page: Path, browser: Browser, tmp_path: Path) -> None:
    """At 390 pixels nothing has to be pushed sideways, measured in a frame of that width."""
    copy = tmp_path / "probe.html"
    # A headless window has a least width; a frame of the phone's width has not.
    (tmp_path / "inner.html").write_text(page.read_text())
    copy.write_text(
        '<iframe id="f" src="inner.html" style="width:390px;height:800px;border:0"></iframe><p id="got"></p>'
        "<script>f.onload = () => { got.textContent = f.contentWindow.innerWidth + '/' + "
        "f.contentDocument.documentElement.scrollWidth; };</script>"
    )
    assert browser.open(copy).text_of("got") == "390/390"


def test_printing_gives_a_pdf_with_the_table(page: Path, browser: Browser, tmp_path: Path) -> None:
    """The print style holds up: a document of some pages comes out."""
    out = browser.pdf(page, tmp_path / "page.pdf")
    assert out.read_bytes().startswith(b"%PDF-")
    assert out.stat().st_size > 10_000


def test_dark_and_light_differ(page: Path, browser: Browser, tmp_path: Path) -> None:
    """Each theme has a ground of its own."""
    light = browser.picture(page, tmp_path / "light.png", (600, 400)).read_bytes()
    dark = browser.picture(page, tmp_path / "dark.png", (600, 400), dark=True).read_bytes()
    assert light != dark


def test_board_is_printed_where_out_is_a_dash(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Markdown to standard output, with links from the reports' folder, and nothing else."""
    capsys.readouterr()
    assert main(["leaderboard", "--reports", str(page.parent), "--out", "-", "--format", "md"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("## ")
    assert "](a2/verdicts/" in told


def test_format_goes_by_the_files_name(page: Path, tmp_path: Path) -> None:
    """A .csv is CSV; links are relative to where it lies."""
    out = tmp_path / "elsewhere" / "board.csv"
    assert main(["leaderboard", "--reports", str(page.parent), "--out", str(out)]) == 0
    assert out.read_text().startswith("model,recipe,after,")
    assert "../reports/a2/verdicts/" in out.read_text()
    assert main(["leaderboard", "--reports", str(page.parent), "--out", str(out.with_suffix(".json"))]) == 0
    first = json.loads(out.with_suffix(".json").read_text())[0]
    assert (first["engine"], first["judged"], first["published_percent"]) == ("reference", 164, 70.7)


def test_place_that_cannot_be_written_is_one_line(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is a file."""
    assert main(["leaderboard", "--reports", str(page.parent), "--out", str(page / "x.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err

"""Submissions: the card, the checks, the folder, and the hub that is compared with and uploaded to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_upload_hub import UploadHub, serve_hub
from submission_made import TOKEN, made_submission, score, write_model

from apr_leaderboard.errors import RequestError, SourceUnavailableError
from apr_leaderboard.model.results import CriterionOutcome, CriterionResult
from apr_leaderboard.report.submission import (
    Check,
    Input,
    card_of,
    check_submission,
    compare_with_hub,
    upload,
    write_submission,
)

_PROBLEMS = {"humaneval": {"HumanEval/0": " ".join(f"word{n}" for n in range(30))}}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[UploadHub]:
    """A hub that takes uploads, and a token for it."""
    with serve_hub() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        # Its own client for large files is a binary that speaks no plain HTTP.
        monkeypatch.setattr("huggingface_hub._commit_api.is_xet_available", lambda: False)
        yield served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A submission as written."""
    out = tmp_path / "submission"
    write_submission(made_submission(), write_model(tmp_path / "model"), (Check("digest", True, "as told"),), out)
    return out


def test_card_metadata_holds_score_interval_and_dataset_revision() -> None:
    """The hub's own reader finds the result, its interval and the data's digest."""
    from huggingface_hub import ModelCard

    data = ModelCard(card_of(made_submission(), ())).data
    assert (data.license, data.library_name, data.model_name) == ("mit", "transformers", "little")
    [result] = data.eval_results
    assert (result.dataset_type, result.metric_name, result.metric_value) == ("openai/openai_humaneval", "pass@1", 75.0)
    assert result.dataset_revision == f"sha256:{'d' * 64}"
    low, high = result.metric_args["interval"]
    assert low < 75 < high
    assert result.metric_args["n_problems"] == 4


def test_card_tells_lineage_licences_and_checks() -> None:
    """For people: what it was before, each stage, each input with its licence, what was not measured."""
    text = card_of(made_submission(), (Check("parity", None, "nobody asked"),))
    assert "| humaneval | pass@1 | 75.0% |" in text
    assert "| 25.0% |" in text
    assert "| finetune | `bbbbbbbbbbbbbbbb` |" in text
    assert "| training data | smoke-instruct | MIT |" in text
    assert "| parity | not measured | nobody asked |" in text


def test_same_submission_gives_the_same_bytes(tmp_path: Path) -> None:
    """Written twice, into the same folder and into another."""
    model = write_model(tmp_path / "model")
    folders = [tmp_path / "one", tmp_path / "one", tmp_path / "two"]
    texts = []
    for out in folders:
        names = write_submission(made_submission(), model, (), out)
        texts.append([(name, (out / name).read_bytes()) for name in names])
    assert texts[0] == texts[1] == texts[2]
    assert [name for name, _ in texts[0]] == ["README.md", "apr-leaderboard.json", "config.json", "model.safetensors"]


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """Nothing of the user's is written over."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(RequestError, match="holds something else; accepted: a new or empty one"):
        write_submission(made_submission(), write_model(tmp_path / "model"), (), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def _outcomes(checks: tuple[Check, ...]) -> dict[str, bool | None]:
    return {check.name: check.holds for check in checks}


def test_checks_hold_for_a_clean_model(tmp_path: Path) -> None:
    """What could not be asked is not measured; the rest holds."""
    model = write_model(tmp_path / "model")
    assert _outcomes(check_submission(made_submission(), model, "b" * 64, ["other text"], _PROBLEMS)) == {
        "digest": True,
        "weights": True,
        "scores": True,
        "parity": None,
        "criteria": None,
        "contamination": True,
        "licences": True,
    }


@pytest.mark.parametrize(
    ("name", "value", "digest", "corpus", "changed"),
    [
        ("digest", 1.0, "f" * 64, [], {}),
        ("weights", float("nan"), "b" * 64, [], {}),
        ("scores", 1.0, "b" * 64, [], {"scores": (score(1).model_copy(update={"complete": False}),)}),
        ("contamination", 1.0, "b" * 64, list(_PROBLEMS["humaneval"].values()), {}),
    ],
)
def test_check_fails_when_its_property_is_broken(
    tmp_path: Path, name: str, value: float, digest: str, corpus: list[str], changed: dict[str, object]
) -> None:
    """Another checkpoint, a value that is no number, problems not judged, a problem in the training data."""
    model = write_model(tmp_path / "model", value)
    found = _outcomes(check_submission(made_submission(**changed), model, digest, corpus, _PROBLEMS))
    assert [one for one, holds in found.items() if holds is False] == [name]


@pytest.mark.parametrize(
    ("criterion", "red"), [("AC-014", {"parity", "criteria"}), ("AC-001", {"criteria"})], ids=["parity", "another"]
)
def test_failed_criterion_keeps_the_model_back(tmp_path: Path, criterion: str, red: set[str]) -> None:
    """AC-014 is the parity check as well."""
    failed = CriterionResult(
        criterion=criterion, part="test_it", engine="reference", model="smoke", profile="smoke",
        outcome=CriterionOutcome.FAIL, reason="7 % off",
    )  # fmt: skip
    submission = made_submission(criteria=(failed,))
    found = _outcomes(check_submission(submission, write_model(tmp_path / "m"), "b" * 64, None, {}))
    assert {one for one, holds in found.items() if holds is False} == red


def test_contamination_of_problems_too_short_to_say_is_not_measured(tmp_path: Path) -> None:
    """Below ten words there is no run of ten words to be found, copied or not."""
    short = {"mine": {"mine/0": "def f(): ..."}}
    found = check_submission(made_submission(), write_model(tmp_path / "m"), "b" * 64, ["def f(): ..."], short)
    assert [(check.holds, check.words) for check in found if check.name == "contamination"] == [
        (None, "no problem is as long as 10 words")
    ]


def test_unknown_licence_is_not_measured(tmp_path: Path) -> None:
    """Nobody says what may be done with it."""
    submission = made_submission(inputs=(Input("base model", "mine", "unknown"),))
    found = check_submission(submission, write_model(tmp_path / "m"), "b" * 64, None, {})
    assert [check.words for check in found if check.name == "licences"] == ["not known of: mine"]


def test_comparison_with_a_repository_that_is_not_there_is_all_new(hub: UploadHub, folder: Path) -> None:
    """Every file would be new; nothing is written by asking."""
    assert {one.state for one in compare_with_hub(folder, "me/little")} == {"new"}
    assert not any(call.startswith(("POST", "PUT")) for call in hub.calls)


@pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # of the hub's own client
def test_upload_then_comparison_is_all_same(hub: UploadHub, folder: Path) -> None:
    """The hub holds the very bytes, weights by large-file storage; the token went to it and is nowhere else."""
    address = upload(folder, "me/little", "recipe-x-test", private=False)
    assert address.endswith("c" * 40)
    assert hub.repos["me/little"] == {file.name: file.read_bytes() for file in folder.iterdir()}
    assert any(call.startswith("PUT /objects/") for call in hub.calls)
    assert {one.state for one in compare_with_hub(folder, "me/little")} == {"same"}
    assert f"Bearer {TOKEN}" in hub.tokens
    assert not any(TOKEN in file.read_text(errors="ignore") for file in folder.iterdir())


def test_changed_card_is_shown_line_by_line(hub: UploadHub, folder: Path) -> None:
    """Changed, only there, new: each is told; the card with its lines."""
    card = (folder / "README.md").read_bytes()
    hub.repos["me/little"] = {"README.md": card.replace(b"75.0%", b"50.0%"), "old.bin": b"x"}
    found = {one.name: one for one in compare_with_hub(folder, "me/little")}
    assert (found["README.md"].state, found["old.bin"].state, found["config.json"].state) == (
        "changed",
        "only there",
        "new",
    )
    assert any(line.startswith("+| humaneval | pass@1 | 75.0%") for line in found["README.md"].lines)


def test_upload_without_a_token_is_one_line(hub: UploadHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was looked for; nothing is asked of the hub."""
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(RequestError, match="no token for the hub"):
        upload(folder, "me/little", "x", private=False)
    assert hub.calls == []


def test_refused_upload_is_one_line_without_the_token(hub: UploadHub, folder: Path) -> None:
    """The hub's own words."""
    hub.refuses = True
    with pytest.raises(RequestError, match="me/little: the hub refuses: ") as caught:
        upload(folder, "me/little", "x", private=False)
    assert TOKEN not in str(caught.value)


def test_comparison_without_a_hub_is_unavailable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens: a trouble of its own kind, not an empty repository."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceUnavailableError, match=r"127\.0\.0\.1:9"):
        compare_with_hub(folder, "me/little")


def test_manifest_names_every_file_with_its_digest(folder: Path) -> None:
    """And says what was checked."""
    body = json.loads((folder / "apr-leaderboard.json").read_text())
    assert set(body["files"]) == {"config.json", "model.safetensors"}
    assert body["checks"] == [{"name": "digest", "outcome": "holds", "words": "as told"}]
    assert [one["stage"] for one in body["stages"]] == ["import", "finetune"]

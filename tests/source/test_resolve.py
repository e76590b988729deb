"""What may stand where a model is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.catalogue import Catalogue, load_catalogue
from apr_leaderboard.source import resolve_dataset, resolve_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The project's own."""
    return load_catalogue(ROOT / "recipes" / "catalogue.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "qwen2.5-coder-1.5b-instruct-q4_k_m",
        "hf://Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/q4_k_m",
        "hf://Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        "hf://Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF@main/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    ],
)
def test_every_way_to_name_a_known_model_is_its_entry(catalogue: Catalogue, text: str) -> None:
    """Name, ending, file and file at its revision are the same entry, with its other sources and digest."""
    assert resolve_model(text, catalogue) is catalogue.models["qwen2.5-coder-1.5b-instruct-q4_k_m"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("hf://someone/model@abc", "hf"),
        ("hf://someone/model/q8_0", "gguf"),
        ("hf://someone/model/m.apr", "apr"),
        ("pypi:some-model==1/x/m.gguf", "gguf"),
    ],
)
def test_unknown_address_becomes_an_entry_of_its_kind(catalogue: Catalogue, text: str, kind: str) -> None:
    """Nothing is claimed about it but where it is and what its name tells."""
    entry = resolve_model(text, catalogue)
    assert (entry.name, entry.format, entry.licence, entry.instruct) == (text, kind, "unknown", None)


def test_local_file_and_folder_are_models(catalogue: Catalogue, tmp_path: Path) -> None:
    """A .gguf or .apr file, or a folder with config.json."""
    (tmp_path / "m.gguf").touch()
    (tmp_path / "m.apr").touch()
    (tmp_path / "config.json").touch()
    assert resolve_model(str(tmp_path / "m.gguf"), catalogue).format == "gguf"
    assert resolve_model(str(tmp_path / "m.apr"), catalogue).format == "apr"
    assert resolve_model(str(tmp_path), catalogue).format == "hf"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("qwen2.5-coder-7", r"no such name \(did you mean qwen2.5-coder-7b"),
        ("Phi4", r"did you mean phi-4"),
        ("", "bad source ''"),
        ("zzz", "the catalogue has deepseek"),
        ("./absent.gguf", "no such file or folder; allowed: "),
        ("hf://datasets/o/n", "is a dataset"),
        ("hf://o/n/model.bin", "ends in '.bin'; allowed: .gguf, .apr"),
        ("made:other", "nothing of that name is made here; allowed: made:smoke"),
        ("https://x/y.gguf", "unknown kind of source 'https'"),
    ],
)
def test_wrong_model_is_one_line_with_what_is_allowed(catalogue: Catalogue, text: str, message: str) -> None:
    """A mistake is told with the nearest names and the accepted forms."""
    with pytest.raises(RequestError, match=message) as caught:
        resolve_model(text, catalogue)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("allowed: ") == 1


def test_folder_without_a_configuration_is_no_model(catalogue: Catalogue, tmp_path: Path) -> None:
    """An arbitrary folder is refused by what it lacks."""
    with pytest.raises(RequestError, match=r"holds no config\.json"):
        resolve_model(str(tmp_path), catalogue)


def test_dataset_is_a_name_or_a_path(catalogue: Catalogue, tmp_path: Path) -> None:
    """Catalogue names win; a path becomes an entry of its own."""
    path = tmp_path / "d.jsonl"
    path.touch()
    assert resolve_dataset("humaneval", catalogue) is catalogue.datasets["humaneval"]
    assert resolve_dataset(str(path), catalogue).format == "jsonl"
    with pytest.raises(RequestError, match=r"did you mean humaneval\?"):
        resolve_dataset("human_eval", catalogue)

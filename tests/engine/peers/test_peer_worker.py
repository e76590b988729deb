"""The worker's own parts that need no library, and, where the libraries are, the worker itself."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_leaderboard.engine.peers import engine as peer_engine
from apr_leaderboard.engine.peers.worker.lines import WorkerError, read_prompts
from apr_leaderboard.engine.peers.worker.program import main
from apr_leaderboard.engine.peers.worker.text import GrowingText, byte_alphabet, token_bytes

TORCH_PYTHON = os.environ.get("APR_TRANSFORMERS_PYTHON")
"""Read before the tests' environment is cleaned of everything that begins with APR_."""
WORKER = Path(peer_engine.__file__).with_name("worker")


@given(st.lists(st.text(alphabet="ab\né", max_size=4), max_size=12), st.lists(st.text("ab\né", min_size=1, max_size=3)))
def test_text_ends_before_the_first_stop_however_it_is_cut(parts: list[str], stops: list[str]) -> None:
    """Token borders do not matter: the text is what stands before the first stop string to be complete."""
    growing, fed = GrowingText(stops), ""
    ended = False
    for part in parts:
        fed += part
        ended = growing.add(part.encode())
        if ended:
            break
    places = [place for stop in stops if (place := fed.find(stop)) >= 0]
    assert ended == bool(places)
    assert growing.text() == (fed[: min(places)] if places else fed)


def test_text_leaves_out_an_unfinished_character() -> None:
    """Half an é is no character yet."""
    growing = GrowingText(())
    growing.add("aé".encode()[:-1])
    assert growing.text() == "a"


def test_byte_alphabet_is_that_of_the_tokenizers_library() -> None:
    """256 stand-ins, the library's."""
    from tokenizers import pre_tokenizers

    assert set(byte_alphabet()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_alphabet().values()) == list(range(256))


def test_token_bytes_tells_special_added_and_plain_apart() -> None:
    """A special token adds nothing, an added one its text, a plain one its bytes."""
    table = token_bytes({"Ġa": 0, "<|x|>": 1, "né": 2}, frozenset({1}), frozenset({1, 2}))
    assert table == [b" a", b"", "né".encode()]


@pytest.mark.parametrize("line", ["{", "[]", '{"task_id": "a"}', '{"task_id": "a", "rendered": "", "seed": "x"}'])
def test_prompt_file_broken_is_told_with_its_line(tmp_path: Path, line: str) -> None:
    """The number of the line, exit code 3."""
    file = tmp_path / "p.jsonl"
    file.write_text('{"task_id": "a", "rendered": "x"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(WorkerError, match=r"p\.jsonl:2: ") as told:
        read_prompts(file)
    assert told.value.code == 3


def test_worker_without_the_library_exits_4(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line on stderr names the module."""
    monkeypatch.setitem(__import__("sys").modules, "llama_cpp", None)
    assert main(["llama_cpp", "--versions"]) == 4
    assert capsys.readouterr().err.startswith("error: ")


_CHOICE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
from worker.lines import Decoding
from worker.torch_choice import choose
given = json.loads(sys.stdin.read())
found = []
for case in given["cases"]:
    logits = torch.tensor(given["logits"])
    found.append(choose(logits, Decoding(9, *case), given["seeds"], given["steps"]))
print(json.dumps(found))
"""


@pytest.mark.real_model
def test_torch_choice_draws_what_the_reference_engine_draws() -> None:
    """From equal logits, seeds and steps come equal tokens, for every kind of sampling."""
    import numpy as np

    from apr_leaderboard.engine.reference.sampling import sample_token
    from apr_leaderboard.model.generation import DecodeParams

    if not TORCH_PYTHON:
        pytest.skip("APR_TRANSFORMERS_PYTHON names no Python with torch")
    logits = np.random.Generator(np.random.Philox(3)).normal(0, 3, (24, 200)).astype(np.float32)
    seeds, steps = list(range(24)), [n % 5 for n in range(24)]
    cases = [(0.0, 0, 1.0), (0.8, 0, 1.0), (0.8, 7, 1.0), (1.3, 0, 0.9), (0.6, 20, 0.7)]
    given = json.dumps({"logits": logits.tolist(), "seeds": seeds, "steps": steps, "cases": cases})
    done = subprocess.run(
        [TORCH_PYTHON, "-c", _CHOICE, str(WORKER.parent)],
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    for (temperature, top_k, top_p), found in zip(cases, json.loads(done.stdout), strict=True):
        params = DecodeParams(temperature=temperature, top_k=top_k, top_p=top_p)
        assert found == [sample_token(row, params, *at) for row, *at in zip(logits, seeds, steps, strict=True)]

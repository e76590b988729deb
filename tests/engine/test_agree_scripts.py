"""The scripts that hold the reference engine beside others end with 1 where nothing was shown."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from refmodels import write_model


@pytest.fixture
def script(project_root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Those of benchmarks/, as `agree_greedy` and `agree_transformers` of one module."""
    folder, found = project_root / "benchmarks", ModuleType("scripts")
    monkeypatch.syspath_prepend(str(folder))
    for name in ("agree_greedy", "agree_transformers"):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        setattr(found, name, module)
    return found


@pytest.mark.parametrize("logit", ["nan", "1e9"])
def test_logits_that_are_no_numbers_are_no_agreement(
    script: ModuleType, logit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN is neither above a bound nor below it."""
    peer = tmp_path / "python"
    peer.write_text(
        f"#!{sys.executable}\nimport sys, numpy as np\ntokens = np.load(sys.argv[4])\n"
        f"np.save(sys.argv[5], np.full((*tokens.shape, 1), {logit!r}, np.float32))\n",
        encoding="utf-8",
    )
    peer.chmod(0o755)
    model = write_model(tmp_path / "model", "qwen2-tied")
    words = ["agree", "--model", str(model), "--torch-python", str(peer), "--length", "4"]
    monkeypatch.setattr(sys, "argv", words)
    assert script.agree_transformers.main() == 1


@pytest.mark.parametrize(("asked", "gap", "code"), [(0, 0.0, 1), (4, None, 0), (4, np.nan, 1)])
def test_greedy_agreement_of_nothing_is_none(
    script: ModuleType, asked: int, gap: float | None, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of no prompt, nor where a difference cannot be told from a near-tie."""
    module = script.agree_greedy
    requests = [SimpleNamespace(ids=(i,), prompt=SimpleNamespace(task_id=f"t/{i}")) for i in range(asked)]
    answers = {"answers": [{"tokens": [1]} for _ in requests]}

    def first_difference(model: object, ids: list[int], answer: object) -> object:
        return None if gap is None or ids != [0] else module.Difference(0, "a", "b", gap)

    monkeypatch.setattr(module, "load_model", lambda path: SimpleNamespace(config=SimpleNamespace(eos_ids=())))
    monkeypatch.setattr(module, "humaneval_prompts", lambda *_: [])
    monkeypatch.setattr(module, "make_requests", lambda *_: requests)
    monkeypatch.setattr(module, "ask_llama", lambda *_: answers)
    monkeypatch.setattr(module, "first_difference", first_difference)
    monkeypatch.setattr(sys, "argv", ["agree", "--model", "m.gguf", "--llama-python", "python"])
    assert module.main() == code

"""What every test of this suite gets."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

# Who only runs a recipe in this checkout loads this file too, and needs nothing of what tests need.
with contextlib.suppress(ModuleNotFoundError):
    from hypothesis import settings

    # On a busy machine any example may take long, and that says nothing of what is tested.
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")

_KEPT = ("APR_BIN", "APR_TEST_BROWSER", "APR_TEST_MBPP", "APR_TEST_MODELS")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of the user's settings or store reaches a test, and nothing of a test reaches them."""
    for name in list(os.environ):
        if (name.startswith("APR_") and name not in _KEPT) or name in ("PYTEST_ADDOPTS", "HF_TOKEN", "HF_ENDPOINT"):
            monkeypatch.delenv(name)
    # Where it is set, each of the hundreds of processes started here would compile all modules again, twice over for
    # pytest's, which rewrites their assertions.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[1]

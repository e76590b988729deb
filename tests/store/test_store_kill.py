"""SIGKILL, at every file operation and at random times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

KILLER = Path(__file__).with_name("store_killer.py")


@pytest.mark.slow
def test_store_killed_anywhere_leaves_nothing_half_and_resumes(tmp_path: Path) -> None:
    """After each kill every entry is whole, finished work is not repeated, and resuming gives the same digests."""
    # A kill loses no cache of the kernel, so memory shows the same as a disk, and some hundred fsyncs cost nothing.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as scratch:
        command = [sys.executable, str(KILLER), scratch, "7"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    trials = json.loads(done.stdout)
    assert trials["at_operations"] > 100
    assert trials["at_random"] >= 30

"""Logits of the reference engine against Hugging Face transformers' on any folder both can read.

    python benchmarks/agree_transformers.py --model FOLDER --torch-python PYTHON [--bound 1e-4]

Both read the same pseudo-random tokens in float32. Prints the largest difference; exit code 1 unless it is below the
bound.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

from apr_leaderboard.engine.reference.forward import forward
from apr_leaderboard.engine.reference.weights import load_hf

PEER = """
import sys, numpy as np, torch, transformers
folder, tokens, out = sys.argv[1:]
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
with torch.no_grad():
    np.save(out, model(torch.from_numpy(np.load(tokens))).logits.numpy())
"""


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="a folder in the Hugging Face layout")
    parser.add_argument("--torch-python", default=os.environ.get("TORCH_PYTHON"))
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--bound", type=float, default=1e-4)
    args = parser.parse_args()
    if not args.torch_python:
        parser.error("name a Python that has torch and transformers with --torch-python or TORCH_PYTHON")
    config, params = load_hf(args.model)
    tokens = np.random.Generator(np.random.Philox(5)).integers(0, config.vocab_size, (2, args.length))
    ours = np.asarray(jax.jit(forward, static_argnums=0)(config, params, tokens.astype(np.int32)))
    with tempfile.TemporaryDirectory() as scratch:
        given, got = Path(scratch) / "tokens.npy", Path(scratch) / "logits.npy"
        np.save(given, tokens)
        argv = [args.torch_python, "-c", PEER, str(args.model), str(given), str(got)]
        subprocess.run(argv, check=True, capture_output=True)
        theirs = np.load(got)
    worst = float(np.abs(ours - theirs).max())
    print(f"largest difference {worst:.2e} among {ours.size} logits of up to {np.abs(theirs).max():.2f}")
    return int(not worst < args.bound)  # so that NaN is no agreement


if __name__ == "__main__":
    sys.exit(main())

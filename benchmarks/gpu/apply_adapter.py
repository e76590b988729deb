"""Add a LoRA adapter that `apr finetune` wrote to a folder's weights: W + alpha/rank B A (Hu et al. 2021, section 4.1).

    python benchmarks/gpu/apply_adapter.py FOLDER ADAPTER.safetensors TARGET

FOLDER is what `dequantise.py` wrote. Beside the adapter lies the `metadata.json` that says alpha. Every pair must find
its matrix and hold numbers only, and something must change; the new folder appears whole or not at all. With
`--as-it-is` an adapter that holds NaN is added all the same, to see what a model makes of it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

_PAIR = re.compile(r"lora\.(?P<layer>\d+)\.(?P<target>\w+)\.lora_a")
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def main() -> int:
    """Read, add, write, say what changed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("source", "adapter", "target"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--as-it-is", action="store_true", help="add it even where it holds NaN or infinity")
    args = parser.parse_args()
    source, adapter, target = args.source, args.adapter, args.target
    alpha = float(json.loads(adapter.with_name("metadata.json").read_text(encoding="utf-8"))["lora_alpha"])
    pairs = load_file(str(adapter))
    changes = {}
    for name, a in pairs.items():
        if match := _PAIR.fullmatch(name):
            block = "self_attn" if match["target"] in _ATTENTION else "mlp"
            weight = f"model.layers.{match['layer']}.{block}.{match['target']}.weight"
            b = pairs[name.removesuffix("a") + "b"]
            changes[weight] = (alpha / a.shape[0]) * (b.float() @ a.float())
    # A maximum over changes would not show them: no comparison with NaN holds.
    broken = sorted(weight for weight, change in changes.items() if not torch.isfinite(change).all())
    if broken and not args.as_it_is:
        raise SystemExit(f"{adapter}: {len(broken)} of {len(changes)} changes hold NaN or infinity, e.g. {broken[0]}")
    unfinished = target.with_name(target.name + ".part")
    shutil.copytree(source, unfinished)
    largest, found = 0.0, set()
    for file in unfinished.glob("*.safetensors"):
        tensors = load_file(str(file))
        for weight in tensors.keys() & changes.keys():
            tensors[weight] = tensors[weight].float() + changes[weight]
            largest = max(largest, float(torch.nan_to_num(changes[weight]).abs().max()))
            found.add(weight)
        save_file(tensors, str(file), metadata={"format": "pt"})
    if missing := sorted(changes.keys() - found):
        raise SystemExit(f"{source}: no matrix for {len(missing)} of {len(changes)} pairs, e.g. {missing[0]}")
    if largest == 0.0 and not broken:
        raise SystemExit(f"{adapter}: would change nothing")
    unfinished.rename(target)
    print(f"{target}: {len(found)} matrices changed, by up to {largest:.3g}; {len(broken)} to NaN or infinity")
    return 0


if __name__ == "__main__":
    sys.exit(main())

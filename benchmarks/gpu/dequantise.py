"""Write a GGUF file's weights as transformers reads them, dequantised to float32, with tokenizer, into a folder.

    python benchmarks/gpu/dequantise.py MODEL.gguf FOLDER

Reading the folder takes seconds where reading the GGUF file takes a minute; the numbers are the same. The folder
appears whole or not at all.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
import transformers


def main() -> int:
    """Read, write, say how long it took."""
    source, target = map(Path, sys.argv[1:3])
    started = time.monotonic()
    place, name = str(source.parent), source.name
    tokenizer = transformers.AutoTokenizer.from_pretrained(place, gguf_file=name)
    model = transformers.AutoModelForCausalLM.from_pretrained(place, gguf_file=name, dtype=torch.float32)
    # The weights are plain floats now; what still calls them quantised would keep them from being written.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    unfinished = target.with_name(target.name + ".part")
    tokenizer.save_pretrained(str(unfinished))
    model.save_pretrained(str(unfinished))
    unfinished.rename(target)
    print(
        f"{target}: {sum(part.numel() for part in model.parameters())} parameters, {time.monotonic() - started:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

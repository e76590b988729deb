"""`transformers`: answer a file of prompts; `versions` says what it would be done with."""

from __future__ import annotations

import argparse
from typing import Any

import torch
import transformers

from .answering import Watch, positive, say_answers, tokenised_otherwise
from .lines import Decoding, read_prompts, say
from .torch_decode import TorchDecoder
from .torch_model import DTYPES, device_named, load_torch

__all__ = ["add_arguments", "run", "versions"]

_WARM_TOKENS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that only this peer has."""
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="float32", help="what the weights become")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: the GPU where there is one")
    parser.add_argument("--batch", type=positive, default=16, help="prompts answered together")


def versions(args: argparse.Namespace) -> dict[str, str]:
    """What decides the answers beside the weights."""
    device = device_named(args.device)
    return {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "dtype": args.dtype,
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else device,
        "batch": str(args.batch),
    }


def run(args: argparse.Namespace, decoding: Decoding) -> dict[str, Any]:
    """Load, answer, report; returns the figures."""
    prompts = read_prompts(args.prompts)
    device = device_named(args.device)
    # float32 is to be float32: without this, torch may multiply matrices in the GPU's shorter tf32.
    torch.backends.cuda.matmul.allow_tf32 = False
    say("progress", {"what": "loading the model", "done": 0, "total": None, "unit": "s", "note": ""})
    model = load_torch(args.model, args.dtype, device)
    pairs = [(prompt, model.encode(prompt)) for prompt in prompts]
    warm = Decoding(_WARM_TOKENS, decoding.temperature, decoding.top_k, decoding.top_p)
    for _ in TorchDecoder(model, warm, args.batch).run(pairs[: args.batch]):
        pass  # kernels are loaded and chosen the first time they are used
    decoder = TorchDecoder(model, decoding, args.batch)
    watch = Watch(len(prompts))
    answers = decoder.run(pairs, lambda times: watch.step(times.n_tokens, times.decode + times.prefill))
    seconds = say_answers(answers, watch, with_tokens=args.tokens)
    times = decoder.times
    return {
        "n_completions": watch.answered,
        "n_prompt_tokens_read": times.n_prompt,
        "n_tokens": times.n_tokens,
        "load_seconds": round(model.load_seconds, 3),
        "prefill_seconds": round(times.prefill, 3),
        "decode_seconds": round(times.decode, 3),
        "answer_seconds": round(seconds, 3),
        "tokens_per_second": round(times.n_tokens / seconds, 1),
        "n_tokenised_otherwise": tokenised_otherwise(pairs),
        "dtype": args.dtype,
        "batch": args.batch,
        "backend": "gpu" if device.startswith("cuda") else "cpu",
        **({"peak_device_bytes": torch.cuda.max_memory_allocated()} if device.startswith("cuda") else {}),
    }

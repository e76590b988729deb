"""`llama_cpp`: answer a file of prompts in parallel slots; `versions` says what it would be done with."""

from __future__ import annotations

import argparse
from typing import Any

import llama_cpp

from .answering import Watch, positive, say_answers, tokenised_otherwise
from .lines import Decoding, read_prompts, say
from .llama_decode import LlamaDecoder
from .llama_model import LlamaModel

__all__ = ["add_arguments", "run", "versions"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that only this peer has."""
    parser.add_argument("--slots", type=positive, default=8, help="prompts answered together")
    parser.add_argument("--room", type=positive, default=4096, help="positions of each slot")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as this process may use")


def versions(args: argparse.Namespace) -> dict[str, str]:
    """What decides the answers beside the weights. The system line names the CPU features of the build."""
    system = " ".join(llama_cpp.llama_print_system_info().decode().split())
    return {"llama-cpp-python": llama_cpp.__version__, "system": system, "slots": str(args.slots), "device": "cpu"}


def run(args: argparse.Namespace, decoding: Decoding) -> dict[str, Any]:
    """Load, answer, report; returns the figures."""
    prompts = read_prompts(args.prompts)
    say("progress", {"what": "loading the model", "done": 0, "total": None, "unit": "s", "note": ""})
    model = LlamaModel(args.model, args.slots, args.room, args.threads)
    pairs = [(prompt, model.encode(prompt)) for prompt in prompts]
    decoder = LlamaDecoder(model, decoding, args.slots)
    watch = Watch(len(prompts))
    answers = decoder.run(pairs, lambda times: watch.step(times.n_tokens, times.decode))
    seconds = say_answers(answers, watch, with_tokens=args.tokens)
    figures = {
        "n_completions": watch.answered,
        "n_prompt_tokens_read": decoder.times.n_prompt,
        "n_tokens": decoder.times.n_tokens,
        "load_seconds": round(model.load_seconds, 3),
        "answer_seconds": round(seconds, 3),
        "tokens_per_second": round(decoder.times.n_tokens / seconds, 1),
        "n_tokenised_otherwise": tokenised_otherwise(pairs),
        "slots": args.slots,
        "threads": model.threads,
        "backend": "cpu",
    }
    model.close()
    return figures

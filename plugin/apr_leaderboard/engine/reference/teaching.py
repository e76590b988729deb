"""Teachers: models whose answers or probabilities another model is trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from apr_leaderboard.engine.reference.decode import Decoder, DecodeTimes
from apr_leaderboard.engine.reference.jobs_generate import make_requests
from apr_leaderboard.engine.reference.loader import LoadedModel
from apr_leaderboard.engine.reference.pairs import Pair
from apr_leaderboard.engine.reference.tokenizer import TextCodec
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.generation import DecodeParams, FinishReason, Message, Prompt

__all__ = ["answers_of", "require_same_vocabulary"]


def require_same_vocabulary(student: TextCodec, teacher: TextCodec, name: Path) -> None:
    """Raises RequestError where one token stands for another text, or only one of the two has it."""
    own, other = (codec.tokenizer.get_vocab(with_added_tokens=True) for codec in (student, teacher))
    if own == other:
        return
    differing = len(set(own.items()) ^ set(other.items()))
    raise RequestError(
        f"{name}: its vocabulary is not the student's: got {len(other)} tokens beside {len(own)}, {differing} entries "
        "differ; accepted: a teacher with the same vocabulary, or mode text"
    )


def answers_of(
    teacher: LoadedModel, instructions: Sequence[str], max_tokens: int, tell: Callable[[int, int], None]
) -> list[Pair]:
    """The teacher's greedy answer to each instruction, through its own chat template, in the order asked.

    Left out: answers that did not end within `max_tokens`, and empty ones. `tell` hears answers done and all.
    """
    prompts = [
        Prompt(task_id=str(i), messages=(Message(role="user", content=text),)) for i, text in enumerate(instructions)
    ]
    found: dict[int, str] = {}
    done = 0

    def step(_: DecodeTimes) -> None:
        tell(done, len(prompts))

    decoder = Decoder(teacher, DecodeParams(max_tokens=max_tokens, temperature=0.0))
    for completion in decoder.run(make_requests(teacher, prompts), step):
        done += 1
        if completion.finish is FinishReason.STOP and completion.text:
            found[int(completion.task_id)] = completion.text
    return [Pair(instructions[i], found[i]) for i in sorted(found)]

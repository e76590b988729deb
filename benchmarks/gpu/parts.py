"""Ask in several runs what one run does not finish, and join the answers again.

    python benchmarks/gpu/parts.py split PROMPTS -o FOLDER [--lanes 6] [--answered ANSWERS ...]
    python benchmarks/gpu/parts.py join PROMPTS ANSWERS ... -o OUT.jsonl.gz [--whole-rounds]

`split` writes FOLDER/NAME-0.jsonl.gz and so on: the prompts that have no answer yet, dealt to lanes of equal work. All
first samples come before all second ones, so that a run cut short leaves whole rounds. `join` writes answers of several
runs in the prompts' order, as one run would have written them. ANSWERS are what run.py leaves, NAME.part.jsonl too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from answers import read_lines, write_answers

Key = tuple[str, int]


class PartsError(Exception):
    """Files that do not belong together, in one line."""


def split(prompts: Sequence[dict[str, Any]], answered: dict[Key, dict[str, Any]], lanes: int) -> list[list[Any]]:
    """The prompts without an answer, dealt to `lanes` lists, each next one to the list with the fewest tokens to come.

    A prompt counts with the mean tokens of its task's answers so far, one of a task without any with the mean of all.
    """
    places = {task: place for place, task in enumerate(dict.fromkeys(prompt["task_id"] for prompt in prompts))}
    left = [prompt for prompt in prompts if key_of(prompt) not in answered]
    left.sort(key=lambda prompt: (key_of(prompt)[1], places[prompt["task_id"]]))
    cost = _expected_tokens(answered.values())
    dealt: list[list[Any]] = [[] for _ in range(lanes)]
    loads = [0.0] * lanes
    for prompt in left:
        lane = loads.index(min(loads))
        dealt[lane].append(prompt)
        loads[lane] += cost(prompt["task_id"])
    return dealt


def whole_rounds(prompts: Iterable[dict[str, Any]], answered: dict[Key, dict[str, Any]]) -> dict[Key, dict[str, Any]]:
    """The answers without those of samples that some task does not have yet."""
    wanted: dict[int, set[str]] = defaultdict(set)
    for prompt in prompts:
        task, sample = key_of(prompt)
        wanted[sample].add(task)
    whole = {sample for sample, tasks in wanted.items() if all((task, sample) in answered for task in tasks)}
    return {key: answer for key, answer in answered.items() if key[1] in whole}


def gather(prompts: Iterable[dict[str, Any]], paths: Iterable[Path]) -> dict[Key, dict[str, Any]]:
    """The answers of several files by task and sample.

    Raises:
        PartsError: an answer is there twice, or to no prompt.
    """
    asked = {key_of(prompt) for prompt in prompts}
    found: dict[Key, dict[str, Any]] = {}
    source: dict[Key, Path] = {}
    for path in paths:
        for answer in _lines(path):
            key = key_of(answer)
            if key not in asked:
                raise PartsError(f"{path}: an answer to {_name(key)}, which is not among the prompts")
            if key in found:
                raise PartsError(f"{path}: an answer to {_name(key)}, which {source[key]} has as well")
            found[key], source[key] = answer, path
    return found


def key_of(line: dict[str, Any]) -> Key:
    """Task and sample of a prompt or an answer."""
    return line["task_id"], int(line.get("sample", 0))


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    if path.suffix == ".gz":
        return read_lines(path)
    # Of a run that was killed the last line may be there in part; it holds no answer then.
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].split("\n") if line.strip()]


def _expected_tokens(answers: Iterable[dict[str, Any]]) -> Any:
    tokens: dict[str, list[int]] = defaultdict(list)
    for answer in answers:
        if answer.get("n_tokens") is not None:
            tokens[answer["task_id"]].append(answer["n_tokens"])
    every = [count for counts in tokens.values() for count in counts]
    usual = sum(every) / len(every) if every else 1.0
    means = {task: sum(counts) / len(counts) for task, counts in tokens.items()}
    return lambda task: means.get(task, usual)


def _name(key: Key) -> str:
    return f"{key[0]}, sample {key[1]}"


def _at_least_one(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of at least 1")
    return int(text)


def _split(args: argparse.Namespace) -> None:
    prompts = list(read_lines(args.prompts))
    dealt = split(prompts, gather(prompts, args.answered), args.lanes)
    args.out.mkdir(parents=True, exist_ok=True)
    stem = args.prompts.name.partition(".jsonl")[0]
    for lane, part in enumerate(dealt):
        write_answers(args.out / f"{stem}-{lane}.jsonl.gz", part, part)
    print(f"{sum(map(len, dealt))} of {len(prompts)} prompts have no answer; in {len(dealt)} lanes under {args.out}")


def _join(args: argparse.Namespace) -> None:
    prompts = list(read_lines(args.prompts))
    found = gather(prompts, args.answers)
    kept = whole_rounds(prompts, found) if args.whole_rounds else found
    written = write_answers(args.out, prompts, kept.values())
    absent = [key for key in map(key_of, prompts) if key not in kept]
    more = f"; without {_name(absent[0])}, and {len(absent) - 1} more" if absent else ""
    print(f"{written} of {len(prompts)} answers in {args.out}{more}")


def main(argv: Sequence[str] | None = None) -> int:
    """Split or join; exit code 2 with one line where files do not belong together."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("split", help="the prompts without an answer, dealt to lanes")
    one.add_argument("prompts", type=Path)
    one.add_argument("-o", "--out", type=Path, required=True, help="folder")
    one.add_argument("--lanes", type=_at_least_one, default=1)
    one.add_argument("--answered", type=Path, nargs="*", default=[], help="answers there are already")
    one.set_defaults(do=_split)
    one = commands.add_parser("join", help="answers of several runs in the prompts' order")
    one.add_argument("prompts", type=Path)
    one.add_argument("answers", type=Path, nargs="+")
    one.add_argument("-o", "--out", type=Path, required=True, help="a .jsonl.gz file")
    one.add_argument("--whole-rounds", action="store_true", help="leave out samples that some task does not have yet")
    one.set_defaults(do=_join)
    args = parser.parse_args(argv)
    try:
        args.do(args)
    except (PartsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

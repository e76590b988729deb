"""An evaluation: one benchmark asked of one checkpoint (or of a file of completions), and how it is decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from apr_leaderboard.bench import (
    Benchmark,
    Collection,
    Problem,
    Profile,
    SampleFile,
    benchmark_named,
    load,
    load_collections,
    load_suites,
    profile_named,
    render,
    sample_seed,
    warnings_for,
)
from apr_leaderboard.engine.jobs import GenerateJob
from apr_leaderboard.engine.protocol import Engine
from apr_leaderboard.errors import RequestError, SourceUnavailableError
from apr_leaderboard.model.catalogue import DatasetEntry
from apr_leaderboard.model.generation import DecodeParams, Prompt
from apr_leaderboard.model.results import EvaluationInfo, GivenAnswers
from apr_leaderboard.pipeline.answers import AnswerSource, FileAnswers, GeneratedAnswers
from apr_leaderboard.pipeline.generation import GenerateStep, prompts_digest
from apr_leaderboard.pipeline.marks import mark_of
from apr_leaderboard.pipeline.origin import Sources
from apr_leaderboard.pipeline.settings import Stated
from apr_leaderboard.pipeline.steps import Upstream
from apr_leaderboard.source import fetch
from apr_leaderboard.store import Node

__all__ = ["Decoding", "Evaluation", "EvaluationMaker", "Subject"]


@dataclass(frozen=True)
class Decoding:
    """How answers are asked for. None: the benchmark's own."""

    profile: str | None = None
    samples: int = 1
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    max_tokens: int | None = None
    seed: int = 0
    draft_tokens: int = 0


@dataclass(frozen=True)
class Subject:
    """The checkpoint that is asked, and which of a recipe's it is."""

    name: str
    model: Upstream
    engine: Engine
    recipe: str | None = None
    after: str | None = None
    baseline: bool = False
    instruct: bool | None = None


@dataclass(frozen=True)
class Evaluation:
    """One benchmark on one model by one engine: its problems, and where its answers come from."""

    benchmark: Benchmark
    problems: tuple[Problem, ...]
    data_digest: str
    profile: Profile
    answers: AnswerSource
    model: str
    engine_name: str
    recipe: str | None = None
    after: str | None = None
    is_baseline: bool = False
    partial: bool = False
    decoding: dict[str, float | int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    completions: GivenAnswers | None = None

    @property
    def id(self) -> str:
        """As `EvaluationInfo.id`."""
        return self.info.id

    @property
    def title(self) -> str:
        """For people."""
        subject = f"{self.model} after {self.after}" if self.after else self.model
        return f"{self.benchmark.name} on {subject} by {self.engine_name}"

    @property
    def mark(self) -> str:
        """The pytest mark of its problems."""
        return mark_of(self.benchmark.name)

    @property
    def model_key(self) -> str:
        """What decides the weights: the digest or key of the checkpoint, or of the file of completions."""
        return self.answers.model_key

    @property
    def digests(self) -> dict[str, str]:
        """By name what the answers rest on: the model, or the file of completions, whatever the user says of it."""
        return {self.model if self.completions is None else self.completions.file: self.model_key}

    @cached_property
    def problems_digest(self) -> str:
        """One digest over all problems as they were read: the same file gives others under other options or splits."""
        digest = hashlib.sha256()
        for problem in self.problems:
            digest.update(problem.model_dump_json().encode() + b"\n")
        return digest.hexdigest()

    @cached_property
    def info(self) -> EvaluationInfo:
        """For the report."""
        return EvaluationInfo(
            name=self.benchmark.name,
            model=self.model,
            engine=self.engine_name,
            profile=self.profile.id,
            recipe=self.recipe,
            after=self.after,
            n_problems=len(self.problems),
            n_samples=self.answers.samples,
            decoding=self.decoding,
            known_bad=tuple(bad.task_id for bad in self.benchmark.known_bad),
            partial=self.partial,
            completions=self.completions,
        )


@dataclass
class EvaluationMaker:
    """Makes evaluations; loads each benchmark once."""

    root: Path
    sources: Sources
    data: Path | None = None
    limit: int | None = None
    suite_folders: tuple[Path, ...] = ()
    _loaded: dict[str, tuple[tuple[Problem, ...], str]] = field(default_factory=dict)

    @cached_property
    def suites(self) -> tuple[Benchmark, ...]:
        """The benchmarks that recipes/suites/*.yaml define, and those of other folders whose names are not taken."""
        folders = (self.root / "recipes" / "suites", *self.suite_folders)
        found = [suite for folder in dict.fromkeys(folders) for suite in load_suites(folder)]
        return tuple({suite.name: suite for suite in reversed(found)}.values())[::-1]

    @cached_property
    def collections(self) -> dict[str, Collection]:
        """Benchmarks that a file in recipes/suites/ asks together, by its name."""
        return load_collections(self.root / "recipes" / "suites")

    def of_subject(self, name: str, subject: Subject, decoding: Decoding) -> Evaluation:
        """A benchmark asked of a checkpoint. Raises `RequestError` for an unknown benchmark or prompt profile."""
        benchmark = benchmark_named(name, self.suites)
        profile = profile_named(decoding.profile or benchmark.profile)
        problems, digest = self._problems(benchmark)
        params = self._params(benchmark, profile, decoding)
        prompts = self._prompts(benchmark, profile, problems, decoding)
        step = self._step(subject, name, params, profile, prompts)
        return Evaluation(
            benchmark,
            problems,
            digest,
            profile,
            GeneratedAnswers(step, decoding.samples),
            subject.name,
            subject.engine.name,
            recipe=subject.recipe,
            after=subject.after,
            is_baseline=subject.baseline,
            partial=self.limit is not None,
            decoding=params.model_dump(),
            warnings=() if subject.instruct is None else warnings_for(profile, subject.instruct),
        )

    def of_file(
        self, name: str, file: Path, profile_name: str | None = None, stated: Stated | None = None
    ) -> Evaluation:
        """A benchmark scored over a file of completions; raw answers in it are read as that prompt profile's.

        It stands under the engine and model that are stated, else under the file's name.
        """
        benchmark = benchmark_named(name, self.suites)
        problems, digest = self._problems(benchmark)
        # The file may well answer more than a limit leaves.
        answers = FileAnswers(SampleFile(file, [problem.task_id for problem in self._loaded[benchmark.name][0]]))
        profile = profile_named(profile_name or benchmark.profile)
        decoding = {} if stated is None else dict(stated.decoding)
        said = () if stated is None else ("engine", "model", *(["decoding"] if decoding else ()))
        return Evaluation(
            benchmark,
            problems,
            digest,
            profile,
            answers,
            file.name if stated is None else stated.model,
            "file" if stated is None else stated.engine,
            partial=self.limit is not None,
            decoding=decoding,
            completions=GivenAnswers(file=file.name, sha256=answers.file.sha256, stated=said),
        )

    def prompts(self, name: str, decoding: Decoding) -> tuple[tuple[Prompt, ...], DecodeParams]:
        """Every prompt an engine would be given for a benchmark, and how it would decode; raises as `of_subject`."""
        benchmark = benchmark_named(name, self.suites)
        profile = profile_named(decoding.profile or benchmark.profile)
        problems = self._problems(benchmark)[0]
        return self._prompts(benchmark, profile, problems, decoding), self._params(benchmark, profile, decoding)

    def problems(self, name: str) -> tuple[Problem, ...]:
        """A benchmark's problems, by its name. Raises `RequestError`, and what fetching its data raises."""
        return self._problems(benchmark_named(name, self.suites))[0]

    def _problems(self, benchmark: Benchmark) -> tuple[tuple[Problem, ...], str]:
        if benchmark.name not in self._loaded:
            dataset = load(benchmark, self._data_file(benchmark))
            self._loaded[benchmark.name] = (dataset.problems, dataset.sha256)
        problems, digest = self._loaded[benchmark.name]
        return problems[: self.limit], digest

    def _data_file(self, benchmark: Benchmark) -> Path:
        """The benchmark's data: the file the user named, else the first of its sources that answers."""
        if self.data is not None:
            return self.data
        if not benchmark.data:
            raise RequestError(f"{benchmark.name} names no data; accepted: --apr-data FILE")
        entry = DatasetEntry(
            name=benchmark.name,
            licence="see its source",
            purpose="benchmark",
            format="jsonl",
            lifecycle="retained",
            sources=tuple(one.source for one in benchmark.data),
        )
        try:
            return fetch(entry, cache=self.sources.cache).path
        except SourceUnavailableError as error:
            raise SourceUnavailableError(
                error.name, [*error.tried, "a file of yours can be named with --apr-data"]
            ) from error

    def _params(self, benchmark: Benchmark, profile: Profile, decoding: Decoding) -> DecodeParams:
        most = decoding.max_tokens or profile.max_tokens or benchmark.max_tokens
        return DecodeParams(
            max_tokens=most,
            temperature=decoding.temperature,
            top_k=decoding.top_k,
            top_p=decoding.top_p,
            draft_tokens=decoding.draft_tokens,
        )

    def _prompts(
        self, benchmark: Benchmark, profile: Profile, problems: tuple[Problem, ...], decoding: Decoding
    ) -> tuple[Prompt, ...]:
        return tuple(
            self._prompt(benchmark, profile, problem, sample, decoding)
            for problem in problems
            for sample in range(decoding.samples)
        )

    def _prompt(
        self, benchmark: Benchmark, profile: Profile, problem: Problem, sample: int, decoding: Decoding
    ) -> Prompt:
        prompt = render(profile, problem, sample, sample_seed(decoding.seed, problem.task_id, sample))
        stop = tuple(dict.fromkeys((*prompt.stop, *benchmark.stop)))
        return prompt if stop == prompt.stop else prompt.model_copy(update={"stop": stop})

    def _step(
        self, subject: Subject, name: str, params: DecodeParams, profile: Profile, prompts: tuple[Prompt, ...]
    ) -> GenerateStep:
        node = Node(
            GenerateJob.op,
            {"decode": params.model_dump(), "profile": profile.id, "prompts": prompts_digest(prompts)},
            {"model": subject.model.key},
            engine=subject.engine.identity(),
        )
        where = f" after {subject.after}" if subject.after else ""
        return GenerateStep(
            f"answer {name}{where}",
            subject.engine,
            node,
            (subject.model,),
            lambda models: GenerateJob(models[0], prompts, params),
            prompts=prompts,
        )

"""The program under test as an engine: always the real binary, as a subprocess, and never taken at its word."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from apr_leaderboard.engine.apr import argv as build
from apr_leaderboard.engine.apr import outputs
from apr_leaderboard.engine.apr.apr_format import read_apr
from apr_leaderboard.engine.apr.binary import file_digest, find_binary, identify
from apr_leaderboard.engine.apr.compiling import compile_argv, verify_program
from apr_leaderboard.engine.apr.devices import devices_command, ready_device
from apr_leaderboard.engine.apr.distilling import distill_argv, verify_student
from apr_leaderboard.engine.apr.exits import raise_unless_ok
from apr_leaderboard.engine.apr.exports import verify_export
from apr_leaderboard.engine.apr.fallback import fallback_findings
from apr_leaderboard.engine.apr.generating import generate_by_batch, generate_by_server
from apr_leaderboard.engine.apr.limits import checkpoint_bytes, job_seconds
from apr_leaderboard.engine.apr.preparing import verify_prepared
from apr_leaderboard.engine.apr.preparing_argv import DATA_FILE, prep_data_argv
from apr_leaderboard.engine.apr.refusals import refusals_of_apr
from apr_leaderboard.engine.apr.requests import Route
from apr_leaderboard.engine.apr.surgery import SurgeryJob, verify_surgery
from apr_leaderboard.engine.apr.surgery_argv import merge_models_argv, prune_argv, quantize_argv, unhonoured_surgery
from apr_leaderboard.engine.apr.training import TrainingLog, read_adapter, uncompared, unhonoured, verify_merge
from apr_leaderboard.engine.apr.verify import open_checkpoint, tokenizer_findings, verify_import, verify_same_layout
from apr_leaderboard.engine.jobs import (
    AlignJob,
    BenchJob,
    CheckJob,
    CompileJob,
    DistillJob,
    ExportJob,
    FinetuneJob,
    GenerateJob,
    ImportJob,
    InspectJob,
    Job,
    MergeJob,
    PerplexityJob,
    PrepDataJob,
    PruneJob,
    QuantizeJob,
)
from apr_leaderboard.engine.process import Command, Finished, OnLine, run_command
from apr_leaderboard.engine.protocol import OnBackend, Sink, Watch
from apr_leaderboard.errors import EngineOutputError, EngineRefusedError, EngineTimeoutError, RequestError
from apr_leaderboard.model.record import CheckpointFormat, EngineIdentity, Finding, StageRecord

__all__ = ["AprEngine"]

_VALIDATION_FAILED = 5
_LONGEST_ARGUMENT = 120_000
"""Linux takes 128 KiB in one argument (MAX_ARG_STRLEN); a text has to fit there."""
_STDOUT_BYTES = 16 << 20
_BACKEND_VARIABLE = "APR_GPU_BACKEND"


def _not_offered(job: Job) -> EngineRefusedError:
    return EngineRefusedError("apr", f"this engine is not given {job.op} jobs this way")


class AprEngine:
    """Implements `engine.protocol.Engine` with the program at `binary` (or where `find_binary` finds it).

    `route` is how prompts go in: the server honours template, system turns and seeds; batch mode is one process.
    `stage_timeout` replaces the bound of every job but generation, in seconds. `gpu_backend` is what it is told to
    train on (auto, cuda, wgpu), by default what APR_GPU_BACKEND says, else auto. Raises AdapterMissingError for one
    that its own list of devices does not have ready, RequestError for another name.
    """

    name = "apr"
    backends = ("auto", "cuda", "wgpu")

    def __init__(
        self,
        binary: str | Path | None = None,
        *,
        route: Route = Route.SERVE,
        stage_timeout: float | None = None,
        gpu_backend: str | None = None,
    ) -> None:
        self.binary = find_binary(binary)
        self.route = route
        self._stage_timeout = stage_timeout
        self.gpu_backend = gpu_backend or os.environ.get(_BACKEND_VARIABLE) or "auto"
        if self.gpu_backend not in self.backends:
            label = "gpu_backend" if gpu_backend else _BACKEND_VARIABLE
            raise RequestError(f"{label}: got {self.gpu_backend!r}; accepted: {', '.join(self.backends)}")
        self._device = "" if self.gpu_backend == "auto" else ready_device(self.binary, self.gpu_backend)

    def on_backend(self, backend: str) -> OnBackend:
        """The same program, told to train on that backend; what it answers on, it chooses itself."""
        engine = AprEngine(self.binary, route=self.route, stage_timeout=self._stage_timeout, gpu_backend=backend)
        return OnBackend(engine, engine._device, devices_command(self.binary))

    def identity(self) -> EngineIdentity:
        """Version and sha256 of the program's file; told to train on a backend, its build is another."""
        found = identify(self.binary)
        if self.gpu_backend == "auto":
            return found
        told = f"{found.build}\n{self.gpu_backend}\n{self._device}"
        return found.model_copy(update={"build": hashlib.sha256(told.encode()).hexdigest()})

    def capabilities(self) -> frozenset[str]:
        """Every job there is."""
        kinds = (ImportJob, FinetuneJob, GenerateJob, PerplexityJob, CheckJob, InspectJob, BenchJob, ExportJob)
        more = (MergeJob, PruneJob, QuantizeJob, PrepDataJob, DistillJob, AlignJob, CompileJob)
        return frozenset(kind.op for kind in (*kinds, *more))

    def refusals(self, job: Job) -> tuple[str, ...]:
        """What the program will refuse of `job`, or pass over, in one line each; see `engine.refusals`."""
        return refusals_of_apr(job)

    def command(self, job: Job, out: Path) -> tuple[str, ...]:
        """The exact command that is started for `job`. Pure."""
        match job:
            case ImportJob():
                return build.import_argv(self.binary, job, out)
            case PrepDataJob():
                return prep_data_argv(self.binary, job, out)
            case DistillJob():
                return distill_argv(self.binary, job, out)
            case FinetuneJob() | AlignJob():
                return build.finetune_argv(self.binary, job, out, self.gpu_backend)
            case MergeJob():
                return merge_models_argv(self.binary, job, out)
            case PruneJob():
                return prune_argv(self.binary, job, out)
            case QuantizeJob():
                return quantize_argv(self.binary, job, out)
            case GenerateJob():
                if self.route is Route.SERVE:
                    return build.serve_argv(self.binary, job.model)
                return build.batch_argv(self.binary, job.model, out / build.PROMPTS_FILE, job.params)
            case PerplexityJob():
                return build.perplexity_argv(self.binary, job, out)
            case CheckJob():
                return build.check_argv(self.binary, job)
            case InspectJob():
                return build.inspect_argv(self.binary, job)
            case BenchJob():
                return build.bench_argv(self.binary, job)
            case CompileJob():
                return compile_argv(self.binary, job, out)
            case ExportJob():
                return build.export_argv(self.binary, job, out)
            case _:
                raise _not_offered(job)

    def produces(self, job: Job) -> tuple[str, CheckpointFormat]:
        """Name and format of the checkpoint a job leaves. Raises `EngineRefusedError` for a job that leaves none."""
        match job:
            case ImportJob() | DistillJob() | FinetuneJob() | AlignJob() | MergeJob() | PruneJob() | QuantizeJob():
                return build.MODEL_FILE, "apr"
            case PrepDataJob():
                return DATA_FILE, "jsonl"
            case CompileJob():
                return job.params.output, "program"
            case ExportJob(format="gguf"):
                return build.EXPORTED_GGUF, "gguf"
            case ExportJob(format="hf"):
                return str(Path(build.EXPORTED_HF).parent), "hf"
            case _:
                raise EngineRefusedError("apr", f"{job.op} leaves no checkpoint")

    def run(self, job: Job, out: Path, watch: Watch) -> StageRecord:
        """Do the job into `out`, then open and verify what was written. Errors as `Engine` lists them."""
        match job:
            case ImportJob():
                return self._import(job, out)
            case PrepDataJob():
                return self._prep_data(job, out)
            case DistillJob():
                return self._distill(job, out)
            case FinetuneJob() | AlignJob():
                return self._finetune(job, out, watch)
            case MergeJob() | PruneJob() | QuantizeJob():
                return self._surgery(job, out)
            case PerplexityJob():
                return self._perplexity(job, out)
            case CheckJob():
                return self._check(job, out)
            case InspectJob() | BenchJob():
                return self._measure(job, out)
            case CompileJob():
                return self._compile(job, out)
            case ExportJob():
                return self._export(job, out)
            case _:
                raise _not_offered(job)

    def generate(self, job: GenerateJob, out: Path, sink: Sink, watch: Watch) -> StageRecord:
        """Answer every prompt; what was handed on before a failure stays with the caller."""
        argv = self.command(job, out)
        started = time.monotonic()
        answer = generate_by_server if self.route is Route.SERVE else generate_by_batch
        tally, findings = answer(argv, job, out, sink, watch)
        return StageRecord(
            op=job.op,
            engine=self.identity(),
            command=argv,
            figures={"route": str(self.route), **tally.figures()},
            findings=tuple(findings),
            seconds=time.monotonic() - started,
        )

    # -- one method per job family -------------------------------------------------------------------------------

    def _import(self, job: ImportJob, out: Path) -> StageRecord:
        finished = self._start(job, out, checkpoint_bytes(job.source))
        argv = self.command(job, out)
        raise_unless_ok(finished, argv)
        written = open_checkpoint(out / build.MODEL_FILE, argv)
        findings = verify_import(written, job.source, half=job.params.quantization == "fp16")
        figures: outputs.Figures = {
            "n_tensors": len(written.file.tensors),
            "n_parameters": sum(entry.n_values for entry in written.file.tensors.values()),
            "vocabulary": written.file.vocabulary_size,
        }
        return self._record(job, out, finished, figures=figures, findings=findings)

    def _prep_data(self, job: PrepDataJob, out: Path) -> StageRecord:
        finished = self._start(job, out)
        argv = self.command(job, out)
        raise_unless_ok(finished, argv)
        figures, findings = verify_prepared(job, out, argv)
        return self._record(job, out, finished, figures=figures, findings=findings)

    def _distill(self, job: DistillJob, out: Path) -> StageRecord:
        finished = self._start(job, out)
        argv = self.command(job, out)
        raise_unless_ok(finished, argv)
        figures, findings = verify_student(job, out / build.MODEL_FILE, argv)
        return self._record(job, out, finished, figures=figures, findings=findings)

    def _compile(self, job: CompileJob, out: Path) -> StageRecord:
        finished = self._start(job, out)
        argv = self.command(job, out)
        raise_unless_ok(finished, argv)
        return self._record(
            job, out, finished, figures=verify_program(job, out / job.params.output, self.binary, argv)
        )  # fmt: skip

    def _finetune(self, job: FinetuneJob | AlignJob, out: Path, watch: Watch) -> StageRecord:
        log = TrainingLog()

        def on_line(line: str) -> None:
            progress = log.take(line)
            if progress is not None:
                watch(progress)

        finished = self._start(job, out, checkpoint_bytes(job.model), on_line)
        log.write(out / "losses.jsonl")
        argv = self.command(job, out)
        if finished.timed_out:
            message = f"training not done after {finished.seconds:.0f} s: {log.reached()}"
            raise EngineTimeoutError("apr", message, command=argv, stderr=finished.stderr_tail)
        raise_unless_ok(finished, argv)
        adapter = read_adapter(out / build.ADAPTER, argv)
        merged = open_checkpoint(out / build.MODEL_FILE, argv)
        shutil.copytree((out / build.ADAPTER).parent, out / "adapter")
        line = build.shell_line(argv)
        findings = unhonoured(job.params, log, line) + tokenizer_findings(merged)
        if untrained := adapter.untrained():
            message = (
                f"training left {len(untrained)} of {len(adapter.pairs)} adapted matrices as they were: {untrained[0]}"
            )
            findings.append(Finding(code="layers-untrained", message=message, command=line))
        figures: outputs.Figures = {"n_adapted": len(adapter.pairs), "n_steps": log.samples_seen()}
        if job.model.format == "apr":
            base = read_apr(job.model.path)
            verify_same_layout(merged, base)
            figures["largest_change"] = verify_merge(merged, base, adapter)
            findings += uncompared(adapter, line)
        if log.epochs:
            figures |= {"first_loss": log.epochs[0].loss, "final_loss": log.epochs[-1].loss}
        return self._record(job, out, finished, figures=figures, findings=findings)

    def _surgery(self, job: SurgeryJob, out: Path) -> StageRecord:
        models = job.models if isinstance(job, MergeJob) else (job.model,)
        finished = self._start(job, out, sum(map(checkpoint_bytes, models)))
        argv = self.command(job, out)
        raise_unless_ok(finished, argv)
        figures, findings = verify_surgery(job, out / build.MODEL_FILE, argv)
        return self._record(job, out, finished, figures=figures, findings=[*unhonoured_surgery(job, argv), *findings])

    def _perplexity(self, job: PerplexityJob, out: Path) -> StageRecord:
        text = job.text.read_bytes()
        findings = []
        if len(text) > _LONGEST_ARGUMENT:
            message = f"the text is an argument there; {_LONGEST_ARGUMENT} of {len(text)} bytes were given"
            findings.append(("text-cut", message))
            text = text[:_LONGEST_ARGUMENT].decode("utf-8", "ignore").encode("utf-8")
        (out / build.TEXT_FILE).write_bytes(text)
        finished = self._start(job, out)
        argv = self.command(job, out)
        if finished.exit_code != _VALIDATION_FAILED or not finished.stdout_tail.strip():
            raise_unless_ok(finished, argv)
        figures = self._figures(outputs.perplexity_figures, finished, argv)
        if int(figures["n_tokens"]) > job.window:
            message = f"one window of {figures['n_tokens']} tokens, not several of {job.window}: later tokens see more"
            findings.append(("window-not-honoured", message))
        line = build.shell_line(argv)
        made = [Finding(code=code, message=message, command=line) for code, message in findings]
        return self._record(job, out, finished, figures=figures, findings=made)

    def _check(self, job: CheckJob, out: Path) -> StageRecord:
        finished = self._start(job, out)
        argv = self.command(job, out)
        # A self-test that did not pass is an answer, not a failure to answer.
        if finished.exit_code != _VALIDATION_FAILED or not finished.stdout_tail.strip():
            raise_unless_ok(finished, argv)
        figures = self._figures(outputs.check_figures, finished, argv)
        findings = outputs.check_findings(self._document(finished, argv), shlex.join(argv))
        return self._record(job, out, finished, figures=figures, findings=findings)

    def _measure(self, job: InspectJob | BenchJob, out: Path) -> StageRecord:
        finished = self._start(job, out)
        argv = self.command(job, out)
        raise_unless_ok(finished, argv)
        reader = outputs.inspect_figures if isinstance(job, InspectJob) else outputs.bench_figures
        return self._record(job, out, finished, figures=self._figures(reader, finished, argv))

    def _export(self, job: ExportJob, out: Path) -> StageRecord:
        if job.format == "apr":
            raise EngineRefusedError("apr", "a checkpoint is exported to hf or gguf, not to apr itself")
        target = out / (build.EXPORTED_GGUF if job.format == "gguf" else build.EXPORTED_HF)
        target.parent.mkdir(exist_ok=True)
        finished = self._start(job, out)
        argv = self.command(job, out)
        raise_unless_ok(finished, argv)
        findings = verify_export(job, target, argv)
        return self._record(job, out, finished, findings=findings)

    # -- shared --------------------------------------------------------------------------------------------------

    def _start(self, job: Job, out: Path, model_bytes: int = 0, on_line: OnLine | None = None) -> Finished:
        seconds = self._stage_timeout or job_seconds(job, model_bytes)
        command = Command(
            self.command(job, out), cwd=out, timeout=seconds, name="apr", log=out / "apr.log", tail_bytes=_STDOUT_BYTES
        )
        return run_command(command, on_stderr_line=on_line)

    def _document(self, finished: Finished, argv: Sequence[str]) -> dict[str, object]:
        try:
            return outputs.json_document(finished.stdout_tail)
        except ValueError as error:
            message = f"stdout is not one JSON document: {error}"
            raise EngineOutputError("apr", message, command=argv, stderr=finished.stderr_tail) from error

    def _figures(self, read: outputs.Reader, finished: Finished, argv: Sequence[str]) -> outputs.Figures:
        document = self._document(finished, argv)
        try:
            return read(document)
        except (KeyError, TypeError, ValueError) as error:
            message = f"its JSON lacks or misstates {error}"
            raise EngineOutputError("apr", message, command=argv, stderr=finished.stderr_tail) from error

    def _record(
        self,
        job: Job,
        out: Path,
        finished: Finished,
        *,
        figures: outputs.Figures | None = None,
        findings: Sequence[Finding] = (),
    ) -> StageRecord:
        argv = self.command(job, out)
        leaves = not isinstance(job, (GenerateJob, PerplexityJob, CheckJob, InspectJob, BenchJob))
        checkpoint, kind = self.produces(job) if leaves else (None, None)
        figures = dict(figures or {})
        if finished.max_rss is not None:
            figures["peak_rss_bytes"] = finished.max_rss
        if checkpoint is not None:
            figures["sha256"] = file_digest(out / (build.EXPORTED_HF if kind == "hf" else checkpoint))
        return StageRecord(
            op=job.op,
            engine=self.identity(),
            command=argv,
            checkpoint=checkpoint,
            format=kind,
            figures=figures,
            findings=(*findings, *fallback_findings(finished.stderr_tail, argv)),
            seconds=finished.seconds,
        )

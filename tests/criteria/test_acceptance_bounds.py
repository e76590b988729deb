"""The criteria's own tests: none passes on nothing, and what is our trouble or the user's wish is no figure."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from apr_leaderboard.criteria import Asked, Trial, auditing, binding
from apr_leaderboard.criteria.incoming import import_gap
from apr_leaderboard.criteria.losses import Course
from apr_leaderboard.criteria.probing import subcommands
from apr_leaderboard.criteria.quality import needed_packages
from apr_leaderboard.criteria.scoring import need_complete, paired
from apr_leaderboard.criteria.stages import _of_apr
from apr_leaderboard.criteria.working import Cleaned
from apr_leaderboard.engine import Checkpoint
from apr_leaderboard.errors import EngineOutputError, HarnessError
from apr_leaderboard.model.generation import Completion, FinishReason
from apr_leaderboard.model.results import Interval, ObligationOutcome, ObligationResult
from apr_leaderboard.pipeline import EvaluationScore, Workbench
from apr_leaderboard.proof import NotHere, Refuted
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.proof.weights import read_tensors

FIRST = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def acceptance(project_root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of acceptance/ by its name, whose parts are replaced by what is given for them."""

    def load(name: str, **parts: Any) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"claims_{name}", project_root / "acceptance" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for part, stands_in in parts.items():
            assert hasattr(module, part), part
            monkeypatch.setattr(module, part, stands_in)
        return module

    return load


class Answering(Trial):
    """A trial whose engine gives these answers, and imports and trains nothing."""

    answers: tuple[Completion, ...] = ()

    def model(self, seed: int = 1) -> Made:
        """None is needed."""
        return Made(cast(Any, None), self.folder)

    def source(self, name: str | None = None) -> Made:
        """Nor as it comes."""
        return self.model()

    def imported(self, made: Made) -> Made:
        """As it came."""
        return made

    def stage(self, *asked: object) -> Made:
        """Nothing is trained."""
        return self.model()

    def ask(self, *asked: object) -> list[Completion]:
        """What was given."""
        return list(self.answers)


def trial_in(folder: Path, **workbench: Any) -> Answering:
    """On the smoke model."""
    bench = SimpleNamespace(settings=SimpleNamespace(profile="smoke"), engine=lambda _: None, **workbench)
    return Answering(cast(Workbench, bench), Asked("AC-001", "test_it", "fake", "smoke"), folder)


def score_of(*solved: bool, partial: bool = False, judged: int | None = None) -> EvaluationScore:
    """A benchmark's score, one answer a problem."""
    problems = [SimpleNamespace(task_id=f"t/{i}", n=1, c=int(one)) for i, one in enumerate(solved)]
    count = len(problems) if judged is None else judged
    result = SimpleNamespace(
        partial=partial,
        complete=count == len(problems) and not partial,
        n_judged=count,
        n_problems=len(problems),
        problems=problems,
        interval={"1": Interval(low=0.0, high=1.0, method="any", level=0.95)},
    )
    title = SimpleNamespace(title="smoke on m")
    return cast(EvaluationScore, SimpleNamespace(result=result, evaluation=title, pass_at_1=sum(solved) / len(solved)))


def test_score_of_some_problems_by_the_users_wish_is_not_run() -> None:
    """The candidate did nothing wrong, and the figure is another one."""
    with pytest.raises(NotHere, match=r"needs all of its problems, and a limit asks for some \(--apr-limit\)"):
        need_complete(score_of(True, False, partial=True))


def test_paired_scores_must_each_have_every_verdict() -> None:
    """A problem that was lost in one run is in no pair."""
    assert paired(score_of(True, True), score_of(True, False)).lost == ("t/1",)
    with pytest.raises(Refuted, match="1 of 2 problems have a verdict"):
        paired(score_of(True, True), score_of(True, True, judged=1))


def test_pass_at_1_beside_a_reference_that_solves_nothing_is_no_pass(acceptance: Any, tmp_path: Path) -> None:
    """There is nothing to lose."""
    module = acceptance("test_ac_parity", smoke_score=lambda *_, **__: score_of(False, False))
    with pytest.raises(Refuted, match="solved by the reference: 0; it must be at least 1"):
        module.test_pass_at_1_is_the_references(trial_in(tmp_path))


def test_ties_without_a_conflict_before_is_no_pass(acceptance: Any, tmp_path: Path) -> None:
    """None out of none is not removed."""
    zero = {"w": np.zeros(3)}
    module = acceptance(
        "test_ac_weights",
        specialists=lambda trial: (trial.model(), trial.model()),
        tensors_of=lambda *_: zero,
        merge=lambda *_, **__: None,
    )
    with pytest.raises(Refuted, match="conflicts that could go: 0; it must be at least 1"):
        module.test_ties_leaves_fewer_sign_conflicts_than_there_were(trial_in(tmp_path))


def test_pruning_that_prunes_nothing_has_not_another_mask_than_magnitude(acceptance: Any, tmp_path: Path) -> None:
    """An empty mask shares nothing with any."""
    dense = {FIRST: np.arange(1.0, 21.0).reshape(2, 10)}
    module = acceptance("test_ac_weights", tensors_of=lambda *_: dense, prune=lambda *_: None)
    with pytest.raises(Refuted, match="zeros in the first matrix: 0"):
        module.test_wandas_mask_is_not_that_of_magnitude(trial_in(tmp_path))


@pytest.mark.parametrize(("small", "passes"), [(0, False), (240, False), (370, True), (500, False)])
def test_int4_file_below_four_bits_a_weight_is_no_int4(
    acceptance: Any, tmp_path: Path, small: int, passes: bool
) -> None:
    """An empty file is under any bound."""
    sizes = iter((small, 1000))
    module = acceptance("test_ac_weights", quantize=lambda *_: None, weights_bytes=lambda _: next(sizes))
    if passes:
        module.test_an_int4_file_is_under_half_of_fp16(trial_in(tmp_path))
        return
    with pytest.raises(Refuted, match="int4 / fp16"):
        module.test_an_int4_file_is_under_half_of_fp16(trial_in(tmp_path))


def test_greedy_answers_without_a_word_are_not_all_the_same(acceptance: Any, tmp_path: Path) -> None:
    """They are none."""
    module, trial = acceptance("test_ac_decoding"), trial_in(tmp_path)
    said = [
        Completion(task_id=one.task_id, sample=one.sample, text="", finish=FinishReason.STOP) for one in module.drawn(3)
    ]
    trial.answers = tuple(said)
    with pytest.raises(Refuted, match="prompts answered with a text: 0"):
        module.test_greedy_samples_of_a_prompt_are_all_the_same(trial)
    trial.answers = tuple(one.model_copy(update={"text": one.task_id}) for one in said)
    module.test_greedy_samples_of_a_prompt_are_all_the_same(trial)


def test_training_of_one_epoch_misses_the_bound_of_two(acceptance: Any, tmp_path: Path) -> None:
    """As the engine's failure, not as ours."""
    course = Course((2.0, 1.0), (1, 1))
    module = acceptance("test_ac_training", need_wgpu=lambda _: None, course_of=lambda *_: course)
    with pytest.raises(Refuted, match="epochs: 1; it must be at least 2"):
        module.test_the_loss_falls_over_two_epochs_on_wgpu(trial_in(tmp_path))


def test_engine_that_drops_clean_samples_for_planted_ones_is_found(acceptance: Any, tmp_path: Path) -> None:
    """The count alone would be right."""
    module = acceptance("test_ac_data", decontaminate=lambda _: Cleaned(6, 6, 66, 6))
    with pytest.raises(Refuted, match="planted samples that it left in: 6"):
        module.test_the_engine_finds_what_was_planted_in_the_data(trial_in(tmp_path))


def test_contamination_without_problems_to_compare_is_no_pass(acceptance: Any, tmp_path: Path) -> None:
    """Nothing overlaps with nothing."""
    module = acceptance("test_ac_data", problem_texts=lambda _: [], training_files=lambda _: {})
    with pytest.raises(Refuted, match="benchmark problems: 0"):
        module.test_less_than_one_percent_of_the_training_data_overlaps_with_the_benchmarks(trial_in(tmp_path))


def test_contamination_is_counted_against_all_problems_whatever_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's limit is about what is asked of models."""
    problems = [SimpleNamespace(canonical=f"c{i}", prompt="p") for i in range(3)]
    maker = SimpleNamespace(problems=lambda name: problems)
    monkeypatch.setattr(auditing, "EvaluationMaker", lambda root, sources: maker)
    limited = SimpleNamespace(problems=lambda name: problems[:1])
    trial = trial_in(tmp_path, root=tmp_path, sources=None, evaluations=limited)
    assert auditing.problem_texts(trial) == ["c0", "c1", "c2"]


def test_import_of_a_source_without_tensors_shows_nothing(tmp_path: Path) -> None:
    """No gap among none."""
    from safetensors.numpy import save_file

    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    save_file({}, tmp_path / "model.safetensors")
    made = Made(cast(Any, None), tmp_path, Checkpoint(tmp_path, "hf"))
    with pytest.raises(HarnessError, match="holds no tensor to compare"):
        import_gap(made, made)


@pytest.mark.parametrize(("outcome", "saboteur"), [("error", "not-run"), ("holds", "crashed")])
def test_obligation_that_breaks_is_our_trouble_and_is_not_kept(
    outcome: str, saboteur: Any, project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither counted as unbound nor remembered for the next run."""

    def settle(name: str, contract: object, obligation: Any, *rest: object) -> ObligationResult:
        found = ObligationOutcome(outcome)
        return ObligationResult(
            id=obligation.id, contract=name, level="tested", outcome=found, saboteur=saboteur, evidence="disk full"
        )

    monkeypatch.setattr(binding, "settle", settle)
    with pytest.raises(HarnessError, match="BIND-COUNT cannot be settled: disk full"):
        binding._settle_all(trial_in(tmp_path, root=project_root))


def test_subcommand_of_a_program_that_stands_for_no_job_of_its_engine_is_not_wired(tmp_path: Path) -> None:
    """To answer --help is half of it; what stands for no job at all needs no more."""
    program = tmp_path / "apr"
    program.write_text("#!/bin/sh\necho Usage: apr\n", encoding="utf-8")
    program.chmod(0o755)
    engine = SimpleNamespace(name="apr", binary=program, capabilities=lambda: frozenset({"import", "generate"}))
    bench = SimpleNamespace(engine=lambda _: engine)
    trial = Trial(cast(Workbench, bench), Asked("AC-027", "test_it", "apr", "smoke"), tmp_path)
    known = {name for name, wired in subcommands(trial).items() if wired}
    assert known == {"import", "run", "chat", "publish", "compare-hf", "qa", "tune"}


def test_licences_of_a_package_that_is_not_installed_are_our_trouble() -> None:
    """It would need nothing, and so nothing under copyleft."""
    with pytest.raises(HarnessError, match="no-such-package is not installed"):
        needed_packages("no-such-package")


@pytest.mark.parametrize(
    ("operation", "n_values", "words"),
    [("layer-0/attn_norm", 4, "the trace shows no logits"), ("layer-0/attn_norm", 3, "3 values for 2 tokens")],
)
def test_trace_without_logits_or_with_a_torn_tensor_is_the_programs_failure(
    operation: str, n_values: int, words: str, tmp_path: Path
) -> None:
    """Not a crash of ours."""
    values = tmp_path / "values.bin"
    values.write_bytes(bytes(12) + np.ones(n_values, "<f4").tobytes())
    program = tmp_path / "apr"
    program.write_text(
        "#!/bin/sh\nfolder=\nwhile [ $# -gt 0 ]; do [ $1 = --save-tensor-dir ] && folder=$2; shift; done\n"
        f'mkdir -p "$folder/layer-0" && cp {values} "$folder/{operation}.bin"\necho "Token ids: [1, 2]"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    model = tmp_path / "a" / "b" / "model.apr"
    with pytest.raises(EngineOutputError, match=words):
        _of_apr(trial_in(tmp_path), program, model, 1)


def test_tensor_of_a_dtype_that_is_not_read_is_named_and_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an import that keeps blocks would have lost its weights."""
    from apr_leaderboard.engine.apr import apr_format

    (tmp_path / "m.apr").write_bytes(b"APR\0")
    file = SimpleNamespace(tensors={"w": SimpleNamespace(dtype="Q4_K")})
    monkeypatch.setattr(apr_format, "read_apr", lambda path: file)
    with pytest.raises(NotHere, match="needs the values of w, which is Q4_K"):
        read_tensors(Checkpoint(tmp_path / "m.apr", "apr"))

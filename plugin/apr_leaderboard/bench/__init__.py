"""What is asked of a model, and what counts as right: benchmarks, prompts, extraction, scores."""

from __future__ import annotations

from apr_leaderboard.bench.benchmark import Benchmark, DataFile, KnownBad, Published, Split
from apr_leaderboard.bench.collection import Collection, CollectionEntry
from apr_leaderboard.bench.completions import KINDS, Sample, SampleFile, extraction_of, write_samples
from apr_leaderboard.bench.contamination import Contamination, contamination_of
from apr_leaderboard.bench.dataset import Dataset, load
from apr_leaderboard.bench.extraction import EXTRACTION_VERSION, continue_prompt
from apr_leaderboard.bench.intervals import bootstrap, interval_for, intervals_for, wilson
from apr_leaderboard.bench.paired import (
    Comparison,
    RateComparison,
    compare_counts,
    compare_runs,
    mcnemar_exact,
    power,
)
from apr_leaderboard.bench.passk import mean_pass_at_k, pass_at_k
from apr_leaderboard.bench.problem import Extraction, Problem
from apr_leaderboard.bench.program import extract, planted_wrong, program_for, self_check_programs
from apr_leaderboard.bench.prompts import (
    Profile,
    profile_named,
    profile_names,
    render,
    sample_seed,
    warnings_for,
)
from apr_leaderboard.bench.suites import load_collections, load_suite, load_suites
from apr_leaderboard.bench.table import BUILT_IN, benchmark_named, benchmark_names

__all__ = [
    "BUILT_IN",
    "EXTRACTION_VERSION",
    "KINDS",
    "Benchmark",
    "Collection",
    "CollectionEntry",
    "Comparison",
    "Contamination",
    "DataFile",
    "Dataset",
    "Extraction",
    "KnownBad",
    "Problem",
    "Profile",
    "Published",
    "RateComparison",
    "Sample",
    "SampleFile",
    "Split",
    "benchmark_named",
    "benchmark_names",
    "bootstrap",
    "compare_counts",
    "compare_runs",
    "contamination_of",
    "continue_prompt",
    "extract",
    "extraction_of",
    "interval_for",
    "intervals_for",
    "load",
    "load_collections",
    "load_suite",
    "load_suites",
    "mcnemar_exact",
    "mean_pass_at_k",
    "pass_at_k",
    "planted_wrong",
    "power",
    "profile_named",
    "profile_names",
    "program_for",
    "render",
    "sample_seed",
    "self_check_programs",
    "warnings_for",
    "wilson",
    "write_samples",
]

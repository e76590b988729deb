"""Which test items are there: recipes, contracts and benchmarks, and what to collect when the user names marks."""

from __future__ import annotations

from apr_leaderboard.collect.acceptance import Acceptance, acceptance_files, has_criteria
from apr_leaderboard.collect.contracts import ContractFile, is_contract
from apr_leaderboard.collect.recipes import RecipeFile, is_recipe
from apr_leaderboard.collect.select import built_in_named, choose_arguments, preload, register_marks, suite_folders
from apr_leaderboard.collect.suites import BUILT_IN_FOLDER, BuiltInSuites, SuiteFile, is_suite

__all__ = [
    "BUILT_IN_FOLDER",
    "Acceptance",
    "BuiltInSuites",
    "ContractFile",
    "RecipeFile",
    "SuiteFile",
    "acceptance_files",
    "built_in_named",
    "choose_arguments",
    "has_criteria",
    "is_contract",
    "is_recipe",
    "is_suite",
    "preload",
    "register_marks",
    "suite_folders",
]

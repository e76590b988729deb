"""Results as Allure reads them: what each item came to, told in its terms, and the files beside the results."""

from __future__ import annotations

from apr_leaderboard.report.allure.bridge import AllureBridge
from apr_leaderboard.report.allure.merge import Merged, merge_results

__all__ = ["AllureBridge", "Merged", "merge_results"]

"""`python -m apr_leaderboard.engine.shaders`: the adapter that would be computed on, as JSON.

Asked in a process of its own, so that no driver is loaded into the one that runs the tests. Exit code 4 and one line on
stderr where there is none.
"""

from __future__ import annotations

import json
import sys

from apr_leaderboard.engine.shaders.adapter import open_adapter
from apr_leaderboard.errors import AdapterMissingError

EXIT_MISSING = 4


def main() -> int:
    """Print it; the exit code."""
    try:
        found = open_adapter().told()
    except AdapterMissingError as error:
        sys.stderr.write(f"error: {error.lacking}\n")
        return EXIT_MISSING
    sys.stdout.write(json.dumps({"adapter": found}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

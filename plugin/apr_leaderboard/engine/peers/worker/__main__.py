"""Started as `PYTHON path/to/worker OP ...`: makes a package of the folder, then runs its program."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    folder = Path(__file__).resolve().parent
    # A folder that is started lies on the path itself, where its modules could hide others of the same name.
    sys.path[0] = str(folder.parent)
    sys.exit(import_module(f"{folder.name}.program").main())

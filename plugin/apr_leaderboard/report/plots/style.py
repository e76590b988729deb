"""How every picture looks, and how it is written: the same data gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from apr_leaderboard.errors import RequestError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "MARKERS", "PALETTE", "drawing", "save"]

PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Told apart by every kind of colour vision (Okabe & Ito 2008, Color Universal Design); too pale a yellow left out."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
"""A shape goes with each colour, so that a print in grey can be read, too."""
FORMATS: Final = ("svg", "png")

_SETTINGS: Final[Any] = {
    "svg.hashsalt": "apr-leaderboard",  # else ids are random
    "svg.fonttype": "none",  # text stays text: it can be searched, and read aloud
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that sizes are the same everywhere
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 100.0,
    "savefig.dpi": 150.0,
}


@contextmanager
def drawing(title: str, across: str, up: str, size: tuple[float, float] = (7.0, 4.2)) -> Iterator[tuple[Figure, Axes]]:
    """A figure of one panel to draw into, `size` in inches, laid out when all is drawn.

    It is laid out once, whatever it is saved as: left to matplotlib, that is done again for each format. Raises
    `RequestError` where matplotlib is missing.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError:
        raise RequestError(
            "pictures need matplotlib, which is not here; accepted: pip install 'apr-leaderboard[plots]'"
        ) from None
    with rc_context(_SETTINGS):
        figure = Figure(figsize=size)
        axes = figure.add_subplot()
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        yield figure, axes
        ConstrainedLayoutEngine().execute(figure)


def save(figure: Figure, stem: Path, formats: tuple[str, ...] = FORMATS) -> tuple[Path, ...]:
    """Write the figure beside `stem` in each format, without date or program name. Raises `OSError`."""
    from matplotlib import rc_context

    stem.parent.mkdir(parents=True, exist_ok=True)
    written = []
    with rc_context(_SETTINGS):
        for kind in formats:
            file = stem.with_name(f"{stem.name}.{kind}")
            nothing = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
            figure.savefig(file, format=kind, metadata=nothing)
            written.append(file)
    return tuple(written)

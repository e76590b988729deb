"""What the worker says, line by line."""

from __future__ import annotations

import json

from pydantic import ValidationError

from apr_leaderboard.engine.protocol import Progress, Sink, Watch
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.generation import Completion

__all__ = ["Listener"]


class Listener:
    """Hands on progress and answers; `figures` is what the last line said, `expected` shrinks with each answer."""

    def __init__(self, name: str, expected: set[tuple[str, int]], watch: Watch, sink: Sink) -> None:
        self.figures: dict[str, float | int | str | bool] | None = None
        self._name = name
        self._expected = expected
        self._watch = watch
        self._sink = sink

    def line(self, text: str) -> None:
        """One line of stdout; raises EngineOutputError for one that is no document of the worker's."""
        try:
            ((kind, value),) = json.loads(text).items()
            progress = Progress(**value) if kind == "progress" else None
            completion = Completion.model_validate_json(json.dumps(value)) if kind == "completion" else None
            if kind == "record":
                self.figures = dict(value["figures"])
            elif progress is None and completion is None:
                raise ValueError(kind)
        except (ValueError, AttributeError, TypeError, KeyError, ValidationError):
            raise EngineOutputError(self._name, f"unexpected output: {text[:200]!r}") from None
        # Outside the try: what a watch or a sink raises is the caller's own and must pass as it is.
        if progress is not None:
            self._watch(progress)
        if completion is not None:
            if completion.key not in self._expected:
                raise EngineOutputError(self._name, f"an answer to {completion.key}, which is not open")
            self._expected.discard(completion.key)
            self._sink(completion)

"""A look at what a program's function gave to its check: nothing in it may be equal to whatever it is compared with.

Classes are asked for what they are by the descriptors of `type` itself and told apart by identity: a metaclass of the
program's own could answer anything.
"""

from __future__ import annotations

import collections
import sys
import types
import weakref
from collections.abc import Iterable
from typing import Any

__all__ = ["PLAIN", "Library", "TamperingError", "look_into"]

PLAIN = frozenset(map(id, (int, str, bool, float, type(None), bytes, complex, range, bytearray)))
"""The ids of the classes whose objects need no look."""

_HOLDERS = (list, tuple, set, frozenset, collections.deque)
_PROXIES = (weakref.ProxyType, weakref.CallableProxyType, types.MappingProxyType)
_ANSWERS = tuple(
    f"__{name}__"
    for name in (
        *("eq", "ne", "lt", "le", "gt", "ge", "contains", "bool", "abs", "round", "neg", "mod", "rmod", "pow", "rpow"),
        *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv"),
    )
)
_HEAP_TYPE = 1 << 9
# No honest value is equal to one of these.
_STRANGERS = (object(), -7.30551e-291, "\0nothing is called this\0")
_flags, _mro, _contents = (type.__dict__[name].__get__ for name in ("__flags__", "__mro__", "__dict__"))


class TamperingError(AssertionError):
    """The program was caught interfering with its check."""


class Library:
    """The classes there are before any program runs, and how each answers."""

    def __init__(self) -> None:
        self._folders = tuple(f"{folder}/" for folder in sys.path if folder.startswith("/"))
        # With the class itself, so that its id stays its own.
        self._known: dict[int, tuple[type, dict[str, Any]]] = {}
        left: list[type] = [object]
        while left:
            kind = left.pop()
            if id(kind) not in self._known:
                self._known[id(kind)] = (kind, _answers(kind))
                left += type.__subclasses__(kind)

    def vouches(self, kind: type) -> bool:
        """Whether a class answers as it did then; one that was loaded since must come from a library's file."""
        if id(kind) not in self._known:
            return self._from_a_file(kind)
        then, now = self._known[id(kind)][1], _answers(kind)
        return then.keys() == now.keys() and all(now[name] is answer for name, answer in then.items())

    def _from_a_file(self, kind: type) -> bool:
        found: Any = sys.modules.get(kind.__module__)
        if not str(getattr(found, "__file__", None)).startswith(self._folders):
            return False  # a program can write modules too, but not there
        for part in kind.__qualname__.split("."):
            found = getattr(found, part, None)
        return found is kind


def look_into(value: Any, library: Library) -> None:
    """Look at a value and all that it holds.

    Raises:
        TamperingError: something in it answers comparisons or arithmetic in the program's own way.
    """
    left, seen = [value], set()
    while left:
        part = left.pop()
        kind = type(part)
        if id(part) in seen:
            continue
        seen.add(id(part))
        if any(kind is proxy for proxy in _PROXIES):
            raise TamperingError(f"it returned a {kind.__name__}, which answers for another object")
        held = _held(part, kind)
        if _flags(kind) & _HEAP_TYPE and _answers_itself(part, kind, library):
            held = (*held, *_attributes(part, kind))
        left += [inner for inner in held if id(type(inner)) not in PLAIN]


def _answers(kind: type) -> dict[str, Any]:
    contents = _contents(kind)
    return {name: contents[name] for name in _ANSWERS if name in contents}


def _answers_itself(value: Any, kind: type, library: Library) -> bool:
    """Whether an object answers by methods of its class, a library's. Raises `TamperingError` for a program's."""
    answering = [base for base in _mro(kind) if _flags(base) & _HEAP_TYPE and _answers(base)]
    if not all(map(library.vouches, answering)):
        raise TamperingError(f"it returned a {kind.__name__}, a class of its own that answers comparisons itself")
    if answering and any(_is_equal(value, stranger) for stranger in _STRANGERS):
        raise TamperingError(f"it returned a {kind.__name__} that is equal to anything")
    return bool(answering)


def _is_equal(value: Any, stranger: object) -> bool:
    try:
        return (value == stranger) is True
    except Exception:
        return False  # it has its ways, and equal to everything is not one of them


def _held(value: Any, kind: type) -> Iterable[Any]:
    """What a container holds, whatever a subclass of it shows."""
    for base in _mro(kind):
        if base is dict:
            return (*dict.keys(value), *dict.values(value))
        for holder in _HOLDERS:
            if base is holder:
                return tuple(holder.__iter__(value))
    return ()


def _attributes(value: Any, kind: type) -> Iterable[Any]:
    """What an object's attributes are, whatever a property called `__dict__` says."""
    for base in _mro(kind):
        found = _contents(base).get("__dict__")
        if type(found) is types.GetSetDescriptorType:
            return tuple(found.__get__(value).values())
    return ()

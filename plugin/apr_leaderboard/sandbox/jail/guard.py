"""The check, kept apart from what the program did to the world it runs in.

The two share their names, as one text would, with these differences, which only a program that tampers can feel:

- the check looks built-in names up in untouched built-ins, whatever the program put in their place (a program whose
  entry point is itself called like a built-in excepted);
- modules that the check imports and the fork server had loaded are put back as they were;
- what the program's functions return to the check may not be an object of the program's own class that answers
  comparisons or arithmetic itself: such an object could be equal to everything (see `look`).
"""

from __future__ import annotations

import ast
import builtins
import sys
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

from apr_leaderboard.sandbox.jail.look import PLAIN, Library, TamperingError, look_into

__all__ = ["Check", "Guard"]

_BUILTIN_NAMES = frozenset(vars(builtins))
# Statements use the first two without naming them. Through the others a check reaches names it does not spell out.
_ALWAYS_USED = frozenset({"__import__", "__build_class__", "AssertionError"})
_ROUNDABOUT = frozenset({"eval", "exec", "compile", "globals", "locals", "vars", "__builtins__", "__import__"})
_bases = type.__dict__["__mro__"].__get__


class Check(NamedTuple):
    """A compiled check: the statements that set up, those that decide, and what it needs from where.

    A tuple all through: a program may come by it in the frames below its own, and must not be able to change it.
    """

    head: types.CodeType
    tail: types.CodeType
    sets: frozenset[str]
    wants: frozenset[str]
    binds: frozenset[str]
    own_builtins: frozenset[str]
    asked: frozenset[str]
    modules: tuple[tuple[str, types.ModuleType, tuple[tuple[str, Any], ...]], ...]
    builtins: tuple[tuple[str, Any], ...]
    relied: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Check:
        """Compile one.

        Raises:
            SyntaxError, ValueError, MemoryError, RecursionError: as `compile`.
        """
        tree = ast.parse(text, "<check>")
        body = tree.body
        first = next((at for at, node in enumerate(body) if _decides(node)), len(body))
        wants = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
        modules = {name: sys.modules[name] for name in _imported(tree) if name in sys.modules}
        return cls(
            head=_compiled(body[:first]),
            tail=_compiled(body[first:]),
            sets=frozenset(_bound(body[:first])),
            wants=wants,
            binds=frozenset(_rebound(tree)),
            own_builtins=frozenset(_called_builtins(body[first:])),
            asked=frozenset(_asked(tree)),
            modules=tuple((name, module, tuple(vars(module).items())) for name, module in modules.items()),
            builtins=tuple(vars(builtins).items()),
            # Looking at a thing copies its page, so only those are looked at that the check can come to use: all of
            # them where it can reach them by other ways than by name.
            relied=_BUILTIN_NAMES if wants & _ROUNDABOUT else (wants & _BUILTIN_NAMES) | _ALWAYS_USED,
        )


def _compiled(body: list[ast.stmt]) -> types.CodeType:
    return compile(ast.Module(body=body, type_ignores=[]), "<check>", "exec", dont_inherit=True)


def _decides(node: ast.stmt) -> bool:
    """Whether a statement asks something of the program, rather than naming something for later."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return False
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    return not isinstance(node, kinds)


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        else:
            yield from (name.id for name in ast.walk(node) if isinstance(name, ast.Name))


def _rebound(tree: ast.AST) -> Iterator[str]:
    """Names that the check may give another meaning as it runs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
            yield from _bound([node])


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _called_builtins(body: list[ast.stmt]) -> Iterator[str]:
    """Names of built-ins that must be the program's: what a statement asks about, when it asks about nothing else."""
    for node in body:
        calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
        called = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
        if called and called <= _BUILTIN_NAMES:
            yield from called
        if isinstance(node, ast.Expr):
            handed = (argument for call in calls for argument in call.args)
            yield from (name.id for name in handed if isinstance(name, ast.Name) and name.id in _BUILTIN_NAMES)


def _asked(tree: ast.Module) -> Iterator[str]:
    """Names whose results are compared with what is not theirs, or that are handed to the check's own function."""
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield from (argument.id for argument in statement.value.args if isinstance(argument, ast.Name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for side in sides:
                if isinstance(side, ast.Call) and isinstance(side.func, ast.Name):
                    others = [name for other in sides if other is not side for name in _names_in(other)]
                    if side.func.id not in others:  # objects of a class may be compared with one another
                        yield side.func.id


def _names_in(node: ast.expr) -> Iterator[str]:
    return (name.id for name in ast.walk(node) if isinstance(name, ast.Name))


class Guard:
    """Runs one check after one program."""

    def __init__(self, check: Check, names: dict[str, Any], library: Library) -> None:
        self._check = check
        self._names = names
        self._library = library
        self._builtins = dict(check.builtins)
        self._untouched = tuple((name, self._builtins[name]) for name in sorted(check.relied))
        self._apart: dict[str, Any] = {"__builtins__": self._builtins}
        self._given: dict[str, Any] = {}

    def steps(self) -> Iterator[None]:
        """An iterator of C objects that does everything in order; nothing happens before it is asked."""
        check, apart = self._check, self._apart
        calls = (self._prepare, exec, self._share, exec, self._verify)
        arguments: tuple[tuple[Any, ...], ...] = ((), (check.head, apart), (), (check.tail, apart), ())
        return iter(map(_apply, calls, arguments))

    def _prepare(self) -> None:
        """Give the check the program's names, its own built-ins, and modules as they were."""
        check = self._check
        for name, module, contents in check.modules:
            sys.modules[name] = module
            vars(module).update(contents)
        for name in check.wants:
            if name in self._names and (name not in _BUILTIN_NAMES or name in check.own_builtins):
                value = self._names[name]
                # A class is left a class, so that the check can make its objects, unless it stands for the function.
                is_class = any(base is type for base in _bases(type(value)))
                watch = callable(value) and (name in check.asked or not is_class)
                self._given[name] = _watched(value, self._library) if watch else value
        self._apart.update(self._given)

    def _share(self) -> None:
        """Let the program see what the check named, as it would in one text."""
        for name in self._check.sets:
            if name in self._apart:
                self._names[name] = self._apart[name]

    def _verify(self) -> None:
        """Look whether what the check relied on is still what it was."""
        now = self._builtins
        if self._apart.get("__builtins__") is not now or any(now.get(k) is not v for k, v in self._untouched):
            raise TamperingError("the check's built-ins were replaced")
        for name, value in self._given.items():
            if self._apart.get(name) is not value and name not in self._check.binds:
                raise TamperingError(f"the name {name} was changed under the check")
        for name, module, contents in self._check.modules:
            now = vars(module) if sys.modules.get(name) is module else {}
            if any(now.get(key) is not value for key, value in contents if type(key) is str):
                raise TamperingError(f"the module {name} was changed under the check")


def _apply(function: Any, arguments: tuple[Any, ...]) -> None:
    function(*arguments)


def _watched(function: Any, library: Library) -> Any:
    """The program's function, with a look at what it returns."""

    def call(*arguments: Any, **named: Any) -> Any:
        value = function(*arguments, **named)
        if id(type(value)) not in PLAIN:
            look_into(value, library)
        return value

    if type(function) is types.FunctionType:
        call.__name__, call.__qualname__, call.__doc__ = function.__name__, function.__qualname__, function.__doc__
        call.__dict__.update(function.__dict__)
    call.__wrapped__ = function  # type: ignore[attr-defined]
    return call

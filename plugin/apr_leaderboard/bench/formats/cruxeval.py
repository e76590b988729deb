"""CRUXEval (Gu et al. 2024, arXiv 2401.03065): what does this function return, or what must it be given.

Fields on the hub: code, input, output, id. Option `task`: output (say what f returns) or input (find arguments).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from apr_leaderboard.bench.benchmark import Benchmark
from apr_leaderboard.bench.extraction.clean import clean
from apr_leaderboard.bench.formats.functions import option
from apr_leaderboard.bench.problem import Extraction, Problem
from apr_leaderboard.bench.rows import Row

__all__ = ["CruxEvalFormat"]

_TAGS = re.compile(r"\[ANSWER\](.*?)(?:\[/ANSWER\]|\Z)", re.DOTALL)
_FENCED = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_MAKERS = frozenset({"set", "frozenset", "dict", "list", "tuple", "range"}) | frozenset(
    {"float", "int", "str", "bytes", "bytearray", "complex"}
)
_PLAIN = (
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Set,
    ast.Dict,
    ast.UnaryOp,
    ast.BinOp,
    ast.operator,
    ast.unaryop,
    ast.expr_context,
    ast.keyword,
    ast.Starred,
)


class CruxEvalFormat:
    """The answer is one expression; neither may it call f to find out, nor be an object that equals everything."""

    name = "cruxeval"
    options = frozenset({"task"})

    def problems(self, rows: Iterable[Row], benchmark: Benchmark) -> Iterator[Problem]:
        """One problem per row; the canonical program gives the row's own answer."""
        task = option(benchmark, "task", ("output", "input"))
        for row in rows:
            code, given, wanted = row.text("code"), row.text("input"), row.text("output")
            shown = f"assert f({given}) == ??" if task == "output" else f"assert f(??) == {wanted}"
            prompt = f"{code}\n{shown}\n"
            yield Problem(
                benchmark=benchmark.name,
                format=self.name,
                task_id=f"CRUXEval/{row.text('id')}",
                entry_point="f",
                style="write",
                prompt=prompt,
                instruction=_instruction(prompt, task),
                raw=prompt.replace("??\n", "") if task == "output" else prompt,
                raw_stop=("\n",) if task == "output" else ("\n[",),
                canonical=f"_answer = {wanted}\n" if task == "output" else f"{code}\n\n_answer = f({given})\n",
                # The code is not there when an output is checked: an answer cannot ask it.
                setup="" if task == "output" else f"{code}\n\n",
                check=f"assert _answer == ({wanted})\n",
                stop=benchmark.stop,
                meta={"task": task},
            )

    def extract(self, text: str, problem: Problem, prefill: str) -> Extraction:
        """The last expression in [ANSWER] tags, else in a fence, else the last line with one; the assert around it
        is taken off."""
        answer = clean(prefill + text)
        for found in (_TAGS.findall(answer), _FENCED.findall(answer), [answer]):
            for part in reversed(found):
                expression = _expression(part, problem.meta["task"])
                if expression is not None:
                    return Extraction(program=f"_answer = {expression}\n", how="expression")
        return Extraction(program="", how="no-code", no_code=True)

    def source(self, problem: Problem, program: str) -> str:
        """The function, where arguments are asked for, and the answer; an answer that is no plain value is refused."""
        value = program.removeprefix("_answer = ")
        if not _is_plain(value, problem.meta["task"]):
            return 'raise ValueError("the answer is no plain value")\n'
        return problem.setup + program

    def reference(self, problem: Problem, program: str) -> str:
        """The row's own answer, however it is written."""
        del problem
        return program

    def planted_wrong(self, problem: Problem) -> str:
        """A value no sample has, or arguments f cannot take."""
        return "_answer = 'no sample has this'\n" if problem.meta["task"] == "output" else "_answer = f(*range(99))\n"


def _instruction(prompt: str, task: str) -> str:
    if task == "output":
        ask = (
            "Say what this function returns: complete the assert with a literal (no function calls), "
            "and give the whole assert between [ANSWER] and [/ANSWER]."
        )
    else:
        ask = (
            "Find arguments for which this assert holds (there may be several; give one), "
            "and give the whole assert between [ANSWER] and [/ANSWER]."
        )
    return f"{ask}\n\n[PYTHON]\n{prompt}[/PYTHON]"


def _expression(text: str, task: str) -> str | None:
    for line in reversed([text.strip(), *text.strip().split("\n")]):
        found = _from_line(line.strip().strip("`"), task)
        if found is not None:
            return found
    return None


def _from_line(line: str, task: str) -> str | None:
    """The wanted side of `assert f(...) == ...`, or the expression itself."""
    line = re.sub(r"^assert\s+", "", line)
    line = re.sub(r"^==\s*", "", line)
    try:
        tree = ast.parse(line, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if isinstance(tree, ast.Compare) and len(tree.ops) == 1 and isinstance(tree.ops[0], ast.Eq):
        sides = (tree.comparators[0], tree.left) if task == "output" else (tree.left, tree.comparators[0])
        tree = next((side for side in sides if _calls_f(side) == (task == "input")), sides[0])
    if isinstance(tree, ast.Name):
        return None  # a word of prose
    if task == "input" and not _calls_f(tree):
        inner = ast.unparse(tree)
        return f"f({inner[1:-1] if isinstance(tree, ast.Tuple) and len(tree.elts) > 1 else inner})"
    return ast.unparse(tree)


def _calls_f(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "f"


def _is_plain(value: str, task: str) -> bool:
    try:
        tree = ast.parse(value.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    parts: list[ast.AST] = [tree]
    if task == "input":
        if not (isinstance(tree, ast.Call) and _calls_f(tree)):
            return False
        parts = [*tree.args, *(keyword.value for keyword in tree.keywords)]
    return all(_plain_node(node) for part in parts for node in ast.walk(part))


def _plain_node(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _MAKERS
    if isinstance(node, ast.Name):
        return node.id in _MAKERS
    return isinstance(node, _PLAIN)

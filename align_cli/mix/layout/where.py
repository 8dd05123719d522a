"""The filter of a source, such as `score >= 4 and "en" in languages`: checked before any work, evaluated safely.

Names are the file's columns; see docs/how-to/bring-your-data.md for the words. Nothing of Python is reachable:
only the kinds of expression in `_ALLOWED` and the functions in `where_eval.FUNCTIONS` exist, and none of them can make
a value much larger than the row or take long, but for `matches`, whose pattern is its author's.

Null (also: no such column in this row, no such field) is no value: what is computed from it is null, and a row for
which the filter gives null does not match. Values of kinds that cannot be compared make the row a bad one.
"""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from align_cli.mix.layout import values, where_eval
from align_cli.mix.layout.turns import BadRowError

_MAX_LENGTH = 2000  # characters of an expression
_MAX_DEPTH = 40  # expressions inside each other
_MAX_PATTERN = 200  # characters of a regular expression
_ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.BinOp, ast.Add, ast.Sub,
    ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In,
    ast.NotIn, ast.Is, ast.IsNot, ast.IfExp, ast.Call, ast.Constant, ast.Name, ast.Load, ast.Store, ast.Attribute,
    ast.Subscript, ast.Slice, ast.List, ast.Tuple, ast.GeneratorExp, ast.comprehension,
)  # fmt: skip


class WhereError(Exception):
    """The expression is wrong; the text says where, `hint` what to write."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Filter:
    """A compiled expression: `filter(row)` says whether the row matches. Not for several threads at once."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self._tree = _parsed(expression)
        self.columns: tuple[str, ...] = tuple(_columns(self._tree))
        """The columns that a source must have, in the order of their mention."""
        self._evaluator: Any = None

    def __call__(self, row: Mapping[str, Any]) -> bool:
        """Whether the row matches.

        Raises:
            BadRowError: values of the row cannot be compared as the expression wants it.
        """
        return bool(self.value(row))

    def value(self, row: Mapping[str, Any]) -> bool | None:
        """As a call, but None when it cannot be said because something is null."""
        if self._evaluator is None:
            self._evaluator = where_eval.evaluator()  # made here, so that a filter can be sent to another process
        self._evaluator.row = row
        found = self._evaluator.evaluate(self._tree.body)
        if found is None or isinstance(found, (bool, int, float)):
            return None if found is None else bool(found)
        raise BadRowError(f"where: gives {values.kind(found)}, not true or false", "compare it with something")

    def __reduce__(self) -> tuple[Any, ...]:
        return Filter, (self.expression,)


def compiled(expression: str) -> Filter:
    """The expression as a filter of rows.

    Raises:
        WhereError: it cannot be read, or uses what filters do not have.
    """
    return Filter(expression)


def check_columns(found: Filter, present: Sequence[str]) -> None:
    """Say which column the filter names and the source does not have.

    Raises:
        WhereError: there is one.
    """
    for column in found.columns:
        if column in present:
            continue
        dotted = [name for name in present if name.startswith(f"{column}.")]
        near = difflib.get_close_matches(column, present, n=1)
        if dotted:
            hint = f'a name with a dot is written column("{dotted[0]}")'
        elif near:
            hint = f"did you mean {near[0]}?"
        else:
            hint = f'the columns are {values.listed(present)}; text is written in quotes: "{column}"'
        raise WhereError(f'where: there is no column "{column}"', hint)


def _parsed(expression: str) -> ast.Expression:
    if len(expression) > _MAX_LENGTH:
        raise WhereError(f"where: the expression has {len(expression)} characters; at most {_MAX_LENGTH} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of "\\d" in a pattern
            tree = ast.parse(expression.strip(), mode="eval")
    except SyntaxError as error:
        place = f" at column {error.offset}" if error.offset else ""
        message = error.msg.partition(". ")[0]
        raise WhereError(
            f'where: not an expression: {message[:1].lower()}{message[1:]}{place} of "{expression.strip()[:80]}"',
            'write e.g. score >= 4 and "en" in languages',
        ) from None
    except (ValueError, MemoryError, RecursionError):
        raise WhereError(
            "where: the expression cannot be read: it is nested too deeply, or holds a null byte"
        ) from None
    _check(tree, 0, frozenset())
    return tree


def _check(node: ast.AST, depth: int, local: frozenset[str]) -> None:
    """Refuse everything that is not on the lists."""
    if depth > _MAX_DEPTH:
        raise WhereError(f"where: expressions are nested deeper than {_MAX_DEPTH}")
    if not isinstance(node, _ALLOWED):
        raise _refused(node)
    if isinstance(node, ast.Call):
        _check_call(node)
        inner: list[ast.AST] = [*node.args]
        for argument in inner:
            _check(argument, depth + 1, local)
        return
    if isinstance(node, ast.GeneratorExp):
        raise WhereError(
            f"where: a loop stands in any(…) or all(…) only (column {node.col_offset + 1})",
            'write e.g. any(turn.role == "tool" for turn in messages)',
        )
    if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
        raise _refused(node)
    if isinstance(node, ast.Constant) and not isinstance(node.value, (str, int, float, bool, type(None))):
        raise _refused(node)
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for place, comparison in enumerate(node.ops):
            null = any(isinstance(one, ast.Constant) and one.value is None for one in operands[place : place + 2])
            if null and isinstance(comparison, (ast.Eq, ast.NotEq)):
                node.ops[place] = ast.Is() if isinstance(comparison, ast.Eq) else ast.IsNot()
            elif isinstance(comparison, (ast.Is, ast.IsNot)) and not null:
                raise WhereError("where: `is` is for null only", "write ==, or is None")
    for child in ast.iter_child_nodes(node):
        _check(child, depth + 1, local)


def _check_call(node: ast.Call) -> None:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in where_eval.FUNCTIONS:
        what = name or ast.unparse(node.func)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        near = difflib.get_close_matches(method or name, where_eval.FUNCTIONS, n=1)
        if method in where_eval.FUNCTIONS:
            hint = f"write {method}(TEXT, …) instead of TEXT.{method}(…)"
        else:
            hint = f"did you mean {near[0]}?" if near else f"functions: {', '.join(sorted(where_eval.FUNCTIONS))}"
        raise WhereError(f'where: there is no function "{what}" (column {node.col_offset + 1})', hint)
    least, most = where_eval.ARGUMENTS[name]
    if node.keywords or not least <= len(node.args) <= most or any(isinstance(one, ast.Starred) for one in node.args):
        wanted = str(least) if least == most else f"{least} to {most}"
        raise WhereError(f"where: {name}(…) takes {wanted} value{'s' if most > 1 else ''}")
    if name == "column" and not _is_text(node.args[0]):
        raise WhereError("where: column(…) takes a name in quotes", 'write e.g. column("Answer.sentence1")')
    if name == "matches":
        _check_pattern(node.args[1])
    if name in ("any", "all") and isinstance(node.args[0], ast.GeneratorExp):
        loop = node.args[0]
        if len(loop.generators) != 1 or not isinstance(loop.generators[0].target, ast.Name):
            raise WhereError(f"where: {name}(…) takes one loop over one name")
        inner = [part for part in ast.walk(loop) if isinstance(part, ast.GeneratorExp)]
        if len(inner) > 1:
            raise WhereError("where: a loop inside a loop is not possible")
        # The loop's parts are looked at one by one: the generator itself is refused everywhere else.
        for part in (loop.elt, loop.generators[0].iter, *loop.generators[0].ifs):
            _check(part, 1, frozenset())
        node.args = [where_eval.Loop(loop)]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _check_pattern(node: ast.AST) -> None:
    """A pattern is written out, compiles, and has no repeat of a repeat, which can take longer than anybody waits."""
    pattern = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
    if pattern is None or len(pattern) > _MAX_PATTERN:
        raise WhereError(f"where: matches(…) takes a pattern in quotes, of at most {_MAX_PATTERN} characters")
    try:
        where_eval.pattern(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise WhereError(f'where: "{pattern}" is no regular expression: {error}') from None
    if re.search(r"\((?:[^()\\]|\\.)*[*+}](?:[^()\\]|\\.)*\)\s*[*+{]", pattern):
        raise WhereError(
            f'where: "{pattern}" repeats a repeat, which can take forever', "write the inner group without * or +"
        )


def _refused(node: ast.AST) -> WhereError:
    what = {ast.Pow: "**", ast.JoinedStr: 'f"…"', ast.Lambda: "lambda", ast.NamedExpr: ":="}.get(type(node))
    what = what or type(node).__name__
    place = f" (column {node.col_offset + 1})" if hasattr(node, "col_offset") else ""
    return WhereError(
        f"where: {what} is not possible here{place}",
        "comparisons, and, or, not, in, + - * / // %, fields and these functions: "
        + ", ".join(sorted(where_eval.FUNCTIONS)),
    )


def _columns(tree: ast.AST) -> dict[str, None]:
    """Names of columns that must exist: those of loops and those with a value for their absence are left out."""
    found: dict[str, None] = {}

    def look(node: ast.AST, local: frozenset[str]) -> None:
        if isinstance(node, where_eval.Loop):
            loop = node.loop
            (generator,) = loop.generators
            look(generator.iter, local)
            inside = local | {generator.target.id} if isinstance(generator.target, ast.Name) else local
            for part in (loop.elt, *generator.ifs):
                look(part, inside)
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "column":
                if len(node.args) == 1 and isinstance(node.args[0], ast.Constant):
                    found.setdefault(str(node.args[0].value))
                return
            for argument in node.args:
                look(argument, local)
        elif isinstance(node, ast.Name):
            if node.id not in local:
                found.setdefault(node.id)
        else:
            for child in ast.iter_child_nodes(node):
                look(child, local)

    look(tree, frozenset())
    return found

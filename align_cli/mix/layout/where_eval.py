"""How a filter's expression is evaluated: simpleeval's walk over the tree, with null, fields and functions of our own.

`where` has checked the tree before: what comes here is on its lists.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from align_cli.mix.layout import values
from align_cli.mix.layout.turns import BadRowError


class Loop(ast.Name):
    """A checked `for` inside any(…) or all(…)."""

    _fields = ()

    def __init__(self, loop: ast.GeneratorExp) -> None:
        super().__init__(id="", ctx=ast.Load())
        self.loop = loop


@lru_cache(maxsize=64)
def pattern(text: str) -> re.Pattern[str]:
    """The compiled regular expression."""
    return re.compile(text)


def evaluator() -> Any:
    """The evaluator: simpleeval's walk over the tree, with null, fields and functions as they are here."""
    import simpleeval

    class Evaluator(simpleeval.EvalWithCompoundTypes):  # type: ignore[misc]
        row: Mapping[str, Any] = {}
        local: Mapping[str, Any] = {}

        def __init__(self) -> None:
            super().__init__(operators=_OPERATORS, functions={}, names={})
            self.nodes.update(
                {
                    ast.Name: self._name,
                    ast.Attribute: self._field,
                    ast.Subscript: self._item,
                    ast.BoolOp: self._logic,
                    ast.Call: self._call,
                    Loop: self._loop,
                }
            )

        def evaluate(self, node: ast.AST) -> Any:
            self.local = {}
            return self._eval(node)

        def _check_disallowed_items(self, item: Any) -> None:
            """Nothing to look for: rows hold data only, and walking it would cost more than the expression."""

        def _name(self, node: ast.Name) -> Any:
            return self.local[node.id] if node.id in self.local else self.row.get(node.id)

        def _field(self, node: ast.Attribute) -> Any:
            return _item_of(self._eval(node.value), node.attr)

        def _item(self, node: ast.Subscript) -> Any:
            value = values.unpacked(self._eval(node.value))
            if isinstance(node.slice, ast.Slice):
                if value is None:
                    return None
                if not isinstance(value, (str, list)):
                    raise _clash(f"{values.kind(value)} has no parts [:]")
                ends = [None if end is None else self._eval(end) for end in (node.slice.lower, node.slice.upper)]
                if node.slice.step is not None or not all(end is None or isinstance(end, int) for end in ends):
                    raise _clash("[:] takes whole numbers")
                return value[ends[0] : ends[1]]
            return _item_of(value, self._eval(node.slice))

        def _logic(self, node: ast.BoolOp) -> Any:
            stop = isinstance(node.op, ast.Or)  # the value that decides
            unknown = False
            for part in node.values:
                value = self._eval(part)
                if value is None:
                    unknown = True
                elif bool(value) is stop:
                    return stop
            return None if unknown else not stop

        def _call(self, node: ast.Call) -> Any:
            name: str = node.func.id  # type: ignore[attr-defined]
            if name == "column":
                value = self.row.get(node.args[0].value)  # type: ignore[attr-defined]
                return self._eval(node.args[1]) if value is None and len(node.args) > 1 else value
            given = [self._eval(argument) for argument in node.args]
            if any(value is None for value in given):
                return None
            try:
                return FUNCTIONS[name](*given)
            except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
                shown = ", ".join(values.kind(value) for value in given)
                raise _clash(f"{name}(…) cannot take {shown} ({error})") from None

        def _loop(self, node: Loop) -> Any:
            (generator,) = node.loop.generators
            items = values.unpacked(self._eval(generator.iter))
            if items is None:
                return None
            if not isinstance(items, list):
                raise _clash(f"a loop runs over a list, not {values.kind(items)}")
            made = []
            for item in items:
                self.local = {generator.target.id: item}  # type: ignore[attr-defined]
                if all(self._eval(condition) for condition in generator.ifs):
                    made.append(self._eval(node.loop.elt))
            self.local = {}
            return made

    return Evaluator()


def _item_of(value: Any, key: Any) -> Any:
    """A field of an object or an item of a list or text; null when there is none."""
    value = values.unpacked(value)
    if value is None or key is None:
        return None
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, (list, str)) and isinstance(key, int):
        return value[key] if -len(value) <= key < len(value) else None
    raise _clash(f'{values.kind(value)} has no field "{key}"')


def _clash(what: str, hint: str = "") -> BadRowError:
    return BadRowError(f"where: {what}", hint)


def _sort(value: Any) -> str:
    """Values of one sort can be compared."""
    if isinstance(value, (bool, int, float)):
        return "number"
    return "text" if isinstance(value, str) else type(value).__name__


def _comparison(symbol: str, work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool | None]:
    def compared(left: Any, right: Any) -> bool | None:
        if left is None or right is None:
            return None
        if left.__class__ is not right.__class__ and _sort(left) != _sort(right):
            shown = " and ".join(f"{values.kind(one)} ({str(one)[:20]})" for one in (left, right))
            hint = "write number(COLUMN) for text that is a number" if "a number" in shown else ""
            raise _clash(f"{shown} cannot be compared with {symbol}", hint)
        try:
            return bool(work(left, right))
        except TypeError:
            raise _clash(f"{values.kind(left)} cannot be compared with {symbol}") from None

    return compared


def _arithmetic(symbol: str, work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def computed(left: Any, right: Any) -> Any:
        if left is None or right is None:
            return None
        texts = isinstance(left, str) and isinstance(right, str)
        if not (symbol == "+" and texts) and not (_sort(left) == _sort(right) == "number"):
            raise _clash(f"{values.kind(left)} {symbol} {values.kind(right)} cannot be computed")
        try:
            return work(left, right)
        except (ZeroDivisionError, OverflowError):
            return None

    return computed


def _contains(item: Any, container: Any) -> bool | None:
    container = values.unpacked(container)
    if item is None or container is None:
        return None
    if isinstance(container, str) and not isinstance(item, str):
        raise _clash(f"{values.kind(item)} cannot be in text")
    if not isinstance(container, (str, list, tuple, dict)):
        raise _clash(f"nothing can be in {values.kind(container)}")
    try:
        return item in container
    except TypeError:
        return False


def _lacks(item: Any, container: Any) -> bool | None:
    found = _contains(item, container)
    return None if found is None else not found


def _negative(value: Any) -> Any:
    if value is not None and _sort(value) != "number":
        raise _clash(f"-{values.kind(value)} cannot be computed")
    return None if value is None else -value


_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Eq: _comparison("==", operator.eq),
    ast.NotEq: _comparison("!=", operator.ne),
    ast.Lt: _comparison("<", operator.lt),
    ast.LtE: _comparison("<=", operator.le),
    ast.Gt: _comparison(">", operator.gt),
    ast.GtE: _comparison(">=", operator.ge),
    ast.In: _contains,
    ast.NotIn: _lacks,
    ast.Is: lambda left, right: left is right,
    ast.IsNot: lambda left, right: left is not right,
    ast.Not: lambda value: None if value is None else not value,
    ast.USub: _negative,
    ast.UAdd: lambda value: value,
    ast.Add: _arithmetic("+", operator.add),
    ast.Sub: _arithmetic("-", operator.sub),
    ast.Mult: _arithmetic("*", operator.mul),
    ast.Div: _arithmetic("/", operator.truediv),
    ast.FloorDiv: _arithmetic("//", operator.floordiv),
    ast.Mod: _arithmetic("%", operator.mod),
}


def _number(value: Any) -> float | int | None:
    if isinstance(value, (bool, int, float)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _length(value: Any) -> int:
    return len(values.unpacked(value) if isinstance(value, str) and value[:1] == "[" else value)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": _length,
    "words": lambda text: len(str.split(text)),
    "lower": str.lower,
    "upper": str.upper,
    "strip": lambda text: str.strip(text),
    "startswith": lambda text, start: str.startswith(text, start),
    "endswith": lambda text, end: str.endswith(text, end),
    "matches": lambda text, wanted: pattern(wanted).search(text) is not None,
    "number": _number,
    "abs": abs,
    "round": lambda value: round(value),
    "min": lambda value, *more: min(value, *more) if more or value else None,
    "max": lambda value, *more: max(value, *more) if more or value else None,
    "sum": sum,
    "any": any,
    "all": all,
    "column": lambda name: None,
}
_ONE = ("len", "words", "lower", "upper", "strip", "number", "abs", "round", "sum", "any", "all")
_TWO = ("startswith", "endswith", "matches")
#: Function -> fewest and most values that it takes.
ARGUMENTS = dict.fromkeys(_ONE, (1, 1)) | dict.fromkeys(_TWO, (2, 2)) | {"min": (1, 9), "max": (1, 9), "column": (1, 2)}

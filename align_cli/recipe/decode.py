"""Values typed by their field, and a recipe as plain JSON and back.

`encode` and `decode` are exact inverses and know nothing of interpolation: a worker must read the text `${x}` or
`???` as the text it is.
"""

from __future__ import annotations

import ast
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import Any

from align_cli.recipe import secrets
from align_cli.recipe.fields import Field
from align_cli.recipe.schema import Clean, Launch, Mixture, Note, Origin, Recipe, Source

TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
FALSE_WORDS = frozenset({"false", "no", "off", "0"})
NULL_WORDS = frozenset({"null", "none", "~"})


class WrongType(ValueError):
    """The value does not fit; the message says what was expected."""


def typed(field: Field, value: Any, text: str | None = None) -> Any:
    """`value` as `field` wants it; `text` is the scalar as written, where it was written plainly.

    An integer stays one in a float field. A string is converted: command lines have nothing else, and YAML reads
    `5e-7` as one.

    Raises:
        WrongType: it does not fit.
    """
    kinds = kinds_of(field.annotation)
    if field.name.endswith("_kwargs"):
        kinds -= {"str"}  # upstream admits text for the sake of JSON on its command line; any other text is no mapping
    if value is None:
        if field.default == "none":
            return "none"
        if "none" in kinds or "any" in kinds:
            return None
        raise WrongType(f"{_wanted(field, kinds)}, not null")
    if field.choices and "list" in kinds:
        return _choices(field, kinds, value)
    if field.choices and not isinstance(value, dict | list):
        return _choice(field, kinds, value, text)
    if isinstance(value, bool):
        return _from_bool(field, kinds, value, text)
    if isinstance(value, int | float):
        return _from_number(field, kinds, value, text)
    if isinstance(value, str):
        return _from_text(field, kinds, value)
    if isinstance(value, dict) and kinds & {"dict", "any"}:
        return value
    if isinstance(value, list) and kinds & {"list", "any"}:
        return [_item(field, kinds, item) for item in value]
    raise WrongType(f"{_wanted(field, kinds)}, not {_called(value)}")


@cache
def kinds_of(annotation: str) -> frozenset[str]:
    """What an annotation admits: none, bool, int, float, str, dict, list, list:ITEM, any."""
    try:
        return frozenset(_kinds(ast.parse(annotation, mode="eval").body))
    except SyntaxError:
        return frozenset({"any"})


def is_flag(field: Field) -> bool:
    """Whether `--key` alone means true."""
    return "bool" in kinds_of(field.annotation)


def encode(recipe: Recipe) -> dict[str, Any]:
    """Plain JSON. Secrets of `env` are left out by value: the worker finds them in its environment."""
    document = {field.name: _plain(getattr(recipe, field.name)) for field in fields(recipe)}
    document["env"] = {name: None if secrets.is_secret(name) else value for name, value in recipe.env.items()}
    document["mixture"] = _plain(asdict(recipe.mixture))
    document["launch"] = _plain(asdict(recipe.launch))
    document["origins"] = {key: [origin.kind, origin.place] for key, origin in recipe.origins.items()}
    document["notes"] = [[note.key, note.message, note.where] for note in recipe.notes]
    return document


def decode(document: Mapping[str, Any]) -> Recipe:
    """The recipe that `encode` was given."""
    mixture = dict(document["mixture"])
    for name in ("sources", "eval"):
        mixture[name] = tuple(_source(item) for item in mixture[name])
    mixture["clean"] = Clean(**{word: _tuple(value) for word, value in mixture["clean"].items()})
    rest = {name: _back(document[name]) for name in ("values", "defaults", "behaviours")}
    env = {name: os.environ.get(name, "") if value is None else str(value) for name, value in document["env"].items()}
    return Recipe(
        task=document["task"],
        path=document["path"],
        text=document["text"],
        overrides=tuple(document["overrides"]),
        mixture=Mixture(**mixture),
        launch=Launch(**document["launch"]),
        profile=document["profile"],
        env=env,
        origins={key: Origin(kind, place) for key, (kind, place) in document["origins"].items()},
        notes=tuple(Note(*note) for note in document["notes"]),
        **rest,
    )


def _source(item: Mapping[str, Any]) -> Source:
    return Source(**{word: _tuple(value) for word, value in item.items()})


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value) and "$items" not in value:
            return {key: _plain(item) for key, item in value.items()}
        return {"$items": [[key, _plain(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _back(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$items"}:
            return {key: _back(item) for key, item in value["$items"]}
        return {key: _back(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_back(item) for item in value]
    return value


def _kinds(node: ast.expr) -> set[str]:
    if isinstance(node, ast.BinOp):
        return _kinds(node.left) | _kinds(node.right)
    if isinstance(node, ast.Constant):
        return {"none"} if node.value is None else _kinds(ast.parse(str(node.value), mode="eval").body)
    if isinstance(node, ast.Subscript):
        name = ast.unparse(node.value).rpartition(".")[2]
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name == "Optional":
            return {"none"} | _kinds(inner[0])
        if name == "Union":
            return {kind for part in inner for kind in _kinds(part)}
        if name == "Literal":
            values = [part.value for part in inner if isinstance(part, ast.Constant)]
            return {"none" if value is None else type(value).__name__ for value in values}
        if name.lower() in {"list", "tuple", "sequence", "set"}:
            return {"list"} | {f"list:{kind}" for kind in _kinds(inner[0])}
        return {"dict"} if name.lower() in {"dict", "mapping"} else {"any"}
    name = ast.unparse(node).rpartition(".")[2]
    if name in {"bool", "int", "float", "str"}:
        return {name}
    if name.lower() in {"list", "dict"}:
        return {name.lower()}
    # An enum's values are strings, and its field has choices or accepts str as well; other classes take mappings.
    return {"dict"} if name.endswith("Config") else {"any"} if name == "Any" else {"str"}


def _choice(field: Field, kinds: frozenset[str], value: Any, text: str | None) -> Any:
    said = value
    if isinstance(value, bool) and "no" in field.choices and not value:
        return "no"  # YAML 1.1 reads an unquoted `no` as false
    if not isinstance(value, str):
        said = text if text is not None else str(value)
    if said in field.choices:
        return said
    if said.lower() in NULL_WORDS and "none" in kinds:
        return None
    if said.lower() in field.choices:
        return said.lower()
    import difflib

    longer = [choice for choice in field.choices if choice.startswith(f"{said.lower()}_")]
    near = longer[:2] or difflib.get_close_matches(said.lower(), field.choices, n=2, cutoff=0.6)
    shown = list(field.choices) if len(field.choices) <= 12 else [*field.choices[:8], "…"]
    hint = f"did you mean {' or '.join(near)}?" if near else ""
    raise WrongType(f"one of {', '.join(shown)}, not {_called(value)}" + (f"; {hint}" if hint else ""))


def _choices(field: Field, kinds: frozenset[str], value: Any) -> list[Any]:
    """A list of choices; one alone, or several with commas between them, may be written without brackets."""
    items = value.strip("[] ").split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    plain = kinds - {"none"}
    return [_choice(field, plain, item.strip(" '\"") if isinstance(item, str) else item, None) for item in items]


def _from_bool(field: Field, kinds: frozenset[str], value: bool, text: str | None) -> Any:
    if kinds & {"bool", "any"} or field.name in _ALSO_BOOL:
        return value
    if _is_word(kinds):
        return text if text is not None else str(value).lower()
    raise WrongType(f"{_wanted(field, kinds)}, not {str(value).lower()}")


#: Typed as text upstream, with true and false having a meaning of their own.
_ALSO_BOOL = frozenset({"fsdp", "resume_from_checkpoint"})


def _from_number(field: Field, kinds: frozenset[str], value: int | float, text: str | None) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise WrongType(f"a finite number, not {value}")
    if "any" in kinds:
        return value
    if isinstance(value, int) and kinds & {"int", "float"}:
        return value
    if isinstance(value, float):
        if "float" in kinds:
            return value
        if "int" in kinds and value.is_integer():
            return int(value)
    if "bool" in kinds and value in (0, 1):
        return bool(value)
    if _is_word(kinds):
        return text if text is not None else str(value)
    if "list" in kinds and "list:str" not in kinds:
        return [_item(field, kinds, value)]
    raise WrongType(f"{_wanted(field, kinds)}, not {value}")


def _is_word(kinds: frozenset[str]) -> bool:
    """Whether a number may be meant as text, as a name can be. A file, or several words, are never spelt as one."""
    return "str" in kinds and not kinds & {"dict", "list"}


_NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?")


def _from_text(field: Field, kinds: frozenset[str], value: str) -> Any:
    word = value.strip()
    if word.lower() in NULL_WORDS and "none" in kinds:
        return word.lower() if word.lower() == field.default else None  # report_to: none is a word of its own
    if kinds & {"dict", "list"} and word[:1] in "{[" and word:
        return typed(field, _flow(field, word))
    if "bool" in kinds and word.lower() in TRUE_WORDS | FALSE_WORDS:
        return word.lower() in TRUE_WORDS
    if field.name in _ALSO_BOOL and word.lower() in {"true", "false"}:
        return word.lower() == "true"
    if kinds & {"int", "float"} and _NUMBER.fullmatch(word):
        number = float(word) if "float" in kinds and not word.lstrip("+-").replace("_", "").isdigit() else None
        if number is None:
            number = float(word.replace("_", ""))
            number = int(number) if number.is_integer() else number
        if isinstance(number, int) or "float" in kinds:
            return number
    if "list" in kinds and ("str" not in kinds or ("," in word and not set(word) & set("|()*^$\\"))):
        return [_item(field, kinds, part.strip()) for part in word.split(",") if part.strip()]
    if kinds & {"str", "any"}:
        return value
    raise WrongType(f'{_wanted(field, kinds)}, not "{value}"')


def _flow(field: Field, word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        pass
    import yaml

    try:
        return yaml.safe_load(word)
    except yaml.YAMLError:
        raise WrongType(f"JSON, and {word[:60]!r} is not") from None


def _item(field: Field, kinds: frozenset[str], value: Any) -> Any:
    inner = frozenset(kind.removeprefix("list:") for kind in kinds if kind.startswith("list:")) or frozenset({"any"})
    if isinstance(value, dict | list):
        return value
    if value is None:
        raise WrongType("a list without null")
    if isinstance(value, str) and inner & {"int", "float"} and _NUMBER.fullmatch(value):
        number = float(value)
        return int(number) if number.is_integer() and "float" not in inner else number
    if isinstance(value, str) or inner & {"any", type(value).__name__}:
        if isinstance(value, str) and not inner & {"str", "any"}:
            raise WrongType(f'a list of numbers, and "{value}" is not one')
        return value
    if isinstance(value, int) and "float" in inner:
        return value
    if "str" in inner:
        return str(value)
    raise WrongType(f"{_wanted(field, kinds)}, not {_called(value)} in it")


def _wanted(field: Field, kinds: frozenset[str]) -> str:
    if field.choices:
        return f"one of {', '.join(field.choices[:12])}"
    words = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text", "dict": "a mapping"}
    if "float" in kinds:
        words.pop("int")
    names = [word for kind, word in words.items() if kind in kinds]
    if "list" in kinds:
        names.append("a list")
    if "none" in kinds:
        names.append("null")
    return " or ".join(names) or "something else"


def _called(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)

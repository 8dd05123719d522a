"""Chat templates, rendered as transformers renders them but without it, compiled once, with the trained spans.

`{% generation %} … {% endgeneration %}` in a template marks what the assistant says; rendering reports where it lies.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from align_cli.errors import RecipeError
from align_cli.files import digest_of
from align_cli.packages import root_of

Messages = Sequence[Mapping[str, Any]]
Span = tuple[int, int]

SHIPPED = ("chatml", "zephyr")
_SHOWN = 80  # characters of a name that may be a whole text
_HERE = Path(__file__).parent
_MARKERS = re.compile(r"\{%-?\s*generation\s*-?%\}")
#: Names under which data sets carry an assistant's reasoning; templates read the first.
_REASONING = ("reasoning_content", "thinking", "reasoning")


class TemplateRefusal(Exception):
    """The template does not accept this conversation, in the template's own words."""


class Rendered(NamedTuple):
    """A conversation as text, and the half-open character ranges that the assistant said."""

    text: str
    spans: list[Span]


@dataclass(frozen=True)
class Template:
    """One chat template. `source` says where it came from, for reports."""

    text: str
    source: str

    @cached_property
    def digest(self) -> str:
        """Digest of what the template would render now: one that prints the date changes from day to day."""
        today = datetime.now().strftime("%Y-%m-%d") if "strftime_now" in self.text else ""
        return digest_of([self.text, today])

    @property
    def has_markers(self) -> bool:
        """Whether it says itself what the assistant generates."""
        return _MARKERS.search(self.text) is not None

    @property
    def knows_system(self) -> bool:
        """Whether it treats a system turn as one (the Handbook's test)."""
        return "system" in self.text or "<|im_start|>" in self.text

    def default_system(self, variables: Mapping[str, Any]) -> str | None:
        """The system text that it puts before a conversation without a system turn; None where it puts none."""
        user, mark = {"role": "user", "content": "…"}, "\ue000"
        try:
            alone = self.render([user], variables)
            before, found, after = self.render([{"role": "system", "content": mark}, user], variables).partition(mark)
        except TemplateRefusal:
            return None
        if not found or not alone.startswith(before) or not alone.endswith(after):
            return None
        said = alone[len(before) : len(alone) - len(after)] if len(before) + len(after) <= len(alone) else ""
        return said.strip() or None

    def render(self, messages: Messages, variables: Mapping[str, Any], *, add_generation_prompt: bool = False) -> str:
        """The conversation as text. `variables` holds the special tokens, and `tools` where there are any.

        Raises:
            TemplateRefusal: the template raised, or used what a message lacks.
        """
        from jinja2.exceptions import TemplateError

        try:
            rendered: str = self._compiled.template.render(
                {"tools": None, "documents": None, **variables},
                messages=normalised(messages),
                add_generation_prompt=add_generation_prompt,
            )
        except (TemplateError, TypeError, ValueError, AttributeError) as cause:
            raise TemplateRefusal(_words(cause)) from cause
        return rendered

    def render_spans(self, messages: Messages, variables: Mapping[str, Any]) -> Rendered:
        """The conversation as text with the spans inside generation markers; no spans without markers."""
        from jinja2.exceptions import TemplateError

        tracker = self._compiled.tracker
        tracker.begin()
        try:
            for piece in self._compiled.template.generate(
                {"tools": None, "documents": None, **variables},
                messages=normalised(messages),
                add_generation_prompt=False,
            ):
                tracker.append(piece)
        except (TemplateError, TypeError, ValueError, AttributeError) as cause:
            raise TemplateRefusal(_words(cause)) from cause
        finally:
            pieces, spans = tracker.end()
        return Rendered("".join(pieces), spans)

    @cached_property
    def _compiled(self) -> _Compiled:
        from jinja2 import TemplateSyntaxError

        tracker = _Tracker()
        try:
            return _Compiled(_environment(tracker).from_string(self.text), tracker)
        except TemplateSyntaxError as cause:
            message = f"{self.source}: line {cause.lineno} of the chat template: {cause.message}"
            raise RecipeError(message, hint="a chat template is written in Jinja") from cause


def resolve(
    *,
    chat_template: str | None,
    chat_template_path: str | None,
    of_tokenizer: str | None,
    otherwise: str | None = None,
    key: str = "chat_template",
) -> Template | None:
    """The template in force: the recipe's, else the tokenizer's, else the one shipped as `otherwise`; else None.

    `chat_template` is Jinja text, a path to a file, or a shipped name; `chat_template_path` a file (a folder is the
    caller's affair, since it brings tokens as well). `key` is what a message calls it.

    Raises:
        RecipeError: both keys are set, or what they name does not exist.
    """
    if chat_template and chat_template_path:
        raise RecipeError("chat_template and chat_template_path are both set", hint="keep one of them")
    if chat_template_path:
        return _from_file(chat_template_path, "chat_template_path")
    if chat_template:
        if chat_template in SHIPPED:
            return shipped(chat_template)
        if "{{" in chat_template or "{%" in chat_template:
            return Template(chat_template, "chat_template")
        return _from_file(chat_template, key)
    if of_tokenizer:
        return Template(of_tokenizer, "the tokenizer")
    return shipped(otherwise) if otherwise else None


def shipped(name: str) -> Template:
    """One of the templates that come with `align`."""
    if name not in SHIPPED:
        raise RecipeError(f'there is no chat template "{name}"', hint=f"shipped: {', '.join(SHIPPED)}")
    return Template((_HERE / f"{name}.jinja").read_text(encoding="utf-8"), f"{name} (shipped)")


def training_variant(template: Template) -> Template | None:
    """TRL's version of a well-known template with generation markers, read from the installed package's files.

    TRL 1.16 ships `NAME.jinja` beside `NAME_training.jinja` and swaps one for the other when `assistant_only_loss` is
    asked of a template without markers; so do we, for the same ids and masks.
    """
    root = root_of("trl")
    for file in sorted((root / "chat_templates").glob("*.jinja")) if root else ():
        marked = file.with_name(f"{file.stem}_training.jinja")
        if marked.is_file() and file.read_text(encoding="utf-8") == template.text:
            return Template(marked.read_text(encoding="utf-8"), f"{marked.stem} (TRL)")
    return None


def normalised(messages: Messages) -> list[dict[str, Any]]:
    """Messages as templates expect them: no null fields, reasoning under its usual names."""
    return [_with_reasoning({key: value for key, value in turn.items() if value is not None}) for turn in messages]


def _with_reasoning(turn: dict[str, Any]) -> dict[str, Any]:
    reasoning = next((turn[key] for key in _REASONING if key in turn), None)
    return turn if reasoning is None else {"thinking": reasoning, **turn, "reasoning_content": reasoning}


def _from_file(name: str, key: str) -> Template:
    path = Path(name).expanduser()
    if not os.path.isfile(path):  # Path.is_file raises for what is too long to be a name
        what = f"{name} is a folder" if os.path.isdir(path) else f"there is no file {name[:_SHOWN]}"
        raise RecipeError(f"{key}: {what}", hint=f"give Jinja text, a file, or {' or '.join(SHIPPED)}")
    return Template(path.read_text(encoding="utf-8"), name)


def _words(cause: Exception) -> str:
    return str(cause) or type(cause).__name__


class _Compiled(NamedTuple):
    template: Any
    tracker: _Tracker


class _Tracker:
    """Counts the characters rendered so far, so that a marked block knows where it begins."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._spans: list[Span] = []
        self._position = 0

    def begin(self) -> None:
        self._pieces, self._spans, self._position = [], [], 0

    def append(self, piece: str) -> None:
        self._pieces.append(piece)
        self._position += len(piece)

    def end(self) -> tuple[list[str], list[Span]]:
        return self._pieces, self._spans

    def mark(self, caller: Callable[[], str]) -> str:
        said = caller()
        self._spans.append((self._position, self._position + len(said)))
        return said


def _environment(tracker: _Tracker) -> Any:
    """Jinja as transformers sets it up: sandboxed, trimming blocks, with its filters and functions."""
    from jinja2 import nodes
    from jinja2.exceptions import SecurityError, TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    class Generation(Extension):
        tags = frozenset({"generation"})  # type: ignore[assignment]

        def parse(self, parser: Any) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("mark"), [], [], body).set_lineno(line)

        def mark(self, caller: Callable[[], str]) -> str:
            return tracker.mark(caller)

    class PlainDict:
        """`dict` for templates, without the attributes of the class."""

        def __call__(self, *args: Any, **fields: Any) -> dict[str, Any]:
            return dict(*args, **fields)

        def fromkeys(self, *args: Any) -> dict[str, Any]:
            return dict.fromkeys(*args)

    class PlainNamespace(Namespace):
        """`namespace` for templates, refusing names that reach into Python."""

        def __init__(*args: Any, **fields: Any) -> None:
            self, given = args[0], dict(*args[1:], **fields)
            for name in given:
                _refuse_private(name)
            Namespace.__init__(self, given)

        def __setitem__(self, name: str, value: Any) -> None:
            _refuse_private(name)
            super().__setitem__(name, value)

    def _refuse_private(name: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise SecurityError(f"a chat template may not store {name!r} on a namespace")

    def tojson(
        value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson  # Jinja's own escapes HTML
    environment.globals.update(
        raise_exception=raise_exception,
        strftime_now=lambda form: datetime.now().strftime(form),
        dict=PlainDict(),
        namespace=PlainNamespace,
    )
    return environment

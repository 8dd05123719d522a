"""Rows become text, and what of it is trained: everything, the assistant's turns, or the completion.

Only text is handled here; `encoding` turns it into tokens and masks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from align_cli.errors import RecipeError
from align_cli.models.templates import Messages, Span, Template, TemplateRefusal, training_variant

Loss = Literal["all", "assistant", "completion", "assistant in completion"]
Row = Mapping[str, Any]

_FIX_MARKERS = (
    "use a chat template with {% generation %} markers (chat_template: chatml), or set assistant_only_loss: false"
)


class Refusal(NamedTuple):
    """A row the template does not accept: its place in the batch and the template's reason."""

    row: int
    reason: str


@dataclass
class Rendering:
    """A batch as text, in order; refused rows have no text."""

    texts: list[str] = field(default_factory=list)
    spans: list[list[Span]] = field(default_factory=list)
    """Trained character ranges per text, where the loss is on the assistant's turns; else empty."""
    prompts: list[str] = field(default_factory=list)
    """The prompt alone per text, where the loss is on the completion; else empty."""
    refused: list[Refusal] = field(default_factory=list)


@dataclass
class AnswersRendering:
    """A batch of prompts with their answers as text, in order; refused rows have no text."""

    prompts: list[str] = field(default_factory=list)
    """Each prompt alone, as a model is asked."""
    wholes: tuple[list[str], ...] = ()
    """For each side, every prompt with that side's answer."""
    refused: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True)
class Renderer:
    """How the rows of one data set become text.

    `variables` are the special tokens that templates may use. `eos` is appended to text and to text completions that
    do not end with it; None appends nothing.
    """

    template: Template | None
    variables: Mapping[str, str]
    loss: Loss
    eos: str | None
    insert_empty_system: bool = False

    def render(self, rows: Iterable[Row]) -> Rendering:
        """A batch of rows of one kind: `messages`, `text`, or `prompt`, alone or with `completion` (text or turns)."""
        made = Rendering()
        for index, row in enumerate(rows):
            try:
                self._render_one(row, made)
            except TemplateRefusal as refusal:
                made.refused.append(Refusal(index, str(refusal)))
        return made

    def render_answers(
        self, rows: Iterable[Row], sides: Sequence[str], *, separately: bool = False
    ) -> AnswersRendering:
        """A batch of rows with a `prompt` and the answers in the columns `sides`, text or turns.

        The conversation is rendered whole for each answer, so that an answer reads exactly as it will when the model
        gives it. `separately` renders prompt and answer each as a conversation of its own and joins the texts: the
        Alignment Handbook's way of 2024, wrong for templates that begin every conversation with something.
        """
        made = AnswersRendering(wholes=tuple([] for _ in sides))
        for index, row in enumerate(rows):
            try:
                prompt, wholes = self._prompt_and_wholes(row, sides, separately=separately)
            except TemplateRefusal as refusal:
                made.refused.append(Refusal(index, str(refusal)))
                continue
            made.prompts.append(prompt)
            for texts, whole in zip(made.wholes, wholes, strict=True):
                texts.append(whole)
        return made

    def assistant_spans(self, messages: Messages, variables: Mapping[str, Any]) -> tuple[str, list[Span]]:
        """The conversation as text, and the ranges the assistant said, each with the marker that ends its turn.

        Raises:
            RecipeError: the template marks nothing and renders a turn differently once others follow, so that what
                the assistant said cannot be told.
        """
        template = self.marked
        if template.has_markers:
            return template.render_spans(messages, variables)
        return self._derived(template, messages, variables)

    @cached_property
    def marked(self) -> Template:
        """The template that masked losses use: the given one, or TRL's version of it that has markers."""
        assert self.template is not None
        return self.template if self.template.has_markers else training_variant(self.template) or self.template

    def _render_one(self, row: Row, made: Rendering) -> None:
        if "messages" in row:
            self._chat(row, row["messages"], made)
        elif "text" in row:
            made.texts.append(self._closed(row["text"]))
        elif "completion" not in row:
            self._prompt_alone(row, made)
        elif isinstance(row["prompt"], str):
            made.texts.append(row["prompt"] + self._closed(row["completion"]))
            if self.loss == "completion":
                made.prompts.append(row["prompt"])
        else:
            self._chat(row, [*row["prompt"], *row["completion"]], made, prompt=row["prompt"])

    def _chat(self, row: Row, messages: Messages, made: Rendering, *, prompt: Messages | None = None) -> None:
        variables = self._variables(row)
        template = self.template if self.loss in ("all", "completion") else self.marked
        assert template is not None
        messages = self._with_system(messages)
        head = None
        if prompt is not None and "completion" in self.loss:
            head = template.render(self._with_system(prompt), variables, add_generation_prompt=True)
        if "assistant" in self.loss:
            text, spans = self.assistant_spans(messages, variables)
            made.spans.append(spans)
        else:
            text = template.render(messages, variables)
        made.texts.append(text)
        if head is not None:
            made.prompts.append(head)

    def _prompt_and_wholes(self, row: Row, sides: Sequence[str], *, separately: bool) -> tuple[str, list[str]]:
        asked = row["prompt"]
        if isinstance(asked, str):
            return asked, [asked + self._closed(row[side]) for side in sides]
        assert self.template is not None
        variables, turns = self._variables(row), self._with_system(asked)
        if separately:
            prompt = self.template.render(turns, variables)
            return prompt, [prompt + self.template.render(row[side], variables) for side in sides]
        prompt = self.template.render(turns, variables, add_generation_prompt=True)
        return prompt, [self.template.render([*turns, *row[side]], variables) for side in sides]

    def _prompt_alone(self, row: Row, made: Rendering) -> None:
        text = row["prompt"]
        if not isinstance(text, str):
            assert self.template is not None
            text = self.template.render(self._with_system(text), self._variables(row), add_generation_prompt=True)
        made.texts.append(text)
        if "completion" in self.loss:
            made.prompts.append(text)

    def _variables(self, row: Row) -> dict[str, Any]:
        variables: dict[str, Any] = dict(self.variables)
        if tools := row.get("tools"):
            variables["tools"] = json.loads(tools) if isinstance(tools, str) else tools
        if extra := row.get("chat_template_kwargs"):
            variables.update(json.loads(extra) if isinstance(extra, str) else extra)
        return variables

    def _with_system(self, messages: Messages) -> Messages:
        if not self.insert_empty_system or not messages or messages[0].get("role") == "system":
            return messages
        assert self.template is not None
        return [{"role": "system", "content": ""}, *messages] if self.template.knows_system else messages

    def _closed(self, text: str) -> str:
        return text if self.eos is None or text.endswith(self.eos) else text + self.eos

    def _derived(self, template: Template, messages: Messages, variables: Mapping[str, Any]) -> tuple[str, list[Span]]:
        """Spans without markers: a turn is what its rendering adds to the conversation before it, asked to answer."""
        text = template.render(messages, variables)
        spans = []
        for index, turn in enumerate(messages):
            if turn.get("role") != "assistant":
                continue
            before = template.render(messages[:index], variables, add_generation_prompt=True)
            through = text if index == len(messages) - 1 else template.render(messages[: index + 1], variables)
            if not (text.startswith(through) and through.startswith(before)):
                raise RecipeError(
                    f"chat template ({template.source}): it has no {{% generation %}} markers and renders a turn "
                    "differently once others follow, so what the assistant said cannot be told apart",
                    hint=_FIX_MARKERS,
                )
            # White space after the end-of-turn marker is never generated, so never trained.
            spans.append((len(before), len(through.rstrip()) if through[len(before) :].strip() else len(through)))
        return text, spans


def sample_conversation() -> list[dict[str, str]]:
    """Two exchanges that every template should accept, to ask a template how it closes a turn.

    A turn follows the answer because some templates leave the last one open.
    """
    return [
        {"role": "user", "content": "dummy question"},
        {"role": "assistant", "content": "dummy answer"},
        {"role": "user", "content": "dummy question"},
    ]


def rows_of(columns: Mapping[str, Sequence[Any]]) -> list[Row]:
    """Columns of equal length as rows."""
    names = list(columns)
    if len(names) == 2:  # turns, mostly: a display is twice as fast as dict(zip(…))
        one, other = names
        return [{one: a, other: b} for a, b in zip(*columns.values(), strict=True)]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]

"""What a recipe decides about tokens: template, tokenizer, loss, lengths, packing; and what contradicts the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from align_cli.errors import Problem, RecipeError
from align_cli.models import templates
from align_cli.models.locate import locate_tokenizer
from align_cli.models.templates import Template
from align_cli.models.tokenizer import Tokenizer, load
from align_cli.recipe.schema import Recipe
from align_cli.tasks.preparing.answers.encoded import Closing, Limits
from align_cli.tasks.preparing.encoding import StopToken, stop_token
from align_cli.tasks.preparing.rendering import Loss, Renderer
from align_cli.tasks.preparing.sequences.packing import Strategy

_OLD = "handbook-2023"
_CHATML = ("<|im_start|>", "<|im_end|>")

NO_TEMPLATE = Problem(
    "the tokenizer has no chat template, and the rows are conversations",
    "chat_template",
    "set chat_template: chatml (or zephyr, or a file), or train on plain text",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every choice that changes the tokens; part of the store's address."""

    assistant_only_loss: bool
    completion_only_loss: bool | None
    """None: yes for prompt/completion rows, as TRL."""
    max_length: int | None
    """Tokens; None: no limit."""
    keep_end: bool
    packing: Strategy | None
    eval_packing: Strategy | None
    drop_remainder: bool
    packing_buffer: float | None
    """Characters, for each token of max_length, after which `wrapped` packing begins anew; None: never."""
    shuffle_seed: int | None
    """Seed of `shuffle_dataset`; None: the mixture's order stays."""
    add_special_tokens: bool | None
    """None: for text, not for conversations, as TRL."""
    append_eos_text: bool
    """EOS after text and text completions that do not end with it, as TRL."""
    append_eos_id: bool
    """EOS after every row, as trl up to 0.12 did when packing."""
    insert_empty_system: bool
    max_prompt_length: int | None
    """Tokens that are kept of a prompt which is too long together with its answers; None: only the answers are cut."""
    drop_long_prompts: bool
    """Whether rows whose prompt has `max_prompt_length` tokens or more are left out, as the Handbook's ORPO did."""
    render_separately: bool
    """Whether prompt and answers are rendered each as a conversation of its own, as the Handbook did in 2024."""
    close_answers: bool
    """BOS before prompts and EOS after answers that lack them, as trl up to 0.12 did for preferences."""
    max_train_samples: int | None
    max_eval_samples: int | None
    skip_bad_rows: bool


@dataclass(frozen=True)
class Chosen:
    """The settings with the tokenizer and the template they need."""

    settings: Settings
    tokenizer: Tokenizer
    template: Template | None

    @cached_property
    def appended(self) -> int | None:
        """The id of a token that is put after every row."""
        return self.tokenizer.id_of(self.tokenizer.eos) if self.settings.append_eos_id else None

    def adds_special_tokens(self, *, conversational: bool) -> bool:
        """Whether the tokenizer puts its own special tokens around a row."""
        chosen = self.settings.add_special_tokens
        return not conversational if chosen is None else chosen

    def renderer(self, columns: Sequence[str], *, conversational: bool) -> Renderer:
        """How rows with these columns become text."""
        settings = self.settings
        completion = "prompt" in columns and settings.completion_only_loss is not False
        loss: Loss = "completion" if completion else "all"
        if settings.assistant_only_loss:
            loss = "assistant in completion" if completion else "assistant"
        return Renderer(
            template=self.template if conversational else None,
            variables=self.tokenizer.special,
            loss=loss,
            eos=self.tokenizer.eos if settings.append_eos_text and not conversational else None,
            insert_empty_system=settings.insert_empty_system,
        )

    @property
    def limits(self) -> Limits:
        """How prompts with their answers are cut."""
        settings = self.settings
        prompt = settings.max_prompt_length
        if prompt is not None and settings.max_length is not None and prompt >= settings.max_length:
            prompt = None  # no room would be left for an answer: recipes of the Handbook say so, a note does, too
        return Limits(settings.max_length, prompt, settings.keep_end)

    @property
    def closing(self) -> Closing:
        """The tokens that prompts begin and answers end with."""
        if not self.settings.close_answers:
            return Closing()
        return Closing(
            self.tokenizer.id_of(self.tokenizer.special.get("bos_token")), self.tokenizer.id_of(self.tokenizer.eos)
        )

    def stop_token(self, renderer: Renderer, *, conversational: bool) -> StopToken:
        """The token that ends an answer, and whether it is trained.

        Raises:
            RecipeError: the loss is masked and leaves out the token that closes the assistant's turn.
        """
        if not conversational:
            closed = self.settings.append_eos_text or self.settings.append_eos_id
            return StopToken(self.tokenizer.eos, closed)
        stop = stop_token(renderer, self.tokenizer)
        if stop.text is not None and not stop.trained:
            raise RecipeError(
                f"the chat template ({renderer.marked.source}) closes the assistant's turn with {stop.text} outside "
                "what it marks as generated: the model would never learn to stop",
                hint=f"move {stop.text} before {{% endgeneration %}}, use chat_template: chatml, "
                "or set assistant_only_loss: false",
            )
        return stop

    def notes(self, stop: StopToken, *, conversational: bool) -> list[str]:
        """What is unusual about how answers end, in sentences."""
        if not conversational or self.template is None:
            return []
        if stop.text is None:
            return ["the chat template closes the assistant's turn with no special token: generation may run on"]
        if stop.text != self.tokenizer.eos:
            return [
                f"answers end with {stop.text}, but the tokenizer's EOS is {self.tokenizer.eos}: generation stops at "
                f"{stop.text} only if told to; eos_token: {stop.text!r} makes it the EOS"
            ]
        return []


def choose(recipe: Recipe, model: Path, *, say: Callable[[str], None]) -> Chosen:
    """Settings, tokenizer and template of a recipe for the model in this folder.

    Raises:
        RecipeError, UsageError: what the recipe names does not exist or does not fit together.
    """
    elsewhere = recipe.get("tokenizer_name_or_path")
    own = load(locate_tokenizer(elsewhere, say=say) if elsewhere else model)
    eos, pad = recipe.get("eos_token"), recipe.get("pad_token")
    chat_template, path = recipe.get("chat_template"), recipe.get("chat_template_path")
    template: Template | None
    if path and not chat_template and Path(path).expanduser().suffix not in (".jinja", ".j2"):
        own, template = _cloned(own, path, say)
    else:
        template = templates.resolve(
            chat_template=chat_template,
            chat_template_path=path,
            of_tokenizer=own.chat_template,
            otherwise=recipe.behaviours.get("default_chat_template"),
        )
    if _takes_chatml(recipe, template, fell_back=not (chat_template or path or own.chat_template)):
        own, template = _with_chatml(own), templates.shipped("chatml")
    return Chosen(_settings(recipe, own), own.with_special(eos_token=eos, pad_token=pad), template)


def check(chosen: Chosen, columns: Sequence[str], *, conversational: bool) -> None:
    """Raise for a tokenizer that cannot train, and for settings that these rows cannot honour; all of it together."""
    settings, problems = chosen.settings, chosen.tokenizer.problems()
    if conversational and chosen.template is None:
        problems.append(NO_TEMPLATE)
    if settings.assistant_only_loss and not conversational:
        hint = "remove it, or give conversations (messages)"
        problems.append(Problem("the rows are not conversations", "assistant_only_loss", hint))
    if settings.completion_only_loss and "prompt" not in columns:
        hint = "use assistant_only_loss: true for conversations" if conversational else "give prompt and completion"
        problems.append(Problem("the rows have no prompt and completion", "completion_only_loss", hint))
    if problems:
        raise RecipeError("the recipe does not fit the rows and the tokenizer", problems=problems)


def _settings(recipe: Recipe, tokenizer: Tokenizer) -> Settings:
    behaviours = recipe.behaviours
    packing: Strategy | None = recipe.get("packing_strategy", "bfd") if recipe.get("packing") else None
    eval_packing = packing
    if recipe.get("eval_packing") is not None:
        eval_packing = recipe.get("packing_strategy", "bfd") if recipe.get("eval_packing") else None
    max_length = recipe.get("max_length")
    if max_length is not None and behaviours.get("max_length_within_model") and _is_restored(recipe, "max_length"):
        max_length = min(max_length, tokenizer.model_max_length)
    if max_length is None and (packing or eval_packing):
        raise RecipeError("packing needs max_length", hint="set max_length to the length of a training sequence")
    side = recipe.get("truncation_side")
    mode = recipe.values.get("truncation_mode")
    if mode is None and recipe.get("max_prompt_length") is not None:
        mode = "keep_end"  # what is asked last stands at a prompt's end
    old = recipe.profile == _OLD
    special = behaviours.get("add_special_tokens")
    return Settings(
        assistant_only_loss=bool(recipe.get("assistant_only_loss")),
        completion_only_loss=recipe.get("completion_only_loss"),
        max_length=max_length,
        keep_end=side == "left" if side else (mode or recipe.get("truncation_mode")) == "keep_end",
        packing=packing,
        eval_packing=eval_packing,
        drop_remainder=bool(behaviours.get("drop_remainder")),
        packing_buffer=behaviours.get("packing_buffer"),
        shuffle_seed=int(recipe.get("seed", 42)) if recipe.get("shuffle_dataset") else None,
        add_special_tokens=bool(special) if old else special,
        append_eos_text=not old and not behaviours.get("append_eos"),
        append_eos_id=bool(behaviours.get("append_eos")) and packing is not None,
        insert_empty_system=bool(recipe.get("auto_insert_empty_system_msg")),
        max_prompt_length=recipe.get("max_prompt_length"),
        drop_long_prompts=bool(behaviours.get("drop_long_prompts")),
        render_separately=bool(behaviours.get("render_separately")),
        close_answers=bool(behaviours.get("close_answers")),
        max_train_samples=recipe.get("max_train_samples"),
        max_eval_samples=recipe.get("max_eval_samples"),
        skip_bad_rows=recipe.mixture.on_bad_rows == "skip",
    )


def _cloned(own: Tokenizer, path: str, say: Callable[[str], None]) -> tuple[Tokenizer, Template]:
    """Template, EOS and missing tokens of another model's tokenizer (TRL's `chat_template_path: MODEL`)."""
    other = load(locate_tokenizer(path, say=say))
    if other.chat_template is None:
        raise RecipeError(f"chat_template_path: the tokenizer {path} has no chat template", hint="name another model")
    tokens = [token.content for _, token in sorted(other.backend.get_added_tokens_decoder().items())]
    return own.with_added(tokens).with_special(eos_token=other.eos), Template(other.chat_template, path)


def _is_restored(recipe: Recipe, key: str) -> bool:
    """Whether the profile chose a value, not the recipe."""
    origin = recipe.origins.get(key)
    return origin is not None and origin.kind == "profile"


def _takes_chatml(recipe: Recipe, template: Template | None, *, fell_back: bool) -> bool:
    """Whether the tokenizer gets ChatML's tokens and trl's ChatML in place of its template, as the Handbook did.

    In 2023, where the template, even the tokenizer's own, is some ChatML, but for the tokenizers named in
    `chatml_left_alone`; in 2025, where there was no template at all (`fell_back`).
    """
    rule = recipe.behaviours.get("chatml_special_tokens")
    if rule == "without a template":
        return fell_back
    if rule != "with a ChatML template" or template is None or _CHATML[0] not in template.text:
        return False
    left_alone = recipe.behaviours.get("chatml_left_alone")
    name = str(recipe.get("tokenizer_name_or_path") or recipe.get("model_name_or_path"))
    return not (left_alone and left_alone in name)


def _with_chatml(own: Tokenizer) -> Tokenizer:
    """The tokenizer after trl's `setup_chat_format`."""
    start, end = _CHATML
    return own.with_added(_CHATML).with_special(bos_token=start, eos_token=end, pad_token=end)

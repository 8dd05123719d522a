"""One model's side of a conversation: an answer token by token, with what was computed for earlier turns kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from align_cli.errors import UsageError
from align_cli.models.speaking.opened import Opened
from align_cli.models.templates import Messages

_WINDOW = 12  # tokens decoded together, so that letters made of several are whole
_UNFINISHED = "\ufffd"  # what half a letter decodes to


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How the next token is chosen: the likeliest, unless a temperature is set."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 512
    seed: int | None = None

    @property
    def is_greedy(self) -> bool:
        """Whether the same question always gets the same answer."""
        return self.temperature == 0.0

    def problem(self) -> str:
        """What is wrong with these values; empty if nothing."""
        if self.temperature < 0:
            return "--temperature is below 0"
        if not 0 < self.top_p <= 1:
            return "--top-p must be above 0 and at most 1"
        if self.max_new_tokens < 1:
            return "--max-new-tokens must be at least 1"
        if self.top_p < 1 and self.is_greedy:
            return "--top-p needs a --temperature above 0: greedy decoding takes the likeliest token"
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One answer."""

    text: str
    stopped: Literal["end", "length", "interrupted"]
    """`end`: the model said so. `length`: `max_new_tokens`, or the model's context, was used up."""
    prompt_tokens: int
    kept_tokens: int
    """Tokens of the prompt that were still known from earlier turns."""
    new_tokens: int
    seconds: float


class Speaker:
    """A model in a conversation."""

    def __init__(self, opened: Opened, sampling: Sampling) -> None:
        self.opened = opened
        self._sampling = sampling
        self._cache: Any = None
        self._known: list[int] = []  # tokens that the cache holds
        self._answers = 0

    def forget(self) -> None:
        """Drop what was computed for earlier turns."""
        self._cache, self._known = None, []

    def answer(
        self,
        messages: Messages,
        *,
        on_text: Callable[[str], None] = lambda text: None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> Reply:
        """Answer the conversation so far; `on_text` gets the words as they come.

        Raises:
            UsageError: the template refuses the conversation, or it fills the model's context.
        """
        import torch

        started = time.monotonic()
        opened, sampling = self.opened, self._sampling
        prompt = opened.prompt(messages)
        room = sampling.max_new_tokens
        if (limit := opened.context_length) is not None:
            room = min(room, limit - len(prompt))
            if room < 1:
                raise UsageError(
                    f"{opened.name}: the conversation has {len(prompt):,} tokens and the model's context {limit:,}",
                    hint="/undo or /reset makes room",
                )
        kept = self._keep(prompt)
        if sampling.seed is not None:
            torch.manual_seed(sampling.seed + self._answers)
        self._answers += 1
        streamer = _Streamer(opened.tokenizer, on_text)
        ids = torch.tensor([prompt], device=opened.device)
        chosen: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if not sampling.is_greedy:
            chosen = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        try:
            with torch.inference_mode():
                output = opened.network.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    max_new_tokens=room,
                    pad_token_id=opened.tokenizer.pad_token_id,
                    eos_token_id=list(opened.end_tokens),
                    past_key_values=self._cache,
                    use_cache=True,
                    return_dict_in_generate=True,
                    streamer=streamer,
                    stopping_criteria=[lambda ids, scores: torch.tensor([is_stopped()], device=ids.device)],
                    **chosen,
                )
        except BaseException:
            self.forget()
            raise
        whole = output.sequences[0].tolist()
        self._remember(output.past_key_values, whole)
        new = whole[len(prompt) :]
        ended = bool(new) and new[-1] in opened.end_tokens
        return Reply(
            text=streamer.text,
            stopped="end" if ended else "interrupted" if is_stopped() else "length",
            prompt_tokens=len(prompt),
            kept_tokens=kept,
            new_tokens=len(new),
            seconds=time.monotonic() - started,
        )

    def _keep(self, prompt: list[int]) -> int:
        """Cut the cache back to what it shares with the prompt; how many tokens that are."""
        if self._cache is None:
            return 0
        shared = next((n for n, (a, b) in enumerate(zip(self._known, prompt, strict=False)) if a != b), None)
        kept = min(len(self._known), len(prompt)) if shared is None else shared
        kept = min(kept, len(prompt) - 1)  # the model has to read at least one token to say the next
        if kept < 1:
            self.forget()
            return 0
        self._cache.crop(kept - len(self._known))
        self._known = self._known[:kept]
        return kept

    def _remember(self, cache: Any, tokens: list[int]) -> None:
        """Keep the cache where it can be cut back: attention to all earlier tokens, in every layer."""
        from transformers.cache_utils import DynamicLayer

        layers = getattr(cache, "layers", ())
        if not layers or any(type(layer) is not DynamicLayer for layer in layers):
            self.forget()
            return
        self._cache, self._known = cache, tokens[: cache.get_seq_length()]


class _Streamer:
    """Takes token ids as `generate` makes them, gives text; the first call brings the prompt."""

    def __init__(self, tokenizer: Any, on_text: Callable[[str], None]) -> None:
        self._tokenizer, self._on_text = tokenizer, on_text
        self._ids: list[int] = []
        self._done = 0  # ids whose text was given
        self._has_prompt = False
        self.text = ""

    def put(self, value: Any) -> None:
        if not self._has_prompt:
            self._has_prompt = True
            return
        self._ids += value.reshape(-1).tolist()
        self._give(is_last=False)

    def end(self) -> None:
        self._give(is_last=True)

    def _give(self, *, is_last: bool) -> None:
        """What the new ids add to the text of the last few before them; half letters wait for their other half."""
        start = max(self._done - _WINDOW, 0)
        before = self._decoded(self._ids[start : self._done])
        text = self._decoded(self._ids[start:])
        if not is_last and text.endswith(_UNFINISHED):
            return
        self._done = len(self._ids)
        added = text[len(before) :] if text.startswith(before) else ""
        if not self.text:
            added = added.lstrip()
        if added:
            self.text += added
            self._on_text(added)

    def _decoded(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

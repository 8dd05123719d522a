"""A model opened to be spoken to: the one place where chat, quickstart and evaluation get theirs.

Base and adapters, tokenizer, template and end tokens are those of the model's own folder, so that what answers is what
was trained.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from align_cli.errors import LaunchError, UsageError
from align_cli.models import templates, tokenizer
from align_cli.models.adapters import fits, merging, stackable, stacking
from align_cli.models.adapters.chains import Chain
from align_cli.models.finding import tokenizer_files
from align_cli.models.speaking import opening, served
from align_cli.models.speaking.closing import closing_token
from align_cli.models.speaking.served import Served
from align_cli.models.templates import Messages, Template

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A model in memory with everything that a conversation with it needs."""

    name: str
    chain: Chain
    network: Any
    """On its device, in evaluation mode."""
    tokenizer: Any
    """Of transformers."""
    template: Template | None
    special: Mapping[str, str]
    """Special tokens by name, as the template sees them."""
    end_tokens: tuple[int, ...]
    """Ids that end an answer: the tokenizer's EOS, the generation config's, and what closes a turn."""
    context_length: int | None
    """Tokens that the model was made for."""
    served: Served

    @property
    def folder(self) -> Path:
        """The model's own folder: that of the last adapter, or of the model."""
        return (self.chain.adapters or (self.chain.base,))[-1].folder

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self.network.device)

    @property
    def dtype(self) -> str:
        """In which precision its base is."""
        return str(self.network.dtype).removeprefix("torch.")

    @cached_property
    def default_system(self) -> str | None:
        """The system text that the template puts where a conversation has no system turn; None where it puts none."""
        if self.template is None or (self.served.inserts_empty_system and self.template.knows_system):
            return None
        return self.template.default_system(self.special)

    def prompt(self, messages: Messages) -> list[int]:
        """The conversation as token ids, up to where the assistant begins to speak.

        Raises:
            UsageError: there is no template, or it refuses the conversation.
        """
        if self.template is None:
            raise no_template(self.name)
        turns = list(messages)
        has_system = bool(turns) and turns[0].get("role") == "system"
        if self.served.inserts_empty_system and self.template.knows_system and not has_system:
            turns.insert(0, {"role": "system", "content": ""})
        try:
            text = self.template.render(turns, self.special, add_generation_prompt=True)
        except templates.TemplateRefusal as refusal:
            raise UsageError(f"{self.name}: the chat template refuses this conversation: {refusal}") from refusal
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        rows = self.network.get_input_embeddings().weight.shape[0]
        if strange := next((token for token in ids if token >= rows), None):
            raise UsageError(
                f"{self.name}: the tokenizer gives {self.tokenizer.convert_ids_to_tokens(strange)} (token {strange}), "
                f"and the model has {rows:,} rows of embeddings",
                hint="the tokenizer is another model's, or the rows that were trained for its new tokens are lost",
            )
        return ids


def open_chain(
    chain: Chain,
    *,
    chat_template: str | None = None,
    dtype: str = "auto",
    trust_remote_code: bool = False,
    weights: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Opened:
    """Load the model that a chain is; several adapters that add up act as one, others are merged in the store.

    `chat_template` is used instead of the model's own: Jinja text, a file, or a shipped name. Without `weights` it is
    all that there is to know of the model, for an engine that loads them itself.

    Raises:
        UsageError: files are damaged or do not fit, or there is no tokenizer.
        LaunchError: the dtype cannot be had here.
    """
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    last = (chain.adapters or (chain.base,))[-1]
    source = tokenizer_files.folder_of(chain)
    demand_dtype(dtype)
    own = tokenizer_files.template_text(source)
    template = templates.resolve(chat_template=chat_template, chat_template_path=None, of_tokenizer=own)
    try:
        loaded = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code, padding_side="left")
    except (OSError, ValueError) as cause:
        raise UsageError(f"{source}: the tokenizer cannot be loaded: {_first_line(cause)}") from cause
    if loaded.pad_token is None:
        loaded.pad_token = loaded.eos_token
    merging.demand_fit(chain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries to their developers; what concerns a user raises
        if weights:
            network = _network(chain, dtype, trust_remote_code, say)
        else:
            adapter = last.folder if chain.adapters else None
            network = opening.outline(chain.base.folder, adapter, dtype=dtype, trust_remote_code=trust_remote_code)
    special = {name: text for name in tokenizer.NAMES if isinstance(text := getattr(loaded, name, None), str)}
    config = getattr(network.config, "get_text_config", lambda: network.config)()
    return Opened(
        name=last.name,
        chain=chain,
        network=network,
        tokenizer=loaded,
        template=template,
        special=special,
        end_tokens=_end_tokens(loaded, network, template, special),
        context_length=getattr(config, "max_position_embeddings", None),
        served=served.of_run(last.folder),
    )


def demand_dtype(dtype: str) -> None:
    """Raise for a precision that no model is opened in."""
    if dtype not in DTYPES:
        raise UsageError(f'there is no dtype "{dtype}"', hint=f"one of {', '.join(DTYPES)}")


def demand_speaker(chain: Chain, chat_template: str | None) -> None:
    """Raise for a model that cannot be spoken to, before it is loaded: a classifier, or one without a template."""
    last = (chain.adapters or (chain.base,))[-1]
    if fits.is_scorer(chain):
        raise UsageError(f"{last.name}: this is a classifier (a reward model): it scores answers and gives none")
    own = tokenizer_files.template_text(tokenizer_files.folder_of(chain))
    key = "--chat-template"
    if templates.resolve(chat_template=chat_template, chat_template_path=None, of_tokenizer=own, key=key) is None:
        raise no_template(last.name)


def no_template(name: str) -> UsageError:
    """The error for a model that cannot be spoken to."""
    return UsageError(
        f"{name}: the model has no chat template: it was not trained to converse",
        hint="--chat-template chatml (or zephyr, or a file) names one; training with chat_template set keeps one",
    )


def _network(chain: Chain, dtype: str, trust_remote_code: bool, say: Callable[[str], None]) -> Any:
    import torch

    folders = [link.folder for link in chain.adapters]
    try:
        if len(folders) > 1 and stackable.obstacle_of_chain(chain):
            whole = merging.stage(chain, trust_remote_code=trust_remote_code, say=say)
            opened = opening.network(whole, dtype=dtype, trust_remote_code=trust_remote_code)
        elif len(folders) > 1:
            with tempfile.TemporaryDirectory(prefix="align-") as place:
                one = _as_one(folders, Path(place))
                opened = opening.network(chain.base.folder, one, dtype=dtype, trust_remote_code=trust_remote_code)
        else:
            adapter = folders[0] if folders else None
            opened = opening.network(chain.base.folder, adapter, dtype=dtype, trust_remote_code=trust_remote_code)
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return opened.to(device)
    except (OSError, ValueError) as cause:
        raise UsageError(f"{chain.names}: this model cannot be loaded: {_first_line(cause)}") from cause
    except RuntimeError as cause:
        if "memory" in str(cause).lower():
            raise LaunchError(
                f"{chain.names}: memory ran out", hint="--dtype bfloat16 halves a float32 model"
            ) from cause
        raise UsageError(f"{chain.names}: this model cannot be loaded: {_first_line(cause)}") from cause


def _as_one(folders: Sequence[Path], place: Path) -> Path:
    below = folders[0]
    for number, above in enumerate(folders[1:]):
        stacking.stack(below, above, place / str(number))
        below = place / str(number)
    return below


def _end_tokens(loaded: Any, network: Any, template: Template | None, special: Mapping[str, str]) -> tuple[int, ...]:
    configured = network.generation_config.eos_token_id
    known = set(configured if isinstance(configured, list) else [configured]) | {loaded.eos_token_id}
    added = {str(token): number for number, token in loaded.added_tokens_decoder.items()}
    if template is not None and (closing := closing_token(template, special, added)) is not None:
        known.add(added[closing])
    return tuple(sorted(token for token in known if token is not None))


def _first_line(cause: BaseException) -> str:
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]

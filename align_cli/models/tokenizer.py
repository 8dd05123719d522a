"""A model's tokenizer without transformers: the Rust tokenizer, its special tokens and its chat template.

Token ids are those of `transformers.AutoTokenizer`. Where that class rebuilds the tokenizer instead of reading
`tokenizer.json` as it is, the result is written down once by a child process and read from the cache afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.errors import Problem, UsageError
from align_cli.files import build_once, cache_root, digest_of, digest_of_file, read_json

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer as Backend

#: The tokens that templates see by name, in transformers' order.
NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "config.json")
_SOURCES = (*_FILES, "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "merges.txt", "added_tokens.json")
#: Words whose tokens are remembered; the library's own 10,000 are too few for natural text.
_CACHED_WORDS = 200_000
#: Classes for which transformers reads `tokenizer.json` as it is.
_PLAIN_CLASSES = ("TokenizersBackend", "PreTrainedTokenizerFast")
#: Keys of `tokenizer_config.json` that make transformers change what it read.
_CHANGING_KEYS = (
    "add_bos_token",
    "add_eos_token",
    "auto_map",
    "add_prefix_space",
    "split_special_tokens",
    "fix_mistral_regex",
)


@dataclass(frozen=True)
class Tokenizer:
    """What turns text into token ids. `digest` changes with the files and with every added token."""

    folder: Path
    special: Mapping[str, str]
    """Name (`eos_token`, …) -> text, where set; what a chat template may use."""
    chat_template: str | None
    digest: str
    model_max_length: int
    """Tokens; a huge number when the model names no limit."""
    added: tuple[str, ...] = ()
    """Special tokens that the recipe adds to the vocabulary of the files, in order."""
    chosen: Mapping[str, str] = field(default_factory=dict)
    """Special tokens that the recipe set, by name; a subset of `special`."""
    file: Path = field(default=Path(), repr=False)

    @cached_property
    def token_bytes(self) -> np.ndarray | None:
        """(vocabulary,) int32: bytes of text that each token stands for; None where that cannot be told."""
        from align_cli.models.byte_tokens import sizes_of

        return sizes_of(self.backend)

    @cached_property
    def backend(self) -> Backend:
        """The Rust tokenizer, read on first use, neither truncating nor padding."""
        from tokenizers import AddedToken
        from tokenizers import Tokenizer as Backend

        try:
            backend = Backend.from_file(str(self.file))
        except Exception as cause:  # the Rust parser raises plain Exception
            raise UsageError(
                f"{self.file}: this tokenizer cannot be read: {cause}", hint="fetch the model again"
            ) from cause
        backend.no_truncation()
        backend.no_padding()
        if hasattr(backend.model, "_resize_cache"):  # private in tokenizers 0.23; a sixth less time on 50 k chat rows
            backend.model._resize_cache(_CACHED_WORDS)
        # As transformers: special tokens that the file lacks, and those a recipe asks for, get the next ids.
        # What a recipe merely calls EOS or padding must exist already: `problems` says so.
        own = [text for text in self.special.values() if text not in self.chosen.values()]
        missing = [text for text in dict.fromkeys((*own, *self.added)) if backend.token_to_id(text) is None]
        backend.add_special_tokens([AddedToken(text, special=True) for text in missing])
        return backend

    @property
    def eos(self) -> str | None:
        """Text of the token that ends a sequence."""
        return self.special.get("eos_token")

    @property
    def pad(self) -> str | None:
        """Text of the padding token; EOS where the files name none, as TRL does."""
        return self.special.get("pad_token") or self.eos

    def id_of(self, text: str | None) -> int | None:
        """Token id of exactly this token, if the vocabulary has it."""
        return None if text is None else self.backend.token_to_id(text)

    @cached_property
    def added_ids(self) -> frozenset[int]:
        """Ids of tokens outside the learned merges: special tokens, turn markers."""
        return frozenset(self.backend.get_added_tokens_decoder())

    def with_special(self, **tokens: str | None) -> Tokenizer:
        """The same tokenizer with other special tokens, e.g. `eos_token="<|im_end|>"`; None leaves one as it is."""
        chosen = {name: text for name, text in tokens.items() if text}
        if all(self.special.get(name) == text for name, text in chosen.items()):
            return self
        special = {name: text for name in NAMES if (text := chosen.get(name) or self.special.get(name))}
        return replace(self, special=special, chosen={**self.chosen, **chosen}, digest=digest_of([self.digest, chosen]))

    def with_added(self, texts: Sequence[str]) -> Tokenizer:
        """The same tokenizer with these tokens in its vocabulary; those it has already are left alone."""
        new = tuple(text for text in texts if self.id_of(text) is None)
        if not new:
            return self
        return replace(self, added=(*self.added, *new), digest=digest_of([self.digest, "added", *new]))

    def problems(self) -> list[Problem]:
        """What keeps this tokenizer from training: no token that ends a sequence, or one outside the vocabulary."""
        found = []
        if self.eos is None:
            hint = "set eos_token in the recipe to the token that ends an answer"
            found.append(Problem(f"the tokenizer in {self.folder} has no EOS token", "eos_token", hint))
        for name, text in self.chosen.items():
            if self.id_of(text) is None:
                message = f'"{text}" is not in the vocabulary of the tokenizer in {self.folder}'
                found.append(Problem(message, name, "choose a token the model knows"))
        return found


def load(folder: Path) -> Tokenizer:
    """The tokenizer in a model's folder.

    Raises:
        UsageError: the folder has none, or none that can be used without Python code from the model's authors.
    """
    origin = folder
    if not _is_plain(folder):
        folder = _snapshot(folder)
    config = _json(folder / "tokenizer_config.json")
    fallback = _json(folder / "special_tokens_map.json")
    special = {name: text for name in NAMES if (text := _text(config.get(name) or fallback.get(name)))}
    return Tokenizer(
        folder=origin,
        special=special,
        chat_template=_template(folder, config),
        digest=digest_of({name: digest_of_file(folder / name) for name in _FILES[:-1] if (folder / name).is_file()}),
        model_max_length=int(config.get("model_max_length") or 10**30),
        file=folder / "tokenizer.json",
    )


def _is_plain(folder: Path) -> bool:
    if not (folder / "tokenizer.json").is_file():
        return False
    config = _json(folder / "tokenizer_config.json")
    return config.get("tokenizer_class") in _PLAIN_CLASSES and not any(config.get(key) for key in _CHANGING_KEYS)


def _snapshot(folder: Path) -> Path:
    """The folder with this tokenizer as transformers loads it, written once per content and transformers version."""
    present = {name: digest_of_file(folder / name) for name in _SOURCES if (folder / name).is_file()}
    if not set(present) - {"config.json", "chat_template.jinja", "special_tokens_map.json", "tokenizer_config.json"}:
        raise UsageError(
            f"{folder}: this folder has no tokenizer (tokenizer.json)",
            hint="set tokenizer_name_or_path in the recipe to the model that this one was trained from",
        )
    from align_cli.models.finding.places import convert

    root = cache_root() / "tokenizers"
    made = root / digest_of({"files": present, "transformers": version("transformers")})[:32]
    build_once(made, lambda work: convert("tokenizer", folder, work))
    return made


def _template(folder: Path, config: Mapping[str, Any]) -> str | None:
    """The chat template: its own file before the config's, and of several named ones the default."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):
        template = {item["name"]: item["template"] for item in template}
    return template.get("default") if isinstance(template, dict) else template


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = read_json(path)
    except ValueError as cause:
        raise UsageError(f"{path}: this is not JSON: {cause}", hint="fetch the model again") from cause
    return value if isinstance(value, dict) else {}


def _text(token: Any) -> str | None:
    return token.get("content") if isinstance(token, dict) else token

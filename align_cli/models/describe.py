"""What a model's folder says of itself: from headers and JSON alone, in a moment, whatever its size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from align_cli.models import templates
from align_cli.models.adapters import chains as adapters
from align_cli.models.adapters import fits, lora
from align_cli.models.adapters.chains import Chain
from align_cli.models.finding import contents, headers, tokenizer_files
from align_cli.models.finding.headers import DTYPES, Tensor
from align_cli.models.speaking.closing import closing_token
from align_cli.models.templates import Template

#: What families call the number of positions a model was made for.
_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length", "max_sequence_length")
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_WIDTH = ("hidden_size", "n_embd", "d_model", "dim")
_HEADS = ("num_attention_heads", "n_head", "num_heads")
_RESULTS = ("train_loss", "eval_loss", "eval_mean_token_accuracy")
#: Settings that say nothing about what is generated.
_NOT_GENERATION = (
    "transformers_version", "_from_model_config", "output_attentions", "output_hidden_states", "output_scores",
    "return_dict_in_generate", "use_cache",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Parameters and the files they are in."""

    parameters: int
    dtypes: Mapping[str, int]
    """dtype -> parameters."""
    shards: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """Tokens that the tokenizer knows, and rows that the model has for them."""

    tokenizer: int | None
    """One more than the largest id; None without a `tokenizer.json`."""
    embeddings: int | None
    is_tied: bool | None
    """Whether the head scores with the embeddings themselves."""

    @property
    def exceeds(self) -> bool:
        """Whether the tokenizer gives ids for which the model has no row."""
        return None not in (self.tokenizer, self.embeddings) and (self.tokenizer or 0) > (self.embeddings or 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatTemplate:
    """How conversations become text."""

    source: str
    """The file it is in."""
    same_as: str
    """The shipped template that it equals; empty if none."""
    digest: str
    has_markers: bool
    """Whether it says itself what the assistant generates."""
    knows_system: bool
    closes_with: str | None
    """The token that ends the assistant's turn; None where no special token does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterFacts:
    """The adapter in the folder itself."""

    kind: str
    rank: Any
    alpha: Any
    targets: Any
    modules: int | None
    """How many weights it changes; None where its file needs torch to be read."""
    whole: tuple[str, ...]
    """Tensors that it replaces."""
    variant: tuple[str, ...]
    """Settings that make it more than plain LoRA."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """Everything `align model info` shows."""

    name: str
    folder: str
    holds: str
    """`model`, `adapter`, or `model merged from adapters`."""
    architecture: Mapping[str, Any]
    weights: Weights | None
    adapter: AdapterFacts | None
    adapter_weights: Weights | None
    context_length: int | None
    """Tokens."""
    vocabulary: Vocabulary
    special_tokens: Mapping[str, str]
    chat_template: ChatTemplate | None
    generation: Mapping[str, Any]
    chain: Mapping[str, Any] | None
    """The base and the adapters on it, by name and folder; None for a plain model."""
    merged: Mapping[str, Any] | None
    """How a merged model was compared with its parts."""
    made_by: Mapping[str, Any] | None
    """The run that made it."""
    problems: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        value = asdict(self)
        value["vocabulary"]["exceeds"] = self.vocabulary.exceeds
        return value


def describe_alone(folder: Path, name: str, problem: str) -> Description:
    """An adapter whose base cannot be had: what it says of itself, and the problem.

    Raises:
        UsageError: the adapter itself is damaged.
    """
    adapter = lora.read(folder)
    base = str(adapter.config.get("base_model_name_or_path") or "?")
    links = Chain(
        base=adapters.Link(name=base, revision=adapter.config.get("revision"), folder=folder / "no base here"),
        adapters=(adapters.Link(name=name, revision=None, folder=folder, adapter=adapter),),
    )
    return describe(links, problem=problem)


def describe(chain: Chain, *, problem: str = "") -> Description:
    """The model or adapter at the end of a chain; `problem` is one that is known already.

    Raises:
        UsageError: a file is damaged.
    """
    last = chain.adapters[-1] if chain.adapters else chain.base
    folder, base = last.folder, chain.base.folder
    tensors = headers.weights(base)
    config = fits.config_of(base) if base.is_dir() else {}
    merged = adapters.record_of(base)
    tokenizer = tokenizer_files.folder_of(chain)
    tokens, special = tokenizer_files.tokens(tokenizer), tokenizer_files.special(tokenizer)
    vocabulary = _vocabulary(tensors, chain, tokens)
    template = _template(tokenizer, special, tokens)
    found = [problem] if problem else [f"{one.where}: {one.message}" for one in fits.problems(chain)]
    if vocabulary.exceeds:
        found.append(
            f"the tokenizer has {vocabulary.tokenizer:,} tokens and the model rows for {vocabulary.embeddings:,}: "
            "it cannot read the others"
        )
    return Description(
        name=last.name,
        folder=str(folder),
        holds="adapter" if chain.adapters else "model merged from adapters" if merged else "model",
        architecture=_architecture(config),
        weights=_weights(tensors, base),
        adapter=_adapter(last.adapter) if last.adapter else None,
        adapter_weights=_adapter_weights(chain) if chain.adapters else None,
        context_length=_first(config, _CONTEXT),
        vocabulary=vocabulary,
        special_tokens=special,
        chat_template=template,
        generation=_generation(chain),
        chain=_places(chain) if chain.adapters else merged["chain"] if merged else None,
        merged={key: merged[key] for key in ("how", "verified")} if merged else None,
        made_by=_made_by(folder),
        problems=tuple(found),
    )


def _architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    quantisation = config.get("quantization_config") or {}
    return {
        "class": next(iter(config.get("architectures") or ()), None),
        "model_type": config.get("model_type"),
        "layers": _first(config, _LAYERS),
        "width": _first(config, _WIDTH),
        "heads": _first(config, _HEADS),
        "key_value_heads": _first(config, ("num_key_value_heads",)),
        "experts": _first(config, ("num_local_experts", "num_experts", "n_routed_experts")),
        "quantised": quantisation.get("quant_method"),
    }


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first of these keys, of the model or of its language part."""
    inner = config.get("text_config")
    layers = [config, inner if isinstance(inner, dict) else {}]
    return next((layer[name] for layer in layers for name in names if layer.get(name) is not None), None)


def _weights(tensors: Mapping[str, Tensor], folder: Path) -> Weights | None:
    if not tensors:
        files = contents.files_of(folder, ("pytorch_model*.bin",))
        if not files:
            return None
        size = sum(file.stat().st_size for file in files)
        return Weights(parameters=0, dtypes={}, shards=len(files), bytes=size)
    return _counted(tensors)


def _counted(tensors: Mapping[str, Tensor]) -> Weights:
    dtypes: Counter[str] = Counter()
    for one in tensors.values():
        dtypes[DTYPES.get(one.dtype, one.dtype)] += one.elements
    files = {one.file for one in tensors.values()}
    return Weights(
        parameters=sum(dtypes.values()),
        dtypes=dict(dtypes.most_common()),
        shards=len(files),
        bytes=sum(file.stat().st_size for file in files),
    )


def _adapter_weights(chain: Chain) -> Weights | None:
    last = chain.adapters[-1].adapter
    return _counted(last.header.tensors) if last is not None and last.is_readable else None


def _adapter(adapter: lora.Adapter) -> AdapterFacts:
    config = adapter.config
    variant = [key for key in ("use_dora", "use_rslora", "lora_bias", "target_parameters") if config.get(key)]
    if config.get("bias", "none") != "none":
        variant.append(f"bias: {config['bias']}")
    readable = adapter.is_readable
    return AdapterFacts(
        kind=adapter.kind,
        rank=config.get("r"),
        alpha=config.get("lora_alpha"),
        targets=config.get("target_modules"),
        modules=len(adapter.modules) if readable else None,
        whole=tuple(adapter.whole) if readable else (),
        variant=tuple(variant),
    )


def _vocabulary(tensors: Mapping[str, Tensor], chain: Chain, tokens: Mapping[str, int]) -> Vocabulary:
    whole = {name: one for link in chain.adapters if link.adapter and link.adapter.is_readable
             for name, one in link.adapter.whole.items()}  # fmt: skip
    known = {**tensors, **whole}
    name = fits.embedding_in(whole) or fits.embedding_in(tensors)
    has_head = any(fits.is_head(one.removesuffix(".weight")) for one in tensors)
    return Vocabulary(
        tokenizer=max(tokens.values()) + 1 if tokens else None,
        embeddings=known[name].shape[0] if name else None,
        is_tied=not has_head if tensors else None,
    )


def _template(folder: Path, special: Mapping[str, str], tokens: Mapping[str, int]) -> ChatTemplate | None:
    found = tokenizer_files.template_of(folder)
    if found is None:
        return None
    text, source = found
    template = Template(text, source)
    known = [*tokenizer_files.added(folder), *special.values()] if tokens else []
    same = next((name for name in templates.SHIPPED if templates.shipped(name).text.strip() == text.strip()), "")
    return ChatTemplate(
        source=source,
        same_as=same,
        digest=template.digest[:16],
        has_markers=template.has_markers,
        knows_system=template.knows_system,
        closes_with=closing_token(template, special, known),
    )


def _generation(chain: Chain) -> dict[str, Any]:
    for link in (*reversed(chain.adapters), chain.base):
        if said := tokenizer_files.json_of(link.folder / "generation_config.json"):
            return {key: value for key, value in said.items() if key not in _NOT_GENERATION}
    return {}


def _places(chain: Chain) -> dict[str, Any]:
    """The chain without digests, for which a large base would have to be read; no folder where there is none."""

    def one(link: adapters.Link) -> dict[str, Any]:
        folder = str(link.folder) if link.folder.is_dir() else None
        said = {"name": link.name, "revision": link.revision, "folder": folder}
        return {**said, "contains": len(link.contains)} if link.contains else said

    return {"base": one(chain.base), "adapters": [one(link) for link in chain.adapters]}


def _made_by(folder: Path) -> dict[str, Any] | None:
    """The run in whose folder it lies, from the manifest; a checkpoint's run is the folder above."""
    runs = [folder, *([folder.parent] if folder.name.startswith("checkpoint-") else [])]
    for run in runs:
        manifest = tokenizer_files.json_of(run / "align" / "manifest.json")
        if not manifest:
            continue
        metrics, data = manifest.get("metrics") or {}, manifest.get("data") or {}
        sources = (data.get("mixture") or {}).get("sources") or ()
        return {
            "run": str(run),
            "task": manifest.get("task"),
            "finished": manifest.get("finished"),
            "from": (manifest.get("model") or {}).get("name"),
            "data": [str(source.get("label")) for source in sources],
            "data_digest": data.get("digest"),
            "steps": (manifest.get("facts") or {}).get("steps"),
            "results": {name: metrics[name] for name in _RESULTS if name in metrics},
            "align": (manifest.get("versions") or {}).get("align-cli"),
        }
    return None

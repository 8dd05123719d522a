"""Whether adapters fit the base they name, as far as the headers of their files can tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from align_cli.errors import Problem, UsageError
from align_cli.files import read_json
from align_cli.models.adapters.chains import Chain, Link
from align_cli.models.adapters.lora import Adapter, Module
from align_cli.models.finding import headers

#: Last part of the path of what reads tokens in, over all model families.
EMBEDDINGS = ("embed_tokens", "wte", "word_embeddings", "embed_in", "tok_embeddings", "embedding", "embeddings")
HEADS = ("lm_head", "embed_out", "output")
_SHOWN = 3  # names in one sentence
#: Parts that checkpoints and modules may have before the same path.
_OUTERMOST = ("model", "transformer", "gpt_neox", "language_model")


def problems(chain: Chain) -> list[Problem]:
    """Every adapter of the chain that its base cannot bear; a base whose weights are no safetensors is not judged.

    Raises:
        UsageError: a file is damaged.
    """
    if not chain.adapters:
        return []
    stored = str((config_of(chain.base.folder).get("quantization_config") or {}).get("quant_method") or "")
    if stored:
        return [
            Problem(
                f"the base model's weights are stored quantised ({stored}): adapters cannot be merged into them",
                str(chain.base.folder),
                "name the unquantised model as the base (--base, or base_model_name_or_path); "
                "load_in_4bit quantises it again on loading",
            )
        ]
    shapes = {name: tensor.shape for name, tensor in headers.weights(chain.base.folder).items()}
    if not shapes:
        return []
    found = []
    for link in chain.adapters:
        adapter = link.adapter
        if adapter is None or not adapter.is_readable or adapter.kind != "LORA":
            continue
        shapes.update({tensor_of(name, shapes) or name: one.shape for name, one in adapter.whole.items()})
        if problem := _problem(adapter, shapes, chain.base):
            found.append(problem)
    return found


def weight_of(path: str, names: Collection[str]) -> str | None:
    """The name of a module's weight in a checkpoint; None where it has no tensor of its own."""
    return tensor_of(f"{path}.weight", names)


def tensor_of(name: str, names: Collection[str]) -> str | None:
    """The checkpoint's name of a tensor: as it is, or with one of the usual outermost parts added or taken away."""
    if name in names:
        return name
    outermost, _, rest = name.partition(".")
    if outermost in _OUTERMOST and rest in names:
        return rest
    return next((longer for part in _OUTERMOST if (longer := f"{part}.{name}") in names), None)


def is_head(path: str) -> bool:
    """Whether a module gives scores for the vocabulary."""
    return path.rpartition(".")[2] in HEADS


def embedding_in(names: Collection[str]) -> str | None:
    """The tensor that tokens are read in with."""
    ends = tuple(f".{name}.weight" for name in EMBEDDINGS)
    bare = tuple(f"{name}.weight" for name in EMBEDDINGS)
    return next((name for name in names if name.endswith(ends) or name in bare), None)


def is_scorer(chain: Chain) -> bool:
    """Whether it is a classifier, as reward models are: it scores answers and gives none."""
    tasks = [link.adapter.config.get("task_type") for link in chain.adapters if link.adapter is not None]
    if tasks:
        return tasks[-1] == "SEQ_CLS"
    architecture = next(iter(config_of(chain.base.folder).get("architectures") or ()), "")
    return str(architecture).endswith("ForSequenceClassification")


def config_of(folder: Path) -> dict[str, Any]:
    """The model's `config.json`.

    Raises:
        UsageError: it is missing or damaged.
    """
    place = folder / "config.json"
    try:
        value = read_json(place)
    except FileNotFoundError as cause:
        raise UsageError(f"{folder}: this folder is not a model: it has no config.json") from cause
    except (OSError, ValueError) as cause:
        raise UsageError(f"{place}: this cannot be read: {cause}", hint="fetch or save the model again") from cause
    if not isinstance(value, dict):
        raise UsageError(f"{place}: this is no model's config", hint="fetch or save the model again")
    return value


def _problem(adapter: Adapter, shapes: Mapping[str, tuple[int, ...]], base: Link) -> Problem | None:
    """What of the adapter does not fit.

    A module that the base lacks is certain where other layers have it, or where no module at all is known. Otherwise
    transformers may keep its weight under another name than the checkpoint (experts): that is for the merge to ask.
    """
    wrong, unknown, known = [], [], set()
    for module in adapter.modules.values():
        name = weight_of(module.path, shapes)
        if name is None and is_head(module.path):
            name = embedding_in(shapes)
        if name is None:
            unknown.append(module.path)
            continue
        known.add(_in_any_layer(module.path))
        if misfit := _misfit(module, shapes[name], adapter):
            wrong.append(f"{module.path}: {misfit}")
    named = f"{base.name} ({config_of(base.folder).get('model_type') or '?'})"
    hint = "is it another model, or another size or revision of it? See base_model_name_or_path in adapter_config.json"
    if wrong:
        return Problem(f"the adapter does not fit its base {named}: {_some(wrong)}", str(adapter.folder), hint)
    missing = [path for path in unknown if not known or _in_any_layer(path) in known]
    if missing:
        message = f"the adapter does not fit its base {named}, which has no {_some(missing)}"
        return Problem(message, str(adapter.folder), hint)
    return None


def _in_any_layer(path: str) -> str:
    return ".".join("*" if part.isdigit() else part for part in path.split("."))


def _misfit(module: Module, shape: tuple[int, ...], adapter: Adapter) -> str:
    """Empty when the adapter's matrices have the weight's measures."""
    if module.experts > 1 or len(shape) != 2:
        return ""
    out, into = module.b.shape[0], module.a.shape[1]
    swapped = module.is_embedding or bool(adapter.config.get("fan_in_fan_out"))
    wanted = (into, out) if swapped else (out, into)
    if module.is_embedding and wanted[1] == shape[1]:
        return ""  # another vocabulary: the adapter brings the rows along, or the merge says so
    return "" if wanted == shape else f"{_by(wanted)} instead of {_by(shape)}"


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more

"""Two LoRA adapters, one trained on top of the other, as one adapter on the first one's base.

W + s1 B1 A1 + s2 B2 A2 = W + [s1 B1 | s2 B2] [A1 ; A2]: the ranks are laid side by side, the scalings go into B.
Every module gets the largest rank, filled up with zeros, and alpha equal to it, so that no reader needs patterns of
ranks; the sum is exact. Whole copies (`modules_to_save`) replace: the later one wins, and a LoRA on top of one is
added into it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from align_cli.errors import UsageError
from align_cli.files import read_json, write_json
from align_cli.models.adapters import chains as adapters
from align_cli.models.adapters import fits, lora, stackable
from align_cli.models.adapters.lora import CONFIG, METADATA, PREFIX, WEIGHTS, Adapter, Module
from align_cli.models.finding import headers, places

#: Settings that made sense for one adapter's training and say nothing about the sum.
_OF_ONE = ("rank_pattern", "alpha_pattern", "layers_to_transform", "layers_pattern", "exclude_modules")


def stack(first: Path, second: Path, out: Path, *, chain: Mapping[str, Any] | None = None) -> None:
    """Write into `out` the adapter that does what `first` and then `second`, trained on top of it, do.

    `second` may be `out`. Base and revision are those of `first`. `chain` is what the file's header will say of where
    its parts came from.

    Raises:
        UsageError: they do not add up to one adapter exactly.
    """
    below, above = lora.read(first), lora.read(second)
    if why := stackable.obstacle([below.config, above.config]):
        raise UsageError(f"{second}: cannot be stacked on {first}: {why}", hint=f"align model merge {first} TO")
    both = _Sum(below, above)
    tensors = both.tensors()
    config = _config(both, tensors)
    out.mkdir(parents=True, exist_ok=True)
    _write(out, tensors, config, chain)


def settle(saved: Path, model: Path, network: Any, *, name: str) -> bool:
    """Make an adapter that was just saved right for others; True if there was one.

    Call it before the files are moved to their place. `model` is the folder that `network` was trained from, `name`
    what the record calls the new adapter. Rows for new tokens come along. On a stage (a chain that was merged for
    training), the adapter becomes one with those of the stage, on their base. On a model of the Hub, the commit is
    written down.

    Raises:
        UsageError: the adapter cannot be stacked.
    """
    if not lora.is_adapter(saved):
        return False
    _keep_new_rows(saved, model, network)
    stage = adapters.stage_of(model)
    if stage is None:
        if commit := places.commit_of(model):
            config = read_json(saved / CONFIG)
            write_json(saved / CONFIG, {**config, "revision": commit})
        return True
    own = lora.read(saved)
    link = {"name": name, "revision": None, "digest": own.digest}
    record = {**stage["chain"], "adapters": [*stage["chain"]["adapters"], link]}
    stack(model / adapters.STACKED, saved, saved, chain=record)
    return True


def copy(adapter: Path, out: Path, *, base: str, revision: str | None) -> None:
    """Write one adapter into `out` in safetensors form, naming `base`."""
    one = lora.read(adapter)
    out.mkdir(parents=True, exist_ok=True)
    config = {**one.config, "base_model_name_or_path": base, "revision": revision}
    _write(out, _tensors(one), config, None, dict(one.header.metadata) if one.is_readable else None)


def _keep_new_rows(saved: Path, model: Path, network: Any) -> None:
    """Put resized embeddings into the adapter's file where peft has left them out.

    peft 0.21 asks the Hub for the base's vocabulary, and takes it for unchanged when the Hub cannot be reached.
    """
    one = lora.read(saved)
    rows = network.get_input_embeddings().weight.shape[0]
    before = headers.weights(model)
    name = fits.embedding_in(before)
    if not one.is_readable or name is None or before[name].shape[0] == rows or fits.embedding_in(one.whole):
        return
    wanted = [network.get_input_embeddings(), network.get_output_embeddings()]
    paths = [path for path, module in network.named_modules() if any(module is layer for layer in wanted)]
    new = {f"{path}.weight": network.get_submodule(path).weight.detach().cpu().clone() for path in paths}
    _write(saved, {**_tensors(one), **new}, one.config, None, dict(one.header.metadata))


class _Sum:
    """Two adapters, and the tensors of their sum."""

    def __init__(self, below: Adapter, above: Adapter) -> None:
        self.below, self.above = below, above
        self._values = {id(one): _tensors(one) for one in (below, above)}
        self._saved = {one for one in above.whole if above.is_saved_module(one)}
        self.rank = max(
            (below.modules[path].rank if path in below.modules else 0)
            + (above.modules[path].rank if path in above.modules else 0)
            for path in {**below.modules, **above.modules}
        )

    def tensors(self) -> dict[str, Any]:
        """Name in the file -> tensor."""
        import torch

        found: dict[str, Any] = {}
        whole = {name: self._value(self.below, one.name) for name, one in self.below.whole.items()}
        names = {name: one.name for name, one in self.below.whole.items()}
        for name, one in self.above.whole.items():
            value = self._value(self.above, one.name)
            if name in self._saved:
                whole[name], names[name] = value, one.name
            elif name in whole:
                # Not trained, only saved along: rows of the merged weight, which holds the first adapter already.
                whole[name] = torch.cat([whole[name], value[whole[name].shape[0] :].to(whole[name].dtype)])
            else:
                whole[name], names[name] = self._without_first(name.removesuffix(".weight"), value), one.name
        for path in {**self.below.modules, **self.above.modules}:
            parts = [
                (owner, owner.modules[path])
                for owner in (self.below, self.above)
                if path in owner.modules and not self._is_replaced(path, owner)
            ]
            copy_of = f"{path}.weight"
            if copy_of in self.below.whole and self.below.is_saved_module(copy_of):
                # A LoRA trained on a copy of the whole module: only the copy itself can hold both.
                for owner, module in parts:
                    whole[copy_of] = whole[copy_of] + self._delta(owner, module).to(whole[copy_of].dtype)
            elif parts:
                found.update(self._stacked(path, parts))
        for name, value in whole.items():
            found[names[name]] = value
        return {name: value.contiguous() if isinstance(value, torch.Tensor) else value for name, value in found.items()}

    def _without_first(self, path: str, value: Any) -> Any:
        """A weight of the merged model as it was before the first adapter."""
        module = self.below.modules.get(path)
        if module is None:
            return value
        delta = self._delta(self.below, module)
        before = value.float()
        before[: delta.shape[0]] -= delta
        return before.to(value.dtype)

    def _is_replaced(self, path: str, owner: Adapter) -> bool:
        """A LoRA of the first adapter on a module that the second keeps a whole copy of: the copy has it in it."""
        return owner is self.below and f"{path}.weight" in self._saved

    def _stacked(self, path: str, parts: list[tuple[Adapter, Module]]) -> dict[str, Any]:
        import torch

        dtypes = [self._value(owner, module.b.name).dtype for owner, module in parts]
        dtype = dtypes[0] if len(dtypes) == 1 else torch.promote_types(*dtypes)
        if any(not math.log2(module.scaling).is_integer() for _, module in parts if module.scaling > 0):
            dtype = torch.promote_types(dtype, torch.float32)  # the product with s would be rounded
        pieces_a, pieces_b = [], []
        last = parts[-1][1]
        for owner, module in parts:
            a = self._value(owner, module.a.name).to(dtype)
            b = self._value(owner, module.b.name).to(dtype) * module.scaling
            # Tokens that came with the second adapter: the first does nothing for them.
            a = torch.nn.functional.pad(a, (0, last.a.shape[1] - a.shape[1]))
            b = torch.nn.functional.pad(b, (0, 0, 0, last.b.shape[0] - b.shape[0]))
            # (experts, rank, in) and (out, rank, experts), as peft lays the experts of one parameter out
            pieces_a.append(a.reshape(module.experts, module.rank, a.shape[1]))
            pieces_b.append(b.reshape(b.shape[0], module.rank, module.experts))
        a, b = torch.cat(pieces_a, dim=1), torch.cat(pieces_b, dim=1)
        missing = self.rank - a.shape[1]
        a = torch.nn.functional.pad(a, (0, 0, 0, missing))
        b = torch.nn.functional.pad(b, (0, 0, 0, missing))
        return {
            last.a.name: a.reshape(-1, a.shape[2]),
            last.b.name: b.reshape(b.shape[0], -1),
        }

    def _delta(self, owner: Adapter, module: Module) -> Any:
        a, b = (self._value(owner, one.name).float() for one in (module.a, module.b))
        delta = module.scaling * (b @ a)
        return delta.T if module.is_embedding or owner.config.get("fan_in_fan_out") else delta

    def _value(self, owner: Adapter, name: str) -> Any:
        return self._values[id(owner)][name]


def _config(both: _Sum, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under which peft finds exactly these tensors, with scaling one."""
    below, above = both.below, both.above
    ends = (".lora_A.weight", ".lora_embedding_A")
    paths = [name.removeprefix(PREFIX).removesuffix(end) for name in tensors for end in ends if name.endswith(end)]
    plain = {key: value for key, value in above.config.items() if key not in _OF_ONE}
    experts = below.config.get("target_parameters") or above.config.get("target_parameters")
    saved = {*(below.config.get("modules_to_save") or ()), *(above.config.get("modules_to_save") or ())}
    return {
        **plain,
        "base_model_name_or_path": below.config.get("base_model_name_or_path"),
        "revision": below.config.get("revision"),
        "r": both.rank,
        "lora_alpha": both.rank,
        "use_rslora": False,
        "lora_dropout": 0.0,
        "rank_pattern": {},
        "alpha_pattern": {},
        "fan_in_fan_out": bool(below.config.get("fan_in_fan_out") or above.config.get("fan_in_fan_out")),
        "target_modules": _targets(below, above, paths),
        "target_parameters": experts,
        "modules_to_save": sorted(saved) or None,
        "init_lora_weights": True,
    }


def _targets(below: Adapter, above: Adapter, paths: list[str]) -> list[str]:
    """The names that both adapters were trained with, where together they mean exactly `paths`; else every path."""
    together = {**below.modules, **above.modules}
    simple = all(
        isinstance(one.config.get("target_modules"), list) and not any(one.config.get(key) for key in _OF_ONE[2:])
        for one in (below, above)
    )
    experts = below.config.get("target_parameters") or above.config.get("target_parameters")
    linear = [path for path in paths if not (experts and (path.endswith(("experts", "base_layer"))))]
    if simple and set(together) == set(paths):
        return sorted({*below.config["target_modules"], *above.config["target_modules"]})
    return sorted(linear)


def _tensors(adapter: Adapter) -> dict[str, Any]:
    """Every tensor of the adapter's file."""
    if not adapter.is_readable:
        import torch

        loaded: dict[str, Any] = torch.load(adapter.file, map_location="cpu", weights_only=True)
        return loaded
    from safetensors.torch import load_file

    values: dict[str, Any] = load_file(adapter.file)
    return values


def _write(
    out: Path,
    tensors: Mapping[str, Any],
    config: Mapping[str, Any],
    chain: Mapping[str, Any] | None,
    metadata: dict[str, str] | None = None,
) -> None:
    """Weights first, whole or not at all; then the config that makes them an adapter."""
    from safetensors.torch import save_file

    said = {**(metadata or {}), "format": "pt"}
    if chain is not None:
        said[METADATA] = json.dumps(_public(chain))
    part = out / f".{WEIGHTS}.part"
    save_file(dict(tensors), part, metadata=said)
    os.replace(part, out / WEIGHTS)
    (out / WEIGHTS).chmod(0o644)
    write_json(out / CONFIG, dict(config))


def _public(chain: Mapping[str, Any]) -> dict[str, Any]:
    """A chain's record without folders of this machine: an adapter is meant to be passed on."""

    def one(link: Mapping[str, Any]) -> dict[str, Any]:
        name = str(link["name"])
        is_path = Path(name).expanduser().exists() or name.startswith(("/", "~", "."))
        kept = {key: value for key, value in link.items() if key != "folder"}
        return {**kept, "name": Path(name).name if is_path else name}

    return {"base": one(chain["base"]), "adapters": [one(link) for link in chain["adapters"]]}

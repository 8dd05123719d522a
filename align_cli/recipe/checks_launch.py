"""Rules on the `launch:` block that need only text: no machine is looked at.

A preset or a file of accelerate may still add to the block; until then only rules on single values are applied.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from align_cli.errors import Problem
from align_cli.recipe import paths
from align_cli.recipe.ranges import Range
from align_cli.recipe.schema import Note, Recipe
from align_cli.recipe.view import Finding, View

_PORT = Range(least=1, most=65534)  # the next port is used as well
_COUNT = Range(least=1)

RANGES: dict[str, Range] = {
    "num_processes": _COUNT,
    "global_batch_size": _COUNT,
    "num_machines": _COUNT,
    "machine_rank": Range(least=0),
    "main_process_port": _PORT,
    "rendezvous_timeout": Range(above=0),
    "max_restarts": Range(least=0),
    "tensor_parallel": _COUNT,
    "context_parallel": _COUNT,
}

#: What a strategy can keep in main memory.
OFFLOADS: dict[str, tuple[str, ...]] = {
    "auto": ("none", "optimizer", "all"),
    "single": ("none",),
    "ddp": ("none",),
    "fsdp": ("none", "optimizer", "all"),
    "zero1": ("none", "optimizer"),
    "zero2": ("none", "optimizer"),
    "zero3": ("none", "optimizer", "all"),
}


class Endpoint(NamedTuple):
    """Where machine 0 listens."""

    host: str
    port: int


def launching(view: View) -> Iterator[Finding]:
    """Everything that is wrong with the block as far as it is known."""
    launch = view.recipe.launch
    return _launching(view, settled=not (launch.preset or launch.accelerate_config))


def of_recipe(recipe: Recipe) -> tuple[list[Problem], list[Note]]:
    """The same for a recipe whose block is settled."""
    found = list(_launching(View(recipe, {}, frozenset()), settled=True))
    return [item for item in found if isinstance(item, Problem)], [item for item in found if isinstance(item, Note)]


def config_files(view: View) -> Iterator[Finding]:
    """`deepspeed:` and `fsdp_config:` may name files: the workers would be the first to miss one."""
    for key in ("deepspeed", "fsdp_config"):
        name = view.chosen.get(key)
        if not isinstance(name, str) or not name.strip() or key in view.unread:
            continue
        if name.lstrip().startswith("{"):
            text = name
        elif not paths.is_there(name, "file"):
            yield view.problem(key, f"{key}: there is no file {name}", "a JSON file, or the mapping itself")
            continue
        else:
            try:
                text = Path(os.path.expanduser(name)).read_text(encoding="utf-8")
            except (OSError, ValueError) as cause:
                yield view.problem(key, f"{key}: {name} cannot be read: {getattr(cause, 'strerror', None) or cause}")
                continue
        try:
            is_mapping = isinstance(json.loads(text), dict)
        except ValueError as cause:
            yield view.problem(key, f"{key}: {name} is not JSON: {cause}")
            continue
        if not is_mapping:
            yield view.problem(key, f"{key}: {name} holds no JSON object", "a JSON file whose outermost signs are { }")


def unreachable(recipe: Recipe) -> Problem | None:
    """What a run on several machines lacks once it starts, and may lack before: a cluster only knows it then."""
    launch = recipe.launch
    if launch.num_machines < 2 or launch.main_process_ip or launch.rendezvous:
        return None
    origin = recipe.origins.get("launch.num_machines")
    said = f"launch.num_machines is {launch.num_machines}, and nothing says where machine 0 is"
    return Problem(said, str(origin or recipe.path), "launch.main_process_ip=ADDRESS, the same on each machine")


def endpoint(text: str) -> Endpoint | None:
    """`HOST:PORT`, with brackets around an IPv6 address; None if it is not one."""
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    if not (colon and host and port.isascii() and port.isdigit()) or any(sign in host for sign in " /\t"):
        return None
    return Endpoint(host, int(port))


def _launching(view: View, *, settled: bool) -> Iterator[Finding]:
    block = _Block(view)
    yield from block.numbers()
    yield from block.endpoint()
    if settled and not any(key.startswith("launch.") for key in view.unread):
        for rule in _RULES:
            yield from rule(block)


class _Block:
    """The block as the rules see it."""

    def __init__(self, view: View) -> None:
        self.view, self.launch = view, view.recipe.launch

    def problem(self, word: str, message: str, hint: str = "") -> Problem:
        """Something wrong with one word of the block."""
        return self.view.problem(f"launch.{word}", message, hint)

    def last(self, *words: str) -> str:
        """The word of these that somebody wrote; the first where several or none are."""
        return next((word for word in words if f"launch.{word}" in self.view.recipe.origins), words[0])

    def numbers(self) -> Iterator[Finding]:
        """Numbers that no launch can use."""
        for word, allowed in RANGES.items():
            value = getattr(self.launch, word)
            if isinstance(value, int) and (expected := allowed.wrong(value)):
                yield self.problem(word, f"launch.{word} is {value}, expected {expected}")

    def endpoint(self) -> Iterator[Finding]:
        """`rendezvous`, and what says the same in two words."""
        text = self.launch.rendezvous
        if text is None:
            return
        found = endpoint(text)
        if found is None:
            said = f'launch.rendezvous: expected HOST:PORT, not "{text}"'
            yield self.problem("rendezvous", said, "launch.rendezvous=node-0:29500")
            return
        if expected := _PORT.wrong(found.port):
            yield self.problem("rendezvous", f"launch.rendezvous: the port is {found.port}, expected {expected}")
        for word, value in (("main_process_ip", found.host), ("main_process_port", found.port)):
            other = getattr(self.launch, word)
            if other is not None and other != value:
                said = f"launch.rendezvous says {value}, launch.{word} says {other}"
                yield self.problem("rendezvous", said, "keep one of the two")


def _division(block: _Block) -> Iterator[Finding]:
    launch = block.launch
    machines, processes, rank = launch.num_machines, launch.num_processes, launch.machine_rank
    if machines < 1:
        return
    if isinstance(processes, int) and processes >= 1 and processes % machines:
        said = f"{processes} processes cannot be divided evenly among {machines} machines"
        nearest = max(processes // machines, 1) * machines
        hint = f"num_processes counts those of all machines together, e.g. {nearest}"
        yield block.problem(block.last("num_processes", "num_machines"), said, hint)
    if rank is not None and rank >= machines:
        said = f"launch.machine_rank is {rank}, and there {'is' if machines == 1 else 'are'} {machines} machine"
        hint = f"0 to {machines - 1}, counted from 0" if machines > 1 else "launch.num_machines says how many there are"
        yield block.problem("machine_rank", said + ("s" if machines > 1 else ""), hint)
    shared = launch.tensor_parallel * launch.context_parallel
    if isinstance(processes, int) and shared > 1 and processes % shared:
        said = f"{processes} processes cannot be divided among groups of {shared}"
        words = "tensor_parallel × context_parallel" if min(launch.tensor_parallel, launch.context_parallel) > 1 else ""
        word = "tensor_parallel" if launch.tensor_parallel > 1 else "context_parallel"
        yield block.problem(word, f"{said} (launch.{words or word})", f"a multiple of {shared} processes")


def _strategy(block: _Block) -> Iterator[Finding]:
    launch = block.launch
    if launch.strategy == "single":
        for word in ("num_processes", "num_machines"):
            value = getattr(launch, word)
            if isinstance(value, int) and value > 1:
                said = f"launch.strategy: single is one process, and launch.{word} is {value}"
                yield block.problem("strategy", said, "ddp gives each process all of the model")
    allowed = OFFLOADS[launch.strategy]
    if launch.offload not in allowed:
        said = f"launch.offload: {launch.offload} is not possible with strategy {launch.strategy}"
        able = [name for name, what in OFFLOADS.items() if launch.offload in what and name != "auto"]
        hint = f"strategy: {' or '.join(able)}"
        if "optimizer" in allowed:
            hint = f"offload: optimizer, or {hint}"
        yield block.problem("offload", said, hint)
    if launch.context_parallel > 1 and launch.strategy not in ("auto", "fsdp"):
        said = f"launch.context_parallel needs strategy fsdp, and it is {launch.strategy}"
        yield block.problem("context_parallel", said, "strategy: fsdp")


def _machines(block: _Block) -> Iterator[Finding]:
    lacking = unreachable(block.view.recipe)
    if lacking is not None:
        said = f"{lacking.message}: align launch slurm and align launch sky fill it in, elsewhere give main_process_ip"
        yield Note("launch.num_machines", said, lacking.where)


def _own_keys(block: _Block) -> Iterator[Finding]:
    """The block against `deepspeed:` and `fsdp:`, which say the same in upstream's words."""
    strategy, values = block.launch.strategy, block.view.chosen
    if values.get("deepspeed"):
        stage = _stage(values["deepspeed"])
        if strategy not in ("auto", "zero1", "zero2", "zero3"):
            said = f"launch.strategy is {strategy}, and deepspeed: is given"
            hint = f"strategy: zero{stage}, or remove deepspeed:" if stage else "remove one of the two"
            yield block.problem("strategy", said, hint)
        elif stage and strategy not in ("auto", f"zero{stage}"):
            said = f"launch.strategy is {strategy}, and the deepspeed: config says stage {stage}"
            yield block.problem("strategy", said, f"strategy: zero{stage}, or auto")
    if values.get("fsdp") and strategy not in ("auto", "fsdp"):
        said = f"launch.strategy is {strategy}, and fsdp: is given"
        yield block.problem("strategy", said, "strategy: fsdp, or remove fsdp:")


def _stage(config: Any) -> int:
    """The ZeRO stage of a DeepSpeed config, a mapping or a JSON file; 0 if it has none or cannot be read."""
    if isinstance(config, str):
        try:
            config = json.loads(Path(os.path.expanduser(config)).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0
    zero = config.get("zero_optimization") if isinstance(config, dict) else None
    stage = zero.get("stage", 0) if isinstance(zero, dict) else 0
    return stage if isinstance(stage, int) else 0


_RULES: tuple[Callable[[_Block], Iterator[Finding]], ...] = (_division, _strategy, _machines, _own_keys)

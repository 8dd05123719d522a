"""Bytes that each process of a run needs on its device and in main memory, part by part, for any strategy."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from align_cli.launch.memory import activations
from align_cli.launch.memory.shape import Shape
from align_cli.launch.memory.work import Work

#: A process that has loaded torch, transformers, trl, peft and the rest: measured with the versions of constraints.txt.
_PROCESS = 640e6
#: On a GPU: the CUDA context, the handles of cuBLAS and cuDNN, NCCL's buffers; and the caching allocator's free blocks.
_CONTEXT, _SLACK = 0.9e9, 0.08
#: DeepSpeed's `stage3_max_live_parameters`: as many stay whole between their uses (documentation of its JSON file).
_LIVE = 1e9


#: DDP sends the first process's weights round in pieces of this size (torch, `_sync_module_states`).
_ROUND = 250 * 2**20
#: What a process holds beyond the above when it has loaded DTensor and FSDP2, or DeepSpeed: measured on CPUs.
_FSDP, _DEEPSPEED = 0.2e9, 0.42e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """Bytes of one process; all but `host` on its device."""

    weights: float
    """With copies in fewer bits, and with what is put together again of weights that are shared out."""
    gradients: float
    """With the buffers they travel in."""
    optimizer: float
    """With weights of its own in float32, where the strategy keeps such."""
    activations: float
    logits: float
    reference: float
    process: float
    """Libraries, the device's context, blocks that are free and cannot be used."""
    host: float
    """Main memory, where the device is a GPU."""

    @property
    def total(self) -> float:
        """On the device."""
        return sum(value for name, value in self.as_dict().items() if name != "host")

    def as_dict(self) -> dict[str, int]:
        """JSON-able."""
        return {name: round(value) for name, value in asdict(self).items()}


def estimate(shape: Shape, work: Work, strategy: str, offload: str, processes: int) -> Parts:
    """The parts for `processes` processes over all machines.

    With P parameters of b bytes, T trained ones, s bytes of optimiser states for each, N processes:

        strategy   weights           gradients              optimiser
        single     P b (+ c P)       T b                    T s
        ddp        P b (+ c P)       T b                    T s
        zero1      P c               T c                    T (4 + s) / N
        zero2      P c               T c / N + buckets      T (4 + s) / N
        zero3      P c / N + live    T c / N + buckets      T (4 + s) / N
        fsdp       P b / N + live    T b / N + one layer    T s / N

    c are the arithmetic's bytes. In brackets: what autocast makes of float32 weights (PyTorch's documentation of
    automatic mixed precision: a cast weight is cached until the context ends). DDP's buckets
    are views of the gradients (`gradient_as_bucket_view`). ZeRO: Rajbhandari et al. 2020, arXiv:1910.02054, section 5,
    with K = 4 + s; its weights are in the arithmetic's bytes and its optimiser has float32 weights of its own, also
    where the arithmetic is in float32. `live`: of ZeRO-3 up to a thousand million parameters; of FSDP2 (Zhao et al.
    2023, arXiv:2304.11277, section 3) two layers and the embeddings. Offload moves the optimiser's part, and with
    `all` the shared weights, to main memory, where gradients are held for it in float32 (Ren et al. 2021,
    arXiv:2101.06840).
    """
    weights, gradients, optimizer = _states(shape, work, strategy, processes)
    host = 0.0
    if offload != "none":
        host += optimizer + shape.trainable * 4 / processes
        optimizer = 0.0
        if offload == "all":
            size = min(work.weight_bytes, work.compute_bytes) if strategy == "zero3" else work.weight_bytes
            shared = shape.parameters * size / processes
            host += shared
            weights -= shared
    kept = activations.kept(shape, work)
    reference = _reference(shape, work, strategy, processes, gradients + optimizer + sum(kept))
    total = weights + gradients + optimizer + sum(kept) + reference
    on_cpu = work.device == "cpu"
    return Parts(
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=kept.layers,
        logits=kept.head,
        reference=reference,
        process=_PROCESS + _set_up(shape, work, strategy, processes) if on_cpu else _CONTEXT + _SLACK * total,
        host=host + (0.0 if on_cpu else _PROCESS),
    )


def _states(shape: Shape, work: Work, strategy: str, processes: int) -> tuple[float, float, float]:
    """(weights, gradients, optimiser)."""
    trained, size, compute = shape.trainable, work.weight_bytes, work.compute_bytes
    own = size if size >= 2 else 4.0  # an adapter on quantised weights is not quantised
    weights = shape.parameters * size + (trained * own if shape.adapter else 0.0)
    cast = compute * (shape.parameters - shape.embedding) if work.is_mixed and not work.checkpointing else 0.0
    if work.is_mixed and work.checkpointing:
        cast = compute * (trained if shape.adapter is None else _of_layer(shape))
    optimizer = trained * work.optimizer_bytes
    if strategy in ("single", "ddp"):
        return weights + cast, trained * own, optimizer
    if strategy == "fsdp":
        live = (2 * _of_layer(shape) + shape.embedding * (1 if shape.is_tied else 2)) * compute
        one = _of_layer(shape) if shape.adapter is None else trained / shape.layers
        return weights / processes + live, trained * own / processes + one * compute, optimizer / processes
    held = (shape.parameters + (trained if shape.adapter else 0)) * min(size, compute)
    buckets = 2 * min(trained, shape.hidden**2) * compute
    optimizer = trained * (4.0 + work.optimizer_bytes) / processes
    if strategy == "zero1":
        return held, trained * compute, optimizer
    if strategy == "zero2":
        return held, trained * compute / processes + buckets, optimizer
    live = min(shape.parameters, _LIVE) * compute * (1 - 1 / processes)
    return held / processes + live, trained * compute / processes + buckets, optimizer


def _set_up(shape: Shape, work: Work, strategy: str, processes: int) -> float:
    """What processes without GPUs still hold of the time before the first step.

    The heap keeps what was freed (`tasks/training/lean/cpu.py`), and training finds little of it of the right size:
    DDP's first round of weights; the whole weights of which FSDP2 and ZeRO-3 made shares, and those that are trained
    once more (accelerate, `fsdp2_prepare_model`; DeepSpeed's flat copies); for ZeRO-1 and -2 the flat copy of what is
    trained, and what it was copied from. Measured with two processes, see docs/explanation/memory.md.
    """
    if processes == 1:
        return 0.0
    size = shape.parameters * work.weight_bytes
    trained = shape.trainable * max(work.weight_bytes, 2.0)
    if strategy == "ddp":
        return min(size, _ROUND)
    if strategy in ("fsdp", "zero3"):
        return size + trained + (_FSDP if strategy == "fsdp" else _DEEPSPEED)
    return 2 * trained + _DEEPSPEED if strategy.startswith("zero") else 0.0


def _of_layer(shape: Shape) -> float:
    """Parameters of one layer."""
    embeddings = shape.embedding * (1 if shape.is_tied else 2)
    return (shape.parameters - embeddings) / max(shape.layers, 1)


def _reference(shape: Shape, work: Work, strategy: str, processes: int, training: float) -> float:
    """A second model all the time; or what one that is gone before training needs beyond what training will need."""
    if work.reference == "none":
        return 0.0
    share = processes if strategy in ("fsdp", "zero3") else 1
    weights = shape.parameters * work.weight_bytes / share
    return weights if work.reference == "kept" else max(weights - training, 0.0)

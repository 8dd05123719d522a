"""What a resolved recipe is: upstream's flat values, our own blocks, and where each value came from.

Everything here is frozen and knows nothing of files: `load` makes it, `decode` reads it back in a worker.
The docs of a field are the string under it; `fields` reads them statically, as it reads upstream's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from align_cli.errors import Problem

Combine = Literal["native", "handbook-2023", "handbook-2025", "trl"]
Arrangement = Literal["shuffled", "interleaved", "concatenated"]
Strategy = Literal["auto", "single", "ddp", "fsdp", "zero1", "zero2", "zero3"]
Offload = Literal["none", "optimizer", "all"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One place where rows come from."""

    path: str
    """A file, folder, glob or `save_to_disk` folder (local if it exists), `pkg://PACKAGE/FILE`, else a Hub id."""
    name: str = ""
    """Label in reports; empty: the path."""
    config: str | None = None
    """The Hub data set's configuration (subset)."""
    split: str | None = None
    """Split to read; empty: `train` where splits exist, else everything."""
    revision: str | None = None
    """Hub branch, tag or commit."""
    data_files: tuple[str, ...] = ()
    """Files inside `path`, as in `datasets.load_dataset`."""
    layout: str | None = None
    """How a row spells a conversation, e.g. `sharegpt`; empty: recognised from the columns."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Our word -> the column that holds it, e.g. `messages: dialogue`."""
    keep_columns: tuple[str, ...] = ()
    """Columns to keep before recognising the layout; empty: all."""
    where: str | None = None
    """Keep only rows for which this holds, e.g. `score >= 4 and "en" in languages`; names are the file's columns."""
    fraction: float | None = None
    """Share of this source's own rows, 0 to 1 (floor). Under `combine: trl`, target share of the mixture."""
    rows: int | None = None
    """Number of rows to take."""
    tokens: int | None = None
    """Token budget: as many rows as fit into it."""
    share: float | None = None
    """Target share of the mixture's training rows, 0 to 1; given for every source or for none, and together 1."""
    repeat: float | None = None
    """How often the taken rows are trained on in one epoch, from 1 on; a part repeats the first of them again."""
    shuffle: bool | None = None
    """Shuffle this source before taking rows; empty: what `combine` says."""
    held_out: float | int | None = None
    """Rows of this source held out for evaluation, instead of the mixture's `held_out`."""
    system: str | None = None
    """System prompt for the conversations of this source that have none."""
    streaming: bool = False
    """Read a Hub data set row by row and only as far as `rows` asks, instead of downloading all of it."""

    @property
    def label(self) -> str:
        """What reports call this source."""
        return self.name or (f"{self.path}/{self.config}" if self.config else self.path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clean:
    """What is mended or left out of the rows before they are mixed; nothing unless it is asked for."""

    repair: bool = False
    """Mend what has one plain meaning: empty turns go, a role's consecutive turns join, a late system turn moves up."""
    exact: bool = False
    """Leave out rows that equal an earlier row."""
    near: float | None = None
    """Leave out rows whose MinHash similarity with an earlier row is at least this, e.g. 0.85."""
    across: bool = True
    """Look for duplicates across sources, too: evaluation rows stay, then the earlier source's."""
    decontaminate: tuple[str, ...] = ()
    """Benchmarks (`mt_bench`, `alpaca_eval`, `humaneval`) and local files (`FILE` or `FILE:COLUMN`) not to train on."""
    ngram: int = 13
    """Words in a row that a training row and a benchmark's text must share to count as contaminated."""
    decontaminate_humaneval: bool = False
    """Leave out rows that hold a docstring or solution of HumanEval word for word, as the Handbook did."""
    min_turns: int | None = None
    """Fewest turns of a conversation, system turns not counted."""
    max_turns: int | None = None
    """Most turns of a conversation, system turns not counted."""
    min_characters: int | None = None
    """Fewest characters of a row's text."""
    max_characters: int | None = None
    """Most characters of a row's text."""
    languages: tuple[str, ...] = ()
    """Languages to keep, as ISO 639-1 codes, e.g. `[en, de]`; needs the extra `language`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """What a run trains and evaluates on."""

    sources: tuple[Source, ...] = ()
    """Where training rows come from, in order."""
    eval: tuple[Source, ...] = ()
    """Where evaluation rows come from; used whole unless they say otherwise."""
    held_out: float | int | None = None
    """Rows held out of the training rows for evaluation: below 1 a share, from 1 on a count."""
    seed: int = 42
    """Seed of selection and order; independent of the trainer's `seed`."""
    combine: Combine = "native"
    """How sources become one sequence: `native`, or exactly as the named ancestor did it."""
    rows: int | None = None
    """Training rows of the whole mixture, dealt out by `share`, `temperature`, or else by size."""
    tokens: int | None = None
    """Training tokens of the whole mixture, dealt out likewise."""
    temperature: float | None = None
    """Shares proportional to size ** (1 / temperature): 1 as large as they are, more: small sources count more."""
    oversample: bool = False
    """Whether a source that is too small for its share repeats rows; otherwise the mixture gets smaller."""
    order: Arrangement = "shuffled"
    """`shuffled`; `interleaved`: every prefix has the sources' shares to within a row; or `concatenated`."""
    clean: Clean = field(default_factory=Clean)
    """What is mended or left out before mixing."""
    on_bad_rows: Literal["error", "skip"] = "error"
    """A malformed row stops the build with its place, or is skipped and counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """How many processes run the work, where, and what each of them holds."""

    strategy: Strategy = "auto"
    """`single`: one process. `ddp`: each process has all of the model. `fsdp`, `zero1-3`: they share it out."""
    offload: Offload = "none"
    """What lies in main memory instead of the GPU's: `optimizer`, or `all` (weights, too)."""
    num_processes: int | Literal["auto"] = "auto"
    """Processes on all machines together; `auto`: one a GPU, or one where there is none."""
    global_batch_size: int | None = None
    """Rows per optimiser step, however many processes there are: `gradient_accumulation_steps` follows from it."""
    num_machines: int = 1
    """Machines; each runs the same command with its own `machine_rank`."""
    machine_rank: int | None = None
    """Which machine this is, from 0 on; empty: as Slurm or SkyPilot say, else 0."""
    main_process_ip: str | None = None
    """Address or name of machine 0, as the others reach it."""
    main_process_port: int | None = None
    """Port of machine 0; the next one is used, too. Empty: 29500, or any free one on a single machine."""
    rendezvous: str | None = None
    """`HOST:PORT` of machine 0, in one word."""
    rendezvous_timeout: int = 600
    """Seconds to wait for the other machines."""
    max_restarts: int = 0
    """How often a run whose worker failed goes on from its last checkpoint by itself."""
    tensor_parallel: int = 1
    """Processes that share each matrix. Read and planned with; this version does not run it."""
    context_parallel: int = 1
    """Processes that share each sequence. Read and planned with; this version does not run it."""
    accelerate_config: str | None = None
    """A file of `accelerate config`, e.g. the Handbook's; what it says is taken as if it stood here."""
    preset: str | None = None
    """A shipped block (`align launch ls`), e.g. `8xgpu-zero3`; what stands beside it wins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignFields:
    """Flat keys of our own: words that recipes use and upstream's configs do not have (any more)."""

    chat_template: str | None = None
    """Chat template: Jinja text, a path to a Jinja file, or a shipped name (`chatml`, `zephyr`)."""
    tokenizer_name_or_path: str | None = None
    """Load the tokenizer from here instead of `model_name_or_path`."""
    base_model_revision: str | None = None
    """Revision of the base model when `model_name_or_path` is an adapter."""
    auto_insert_empty_system_msg: bool = False
    """Put an empty system turn before conversations that have none, where the template knows system turns."""
    truncation_side: Literal["left", "right"] | None = None
    """Side of the sequence that is cut at `max_length`; empty: the task's `truncation_mode`."""
    max_prompt_length: int | None = None
    """Longest prompt in tokens, for preference tasks."""
    max_train_samples: int | None = None
    """Train on at most this many rows of the mixture (its first ones, after mixing)."""
    max_eval_samples: int | None = None
    """Evaluate on at most this many rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceFields:
    """Flat keys of our own for tasks that measure the policy against a reference model."""

    ref_model_name_or_path: str | None = None
    """Reference model: a folder, `.gguf` file or Hub id; empty: the model that training starts from."""
    ref_model_revision: str | None = None
    """Revision of the reference model on the Hub."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from. `place` is `file:line`, the words of the command line, or the profile's name."""

    kind: Literal["file", "extends", "command line", "profile", "accelerate", "preset", "adapted", "default"]
    place: str = ""

    def __str__(self) -> str:
        return self.place or self.kind


@dataclass(frozen=True, slots=True)
class Note:
    """Something the reader should know that is not wrong: a key translated, ignored, or not honoured here."""

    key: str
    message: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One run, fully decided. `values` holds what somebody chose; `defaults` what upstream does otherwise."""

    task: str
    path: str
    """The recipe file as the user named it; empty when everything came from the command line."""
    text: str
    """The file as written."""
    overrides: tuple[str, ...]
    """The command line's overrides, canonical: `key=value`."""
    values: Mapping[str, Any]
    """Flat key -> typed value, only where a file, an override, the profile or adaptation set it."""
    defaults: Mapping[str, Any]
    """Flat key -> upstream's static default, for every field of the task; computed defaults are absent."""
    mixture: Mixture
    launch: Launch
    profile: str
    """`align`, `trl`, `handbook-2023` or `handbook-2025`."""
    behaviours: Mapping[str, Any]
    """What the profile switches on that has no key of its own, e.g. `append_eos: true`."""
    env: Mapping[str, str]
    """Environment variables to set before the work (TRL's `env:`); values of secrets never leave this mapping."""
    origins: Mapping[str, Origin]
    """Key -> where its value came from, for every key of `values` and every leaf of our blocks."""
    notes: tuple[Note, ...]

    def get(self, key: str, otherwise: Any = None) -> Any:
        """The value in force: chosen, else upstream's default, else `otherwise`."""
        if key in self.values:
            return self.values[key]
        return self.defaults.get(key, otherwise)


class Subject(Protocol):
    """What the recipe layer needs to know of a task: its name, the dataclasses its keys come from, its own rules."""

    @property
    def name(self) -> str:
        """As in `align train NAME`."""

    @property
    def configs(self) -> tuple[str, ...]:
        """`module:Class`, first wins."""

    @property
    def check(self) -> Callable[[Recipe], Iterable[Problem]]:
        """Rules across keys that only this task knows."""

"""A mixture as files that other tools read: a folder with a data set card, one Parquet or JSONL file, or the Hub.

Rows have the columns that TRL and the Handbook read, in the mixture's order, and `source`, the label of where each came
from. They are streamed, and a target is there whole or not at all.
"""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal

from align_cli import files
from align_cli.errors import AlignError, EndpointError, UsageError
from align_cli.mix.build import Build
from align_cli.mix.exports import export_card
from align_cli.mix.exports.export_rows import Columns, plain_rows

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["folder", "parquet", "jsonl", "hub"]

REPORT = "mixture.json"
#: Split -> file in an exported folder; both `datasets` and align know the splits by these names.
SHARDS = {"train": "train-00000-of-00001.parquet", "test": "test-00000-of-00001.parquet"}
_OURS = {REPORT, "README.md", ".gitattributes", *SHARDS.values()}
_HUB = "hub:"
_GROUP_BYTES = 32 << 20  # of a row group, in memory


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows shall go."""

    kind: Kind
    path: Path
    """The folder or file; for the Hub the local folder that is uploaded."""
    repository: str = ""

    @property
    def evaluation(self) -> Path:
        """The file for the evaluation rows, beside the one for the training rows."""
        stem, dot, suffix = self.path.name.partition(".")
        return self.path.with_name(f"{stem}.eval{dot}{suffix}")


def target_of(text: str, *, force: bool = False) -> Target:
    """What `--to` names, checked before any work is done.

    Raises:
        UsageError: it is no target, or something is there that would be lost.
    """
    if text.startswith(_HUB):
        name = text.removeprefix(_HUB)
        if name.count("/") != 1 or name.startswith("/") or name.endswith("/"):
            raise UsageError(f'"{text}" names no data set of the Hub', hint="write hub:OWNER/NAME")
        return Target("hub", files.cache_root() / "exports" / name.replace("/", "--"), name)
    if not text.strip():
        raise UsageError("--to names nothing", hint="a folder, FILE.parquet, FILE.jsonl, or hub:OWNER/NAME")
    path = Path(text).expanduser()
    name = path.name
    kind: Kind = "folder"
    if name.endswith((".jsonl", ".jsonl.gz")):
        kind = "jsonl"
    elif name.endswith(".parquet"):
        kind = "parquet"
    elif path.suffix and not path.is_dir() and not text.endswith("/"):
        raise UsageError(
            f"{text}: rows are not written as {path.suffix}",
            hint="write FILE.parquet, FILE.jsonl, FILE.jsonl.gz, a folder (end it with /), or hub:OWNER/NAME",
        )
    target = Target(kind, path)
    _refuse_loss(target, force=force)
    return target


def export(
    build: Build, target: Target, *, force: bool = False, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Write the mixture's rows; gives {kind, paths, rows, eval_rows, private} for people and programs.

    Raises:
        UsageError: the target is there already, or may not be written.
        AlignError: the disk is full.
        EndpointError: the Hub did not take it; the local folder stays.
    """
    _refuse_loss(target, force=force)
    _refuse_sources(target, build)
    try:
        if target.kind in ("folder", "hub"):
            paths = _folder(build, target, say)
        else:
            paths = _files(build, target, say)
    except OSError as error:
        raise _not_written(target.path, error) from error
    done: dict[str, Any] = {"kind": target.kind, "paths": [str(path) for path in paths], "rows": build.num_train}
    done["eval_rows"] = build.num_eval
    if target.kind == "hub":
        done["url"] = _upload(target, say)
        done["paths"] = []
        shutil.rmtree(target.path, ignore_errors=True)
    return done


def _splits(build: Build) -> list[tuple[str, Path]]:
    found = [("train", build.folder / "train.arrow")]
    return [*found, ("test", build.folder / "eval.arrow")] if build.num_eval else found


def _folder(build: Build, target: Target, say: Callable[[str], None]) -> list[Path]:
    """A folder that `load_dataset` and `align` read; the old one is moved away only when the new one is whole."""
    path = target.path
    aside = path.with_name(f".{path.name}.{token_hex(4)}.old")
    with files.new_folder(path) as work:
        splits = _splits(build)
        columns = Columns.of([stream for _, stream in splits], build.report)
        for split, stream in splits:
            say(f"writing {split}")
            _parquet(stream, work / SHARDS[split], columns)
        if target.kind == "folder":  # it names files of this machine, which is nobody else's business
            files.write_json(work / REPORT, build.report)
        title = target.repository or path.resolve().name
        card = export_card.text(build, title, {split: SHARDS[split] for split, _ in splits})
        files.write_text(work / "README.md", card)
        if path.exists():
            os.rename(path, aside)
    if aside.exists():
        shutil.rmtree(aside, ignore_errors=True) if path.exists() else os.rename(aside, path)
    return [path]


def _files(build: Build, target: Target, say: Callable[[str], None]) -> list[Path]:
    """One file for each split; both are whole before either gets its name."""
    target.path.parent.mkdir(parents=True, exist_ok=True)
    splits = _splits(build)
    columns = Columns.of([stream for _, stream in splits], build.report)
    places = {"train": target.path, "test": target.evaluation}
    write = _parquet if target.kind == "parquet" else _jsonl
    made: list[tuple[Path, Path]] = []
    with _temporary() as temporary:
        for split, stream in splits:
            say(f"writing {places[split]}")
            work = temporary(places[split])
            write(stream, work, columns)
            made.append((work, places[split]))
        for work, place in reversed(made):
            os.replace(work, place)
    if "test" not in dict(splits):  # an earlier export's rows to evaluate on may be training rows now
        target.evaluation.unlink(missing_ok=True)
    return [place for _, place in made]


@contextmanager
def _temporary() -> Iterator[Callable[[Path], Path]]:
    """Gives names beside the final ones; what still has such a name at the end vanishes."""
    made: list[Path] = []

    def beside(path: Path) -> Path:
        made.append(path.with_name(f".{token_hex(4)}.{path.name}"))
        return made[-1]

    try:
        yield beside
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def _parquet(stream: Path, path: Path, columns: Columns) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pa.memory_map(str(stream)) as file, pa.ipc.open_stream(file) as reader:
        with pa.OSFile(str(path), "wb") as sink, pq.ParquetWriter(sink, columns.schema, compression="zstd") as writer:
            for batches in _grouped(reader):
                made = [columns.standard(batch) for batch in batches]
                writer.write_table(pa.Table.from_batches(made, columns.schema))
        _sync(path)


def _jsonl(stream: Path, path: Path, columns: Columns) -> None:
    import pyarrow as pa

    with pa.memory_map(str(stream)) as file, pa.ipc.open_stream(file) as reader, path.open("wb") as raw:
        # A name and a time in the file would make equal rows different bytes.
        packed = gzip.GzipFile("", "wb", 6, raw, 0) if path.suffix == ".gz" else None
        sink = io.TextIOWrapper(packed or raw, encoding="utf-8", newline="\n", write_through=True)
        for batch in reader:
            lines = [json.dumps(row, ensure_ascii=False) for row in plain_rows(batch, columns.labels)]
            sink.write("".join(f"{line}\n" for line in lines))
        sink.detach()
        if packed:
            packed.close()
    _sync(path)


def _grouped(reader: Any) -> Iterator[list[pa.RecordBatch]]:
    """Batches in lists that make row groups of a good size."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in reader:
        waiting.append(batch)
        size += batch.nbytes
        if size >= _GROUP_BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _refuse_loss(target: Target, *, force: bool) -> None:
    """Stop before anything that is there would be lost."""
    path = target.path
    if target.kind == "hub":
        return
    if target.kind == "folder":
        if not path.exists():
            return
        if not path.is_dir():
            raise UsageError(f"{path} exists and is no folder", hint="name another folder")
        inside = {entry.name for entry in path.iterdir()}
        if not inside:
            return
        foreign = sorted(inside - _OURS)
        if foreign:
            raise UsageError(
                f"{path} holds what no export writes: {', '.join(foreign[:5])}", hint="name a new or empty folder"
            )
        if not force:
            raise UsageError(f"{path} holds an export already", hint="--force replaces it, or name another folder")
        return
    for place in (path, target.evaluation):
        if place.is_dir():
            raise UsageError(f"{place} is a folder", hint="name a file")
        if place.exists() and not force:
            raise UsageError(f"{place} exists", hint="--force replaces it, or name another file")


def _refuse_sources(target: Target, build: Build) -> None:
    """An export never replaces what it was made of."""
    if target.kind == "hub":
        return
    written = {target.path.resolve(), target.evaluation.resolve()}
    for source in build.report["sources"]:
        path = Path(source["path"]).expanduser()
        if path.exists() and path.resolve() in written:
            raise UsageError(f"{target.path} is a source of this mixture", hint="name another file or folder")


def _not_written(path: Path, error: OSError) -> AlignError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return AlignError(
            f"the disk that holds {path.parent} is full; nothing half-made was left there",
            hint="free some space, or export to another disk",
        )
    reason = error.strerror or str(error)
    return UsageError(f"{path} cannot be written: {reason}", hint="name a place that you may write to")


def _upload(target: Target, say: Callable[[str], None]) -> str:
    """Push the folder to a private data set, made when it is not there; the address."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import HfApi

        api = HfApi(token=os.environ.get("HF_TOKEN") or None)
        created = api.create_repo(repo_id=target.repository, repo_type="dataset", private=True, exist_ok=True)
        say(f"uploading to {created.repo_id}")
        api.upload_folder(
            repo_id=created.repo_id,
            repo_type="dataset",
            folder_path=target.path,
            commit_message="Mixed with align",
            delete_patterns=["*.parquet"],
        )
        return str(created)
    except Exception as cause:  # whatever a network can do: the rows are safe here
        words = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        raise EndpointError(
            f"the Hub did not take {target.repository}: {words}",
            hint=f"the data set is in {target.path}; try again, or: hf upload --repo-type dataset "
            f"{target.repository} {target.path}",
        ) from cause


__all__ = ["SHARDS", "Target", "export", "target_of"]

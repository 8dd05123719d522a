"""A chain of adapters as a whole model: in the store, to be trained on, or in a folder of its own.

The parent's side, without torch: what can be known from files is checked, the room on the disk is counted, and the
work goes to a child (`merge_work`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from align_cli.errors import TrainingError, UsageError
from align_cli.files import aside, build_once, cache_root, digest_of, locked, move_aside, obstacle, read_json
from align_cli.models.adapters import fits
from align_cli.models.adapters.chains import RECORD, Chain
from align_cli.models.finding import children, contents, headers

#: Raise when the merged folder changes for the same chain.
_VERSION = 1
_MODULE = "align_cli.models.adapters.merge_work"
#: Room to leave on the disk beside the weights: tokenizer, adapters.
_SPARE = 1.05

#: Files of a merged model.
_MERGED = (*contents.WEIGHTS, *contents.CONFIG, *contents.TOKENIZER)

Say = Callable[[str], None]
Progress = Callable[[int, int, str], None]


def stage(chain: Chain, *, trust_remote_code: bool = False, say: Say = lambda line: None) -> Path:
    """The folder in the store that holds the chain as one model, to train a next one on; made now if there is none.

    Raises:
        UsageError: the adapters do not fit their base.
        TrainingError: the merged model is not what base and adapters are, or the disk is full.
    """
    demand_fit(chain)
    say(f"model {chain.names}: looking for it merged")
    root = cache_root() / "models"
    folder = root / digest_of([chain.digest, _tokenizers(chain), "stage", _VERSION])[:32]

    def make(work: Path) -> None:
        say(f"model {chain.names}: merging once to {folder}")
        _demand_room(chain, root)
        record = _merge(chain, work, role="stage", trust_remote_code=trust_remote_code, say=say)
        say(sentence(record["verified"]))

    build_once(folder, make)
    return folder


def merge(
    chain: Chain,
    out: Path,
    *,
    force: bool = False,
    trust_remote_code: bool = False,
    say: Say = lambda line: None,
    on_progress: Progress = lambda done, of, what: None,
) -> dict[str, Any]:
    """Merge a chain into the folder `out`; the record that lies there as `align/merged.json`.

    The work is done beside `out` and gets its name when all of it is there and compared. A merge that was killed goes
    on after its last whole shard; one that fails leaves nothing. `force` replaces an earlier merge; whatever else `out`
    holds is moved aside.

    Raises:
        UsageError: `out` holds something and `force` is not set, it cannot be written, or the adapters do not fit.
        TrainingError: the merged model is not what base and adapters are, or the disk is full.
    """
    out = Path(os.path.abspath(out))
    if not chain.adapters:
        raise UsageError(f"{chain.base.name}: this is a whole model: there is no adapter to merge")
    _demand_free(chain, out, force=force)
    demand_fit(chain)
    if _is_foreign(out):
        say(f"{out} holds something else than a merge: it will be moved to {aside(out).name}")
    identity = digest_of([chain.digest, _tokenizers(chain), "model", _VERSION])
    out.parent.mkdir(parents=True, exist_ok=True)
    with locked(cache_root() / "locks" / f"{digest_of(str(out.resolve()))[:32]}.lock"):
        work = out.with_name(f".{out.name}.merging-{identity[:12]}")
        for other in out.parent.iterdir():
            if other.name.startswith(f".{out.name}.merging-") and other != work:
                shutil.rmtree(other, ignore_errors=True)
        if work.is_dir():
            say("going on with a merge that was stopped")
        try:
            work.mkdir(exist_ok=True)
            _demand_room(chain, out.parent, there=work)
            record = _merge(
                chain, work, role="model", trust_remote_code=trust_remote_code, say=say, on_progress=on_progress
            )
            _into_place(work, out)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    return record


def sentence(verified: dict[str, Any]) -> str:
    """What the comparison found, for a person."""
    words = (
        f"the merged model's logits differ by at most {verified['largest']:.2g} from base and adapter on "
        f"{verified['tokens']} tokens ({verified['dtype']}; the adapter itself changes them by up to "
        f"{verified['effect']:.3g})"
    )
    if verified["effect"] <= verified["tolerance"]:
        words += "; warning: the adapter does less than rounding in this dtype may"
    return words


def _merge(
    chain: Chain,
    work: Path,
    *,
    role: str,
    trust_remote_code: bool,
    say: Say,
    on_progress: Progress = lambda done, of, what: None,
) -> dict[str, Any]:
    job = {"chain": chain.as_dict(), "folder": str(work), "role": role, "trust_remote_code": trust_remote_code}
    record: dict[str, Any] = children.run(_MODULE, job, say=say, on_progress=on_progress)
    return record


def demand_fit(chain: Chain) -> None:
    """Raise what is wrong between the adapters and their base."""
    if problems := fits.problems(chain):
        first = problems[0]
        raise UsageError(f"{first.where}: {first.message}", hint=first.hint)


def _demand_free(chain: Chain, out: Path, *, force: bool) -> None:
    """Refuse a folder that holds something else, or what is being read."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: this is a file", hint="name a folder")
    mine = out.resolve()
    here = Path.cwd().resolve()
    if mine in (here, *here.parents):
        raise UsageError(f"{out}: this is the folder you are in, or above it", hint="name a new folder")
    for link in (chain.base, *chain.adapters):
        source = link.folder.resolve()
        if mine == source or mine in source.parents:
            raise UsageError(f"{out}: {link.name} is read from there", hint="choose another folder")
    if why := obstacle(out):
        raise UsageError(f"{out} cannot be written: {why}", hint="choose another folder")
    if out.is_dir() and any(out.iterdir()) and not force:
        done = out / RECORD
        if done.is_file():
            with contextlib.suppress(OSError, ValueError, KeyError):
                if read_json(done)["chain"] == chain.as_dict():
                    hint = f"use it as it is; --force merges again: {out}"
                    raise UsageError(f"{out}: this very chain is merged there already", hint=hint)
        then = "--force moves it aside" if _is_foreign(out) else "--force replaces what it holds"
        raise UsageError(f"{out}: this folder is not empty", hint=f"choose another, or {then}")


def _is_foreign(out: Path) -> bool:
    """Whether there is more in `out` than an earlier merge: a run, or somebody's files."""
    if not out.is_dir() or not any(out.iterdir()):
        return False
    ours = {Path(RECORD).parts[0], *(file.name for file in contents.files_of(out, _MERGED))}
    records = [item.name for item in (out / RECORD).parent.glob("*")]
    return records != [Path(RECORD).name] or any(item.name not in ours for item in out.iterdir())


def _demand_room(chain: Chain, place: Path, there: Path | None = None) -> None:
    weights = headers.weights(chain.base.folder)
    needed = sum(one.bytes for one in weights.values()) or _size(contents.files_of(chain.base.folder, ("*.bin",)))
    done = _size(list(there.glob("*.safetensors"))) if there else 0
    place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place).free
    if free < needed * _SPARE - done:
        raise TrainingError(
            f"the disk of {place} has {free / 1e9:.1f} GB left, and the merged model needs {needed / 1e9:.1f} GB",
            hint="free some space, or merge to a folder on another disk",
        )


def _size(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _tokenizers(chain: Chain) -> list[str]:
    """Tokenizer and template come along, so they decide the folder too."""
    return [contents.digest_of_files(link.folder, contents.TOKENIZER) for link in chain.adapters]


def _into_place(work: Path, out: Path) -> None:
    """`out` is the old folder or the new one, never half of each."""
    for file in work.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
    if _is_foreign(out):
        move_aside(out)
        work.rename(out)
    elif out.is_dir():
        old = out.with_name(f".{out.name}.replaced-{os.getpid()}")
        out.rename(old)
        work.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    else:
        work.rename(out)

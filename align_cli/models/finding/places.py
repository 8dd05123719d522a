"""From a name to the folder it means: found here, fetched from the Hub, or made from a GGUF file.

A name is a folder, a `.gguf` file, `pkg://PACKAGE/FILE` (a file or folder inside an installed package), or a Hub id.
What exists here is never looked up on the network. A GGUF file is turned into a folder once, in a child process, so
that the parent never loads torch. The folder may hold an adapter: `locate` knows what to do with one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from align_cli import fingerprints
from align_cli.errors import LaunchError, Problem, UsageError
from align_cli.files import build_once, cache_root, digest_of
from align_cli.packages import SCHEME, root_of

#: Raise when the converted folder changes for the same GGUF file.
_CONVERSION = 1
_LONGEST = 96  # characters in a Hub id
_HUB_ID = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONFIGS = ("config.json", "adapter_config.json")
#: What a model folder needs; other frameworks' weights and the repository's own extras stay on the Hub.
_HUB_FILES = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "*.tiktoken")
_TOKENIZER_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "*.jinja",
    "*.model",
    "vocab*",
    "merges.txt",
    "config.json",
)


def find(
    name: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    only_here: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """The local folder of the model or adapter `name`: found, fetched, or converted from GGUF into the cache.

    `only_here`: of the Hub only what its cache on this machine holds.

    Raises:
        UsageError: nothing here or on the Hub has that name, or what is there is not a model.
        LaunchError: it has to be fetched and cannot be, or to be converted and the converter fails.
    """
    if problem := check(name):
        raise UsageError(str(Problem(problem.message, problem.where)), hint=problem.hint)
    place = _local(name)
    if place is None:
        patterns = (*_HUB_FILES, *(("*.py",) if trust_remote_code else ()))
        return _fetch(name, revision, patterns, say, only_here=only_here)
    return _converted(place, say) if place.suffix == ".gguf" else place


def find_tokenizer(name: str, *, revision: str | None = None, say: Callable[[str], None] = lambda line: None) -> Path:
    """The local folder of the tokenizer `name`, for recipes that take it from elsewhere than the model.

    A folder needs no `config.json` here; of a Hub repository only the tokenizer's files are fetched.
    """
    place = _local(name)
    if place is not None and place.is_dir():
        return place
    if place is None and check(name) is None:
        return _fetch(name, revision, _TOKENIZER_FILES, say)
    return find(name, revision=revision, say=say)


def here(name: str) -> Path | None:
    """The file or folder that `name` means on this machine, if there is one; no work, no network."""
    return _local(name)


def ready(name: str, *, revision: str | None = None) -> Path | None:
    """The folder that `find` would give without fetching, converting or reading any weights; None if it would have to.

    Of the Hub's cache the folder structure is read, which spares its library's start.
    """
    place = _local(name)
    if place is None:
        return _in_hub_cache(name, revision or "main")
    if place.suffix != ".gguf":
        return place if place.is_dir() else None
    known = fingerprints.known(place)
    folder = _conversion_of(known.sha256) if known else None
    return folder if folder is not None and folder.is_dir() else None


def _in_hub_cache(name: str, revision: str) -> Path | None:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()
    root = Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"models--{name.replace('/', '--')}"
    try:
        ref = root / "refs" / revision
        commit = ref.read_text(encoding="ascii").strip() if ref.is_file() else revision
    except (OSError, ValueError):
        return None
    folder = root / "snapshots" / commit
    return folder if (folder / "config.json").is_file() else None


def commit_of(folder: Path) -> str | None:
    """The commit of a folder in the Hub's cache, whose path ends with `snapshots/COMMIT`; None elsewhere."""
    resolved = folder.resolve()
    return resolved.name if resolved.parent.name == "snapshots" and _COMMIT.fullmatch(resolved.name) else None


def check(name: str) -> Problem | None:
    """What is wrong with `name` as far as this machine can tell; no network, nothing imported, nothing written."""
    if not name.strip():
        return Problem("no model is named", "model_name_or_path", "set it to a folder, a .gguf file or a Hub id")
    place = _local(name)
    if name.startswith(SCHEME):
        return _check_package(name, place)
    if place is not None:
        return _check_place(place)
    if (
        name.startswith((".", "/", "~"))
        or name.endswith(".gguf")
        or len(name) > _LONGEST
        or not _HUB_ID.fullmatch(name)
    ):
        return Problem("there is no such folder or file", name, "the name of a Hub model has the form OWNER/NAME")
    return None


def _local(name: str) -> Path | None:
    """The file or folder that `name` means on this machine, if it exists."""
    if name.startswith(SCHEME):
        package, _, inside = name.removeprefix(SCHEME).partition("/")
        root = root_of(package)
        place = root / inside if root and ".." not in Path(inside).parts else None
    else:
        place = Path(name).expanduser()
    return place if place is not None and os.path.exists(place) else None  # Path.exists raises where it may not look


def _check_package(name: str, place: Path | None) -> Problem | None:
    package, _, inside = name.removeprefix(SCHEME).partition("/")
    root = root_of(package)
    if root is None:
        installable = package.replace("_", "-")
        return Problem(f'the package "{package}" is not installed', name, f"pip install --no-deps {installable}")
    if place is None or not inside:
        return Problem(f'the package "{package}" has no file "{inside}"', name, f"it holds {_listing(root)}")
    return _check_place(place)


def _check_place(place: Path) -> Problem | None:
    if not os.access(place, os.R_OK | os.X_OK if place.is_dir() else os.R_OK):
        return Problem("this cannot be read", str(place), f"ls -ld {place}")
    if place.is_file():
        if place.suffix != ".gguf":
            return Problem("this file is not a model", str(place), "give a model folder, a .gguf file or a Hub id")
        with place.open("rb") as file:
            if file.read(4) != b"GGUF":
                return Problem("this file does not begin as a GGUF file does", str(place), "fetch it again")
        if find_spec("gguf") is None:
            return Problem("reading a .gguf file needs the package gguf", str(place), "pip install gguf")
        return None
    if not any((place / config).is_file() for config in _CONFIGS):
        return Problem(
            f"this folder is not a model: it has no config.json; it holds {_listing(place)}",
            str(place),
            "name the folder that holds config.json, or a run's output_dir",
        )
    return None


def _listing(folder: Path) -> str:
    try:
        names = sorted(item.name + ("/" if item.is_dir() else "") for item in folder.iterdir() if item.name[0] != ".")
    except OSError:
        return "nothing that can be listed"
    if not names:
        return "nothing"
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _fetch(
    name: str, revision: str | None, patterns: tuple[str, ...], say: Callable[[str], None], *, only_here: bool = False
) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    at = f"{name}@{revision}" if revision else name
    if not only_here:
        say(f"model {at}: from the Hub or its cache")

    def snapshot(wanted: list[str]) -> Path:
        found = snapshot_download(name, revision=revision, allow_patterns=wanted, local_files_only=only_here)
        return Path(found)

    try:
        folder = snapshot(list(patterns))
        if "*.safetensors" in patterns and not any(folder.glob("*.safetensors")):
            snapshot(["*.bin", "*.bin.index.json"])
    except GatedRepoError as cause:
        hint = f"accept its terms at https://huggingface.co/{name} and log in: hf auth login"
        raise UsageError(f"{at}: this model is gated", hint=hint) from cause
    except RevisionNotFoundError as cause:
        raise UsageError(
            f'{name}: the Hub knows no revision "{revision}"', hint="look under Files on its page"
        ) from cause
    except LocalEntryNotFoundError as cause:
        if only_here:
            raise UsageError(f"{at}: this model is not on this machine", hint=f"hf download {name}") from cause
        raise LaunchError(
            f"{at}: not in the cache, and the Hub cannot be reached",
            hint="connect once, or name a local folder; HF_HUB_OFFLINE=1 forbids every download",
        ) from cause
    except (RepositoryNotFoundError, HFValidationError) as cause:
        hint = "check the spelling; a private model needs: hf auth login"
        raise UsageError(f"{at}: neither a local folder nor a model of the Hub", hint=hint) from cause
    except OSError as cause:
        raise LaunchError(f"{at}: cannot be fetched: {type(cause).__name__}", hint="try again later") from cause
    if "*.safetensors" in patterns and (problem := _check_place(folder)):
        raise UsageError(f"{at}: {problem.message}", hint=problem.hint)
    return folder


def _converted(gguf: Path, say: Callable[[str], None]) -> Path:
    """The folder made from a GGUF file; made now if the cache has none for these bytes."""
    folder = _conversion_of(fingerprints.of_file(gguf).sha256)

    def make(work: Path) -> None:
        say(f"model {gguf.name}: converting once to {folder} (about half a minute)")
        convert("gguf", gguf, work)

    build_once(folder, make)
    return folder


def _conversion_of(sha256: str) -> Path:
    return cache_root() / "models" / digest_of({"gguf": sha256, "conversion": _CONVERSION})[:32]


def convert(what: str, source: Path, folder: Path) -> None:
    """Run `align_cli.models.finding.convert` on `source` in a child process that fills `folder`.

    Raises:
        LaunchError: the child failed; the message carries its last line.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    words = [sys.executable, "-m", "align_cli.models.finding.convert", what, str(source), str(folder)]
    done = subprocess.run(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        why = lines[-1] if lines else f"exit code {done.returncode}"
        raise LaunchError(
            f"{source}: cannot be read as a {_WORDS[what]}: {why}", hint=f"try: {' '.join(words[1:-1])} /tmp/out"
        )


_WORDS = {"gguf": "GGUF model", "tokenizer": "tokenizer"}

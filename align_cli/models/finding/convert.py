"""`python -m align_cli.models.finding.convert gguf|tokenizer SOURCE FOLDER`: what transformers alone reads, made plain.

Runs as a child of the preparing process, which must not load torch. `gguf` leaves weights (float32 safetensors),
config, tokenizer and chat template; `tokenizer` leaves `tokenizer.json` exactly as transformers uses it, which for
several tokenizer classes differs from the file that the model came with.
"""

from __future__ import annotations

import sys
from pathlib import Path


def gguf(source: Path, folder: Path) -> None:
    """Write the model, tokenizer and template inside the GGUF file `source` as a transformers folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype="float32")
    # transformers 5.23 keeps calling the dequantised weights quantised and then refuses to save them.
    model.hf_quantizer = None
    for leftover in ("quantization_method", "is_quantized"):
        if hasattr(model, leftover):
            delattr(model, leftover)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)


def tokenizer(source: Path, folder: Path) -> None:
    """Write the tokenizer in the folder `source` in the one form that needs no transformers to read."""
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(source, use_fast=True)
    if not loaded.is_fast:
        raise SystemExit(f"{type(loaded).__name__} has no fast version (tokenizer.json)")
    loaded.save_pretrained(folder)


if __name__ == "__main__":
    what, source, folder = sys.argv[1:]
    {"gguf": gguf, "tokenizer": tokenizer}[what](Path(source), Path(folder))

"""Words that other tools, and we elsewhere, use inside a block: what an unknown one was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

#: Word -> what it is called here, `clean.…` for what stands in that block; the first that fits the place is named.
FOREIGN: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("id", "dataset", "dataset_name", "hf_path", "file"), ("path", "sources")),
    **dict.fromkeys(("datasets", "train", "data"), ("sources",)),
    **dict.fromkeys(("test", "validation", "valid"), ("eval",)),
    **dict.fromkeys(("test_size", "test_split_size", "val_size", "val_set_size", "eval_fraction"), ("held_out",)),
    "subset": ("config",),
    **dict.fromkeys(("format", "type", "converter"), ("layout",)),
    **dict.fromkeys(("num_samples", "num_rows", "samples", "max_samples", "limit", "num_examples"), ("rows",)),
    **dict.fromkeys(("token_budget", "num_tokens", "max_tokens", "target_tokens"), ("tokens",)),
    **dict.fromkeys(
        ("proportion", "mixture_proportion", "probability", "probabilities", "sampling_weight", "percentage"),
        ("share",),
    ),
    **dict.fromkeys(("filter", "filters", "condition", "query", "keep_if"), ("where",)),
    **dict.fromkeys(("upsample", "upsampling", "oversampling"), ("repeat", "oversample")),
    **dict.fromkeys(("epochs", "repeats", "num_epochs", "times", "copies"), ("repeat",)),
    **dict.fromkeys(("mix_strategy", "mixing_strategy", "interleave", "interleaved", "concatenate"), ("order",)),
    "stopping_strategy": ("oversample",),
    **dict.fromkeys(("temp", "sampling_temperature"), ("temperature",)),
    **dict.fromkeys(("system_prompt", "system_message", "default_system"), ("system",)),
    "stream": ("streaming",),
    **dict.fromkeys(
        ("deduplicate", "deduplication", "dedup", "dedupe", "drop_duplicates", "exact_deduplication"),
        ("clean.exact",),
    ),
    **dict.fromkeys(("near_duplicates", "near_dedup", "minhash", "similarity", "threshold"), ("clean.near",)),
    **dict.fromkeys(("decontamination", "benchmarks", "blocklist"), ("clean.decontaminate",)),
    **dict.fromkeys(("ngram_size", "n_gram", "ngrams"), ("clean.ngram",)),
    **dict.fromkeys(("language", "lang", "langs"), ("clean.languages",)),
    **dict.fromkeys(("min_chars", "min_length"), ("clean.min_characters",)),
    "max_chars": ("clean.max_characters",),
}

#: Words with several meanings elsewhere.
_AMBIGUOUS = frozenset({"weight", "weights", "ratio"})


def hint(word: str, part: str, parts: Mapping[str, Collection[str]]) -> str:
    """What `word` in a block's part (`Mixture`, `Source`, `Clean`, …) is called, or where it belongs; else empty.

    `parts` are the words of every part of the block.
    """
    if word in _AMBIGUOUS and part in ("Mixture", "Source"):
        return "fraction is a share of the source's own rows, share its part of the mixture, rows a count"
    for meant in FOREIGN.get(word, ()):
        block, _, inner = meant.rpartition(".")
        if block and part in ("Mixture", "Source"):
            return f"mixture.{meant} is what it is called here"
        if inner in parts[part]:
            return f"{inner} is what it is called here"
        if part == "Mixture" and inner in parts.get("Source", ()):
            return f"{inner} is what it is called here, and belongs to a source"
    for other, place in (("Clean", "mixture.clean"), ("Source", "a source"), ("Mixture", "mixture")):
        if other != part and word in parts.get(other, ()):
            return f"{word} belongs to {place}, not to {_PLACES.get(part, part)}"
    return ""


_PLACES = {"Clean": "mixture.clean", "Source": "a source", "Mixture": "mixture"}


def near(word: str, known: Collection[str]) -> str:
    """A near spelling, else everything that is known."""
    found = difflib.get_close_matches(word, known, n=2, cutoff=0.7)
    return f"did you mean {' or '.join(found)}?" if found else f"known: {', '.join(known)}"


def hint_of_value(word: str, value: object) -> str:
    """What to write instead of a value of the wrong type, where that is plain."""
    if word == "rows" and isinstance(value, float) and 0 < value < 1:
        return f"fraction: {value:g} takes that share of the source's rows"
    if word in ("fraction", "share", "held_out") and isinstance(value, str) and value.strip().endswith("%"):
        try:
            return f"{word}: {float(value.strip()[:-1]) / 100:g}"
        except ValueError:
            return ""
    if word == "columns" and isinstance(value, list | str):
        return "columns renames, e.g. columns: {messages: dialogue}; keep_columns is a list of columns"
    if word == "clean":
        return "clean: {exact: true}"
    return ""

"""The data part of a recipe in words: what was understood of a source, of a mixture and of its cleaning."""

from __future__ import annotations

from dataclasses import fields

from align_cli.recipe.schema import Clean, Mixture, Source


def of_source(source: Source, mixture: Mixture) -> str:
    """What is taken of a source, e.g. `fraction 0.5 × 2.5` or `share 30 %, at most 1,000 rows`."""
    limit = ""
    if source.rows is not None:
        limit = f"rows {source.rows:,}"
    elif source.tokens is not None:
        limit = f"tokens {source.tokens:,}"
    elif source.fraction is not None and mixture.combine == "trl":
        limit = f"fraction {source.fraction:g} of the mixture"
    elif source.fraction is not None and source.fraction != 1:
        limit = f"fraction {source.fraction:g}"
    if source.share is not None:
        said = f"share {percent(source.share)}" + (f" within {limit}" if limit else "")
    else:
        said = limit or "all"
    if source.repeat is not None and source.repeat != 1:
        said = f"× {source.repeat:g}" if said == "all" else f"{said} × {source.repeat:g}"
    if source.shuffle is False and limit and mixture.combine == "native":
        said += ", the first ones"
    if source.where is not None:
        said += f" where {source.where}"
    if source.held_out is not None:
        said += f", {held_out(source.held_out)}"
    return said


def of_mixture(mixture: Mixture) -> list[str]:
    """What holds for all sources, one sentence part each."""
    said = [f"combined as {mixture.combine}"]
    for total, noun in ((mixture.rows, "rows"), (mixture.tokens, "tokens")):
        if total is not None:
            said.append(f"{total:,} {noun} in all")
    if mixture.temperature is not None:
        said.append(f"temperature {mixture.temperature:g}")
    if mixture.oversample:
        said.append("small sources repeat")
    if mixture.combine == "native" and mixture.order != "shuffled":
        said.append(mixture.order)
    said.append(f"seed {mixture.seed}")
    if mixture.held_out:
        each = " of each source" if mixture.combine == "native" and mixture.held_out < 1 else ""
        said.append(f"{held_out(mixture.held_out)}{each} for evaluation")
    if mixture.on_bad_rows == "skip":
        said.append("bad rows skipped")
    return said


def of_cleaning(clean: Clean) -> list[str]:
    """What is left out of the rows; empty when nothing is. `repair` mends rows and leaves none out."""
    said = []
    where = "" if clean.across else " within each source"
    if clean.exact:
        said.append(f"exact duplicates{where}")
    if clean.near is not None:
        said.append(f"near duplicates{where} (similarity {clean.near:g} or more)")
    if clean.decontaminate:
        said.append(f"rows found in {', '.join(clean.decontaminate)} ({clean.ngram} words in a row)")
    if clean.decontaminate_humaneval:
        said.append("rows that hold a docstring or solution of HumanEval word for word")
    for what in ("turns", "characters"):
        low, high = getattr(clean, f"min_{what}"), getattr(clean, f"max_{what}")
        if low is not None or high is not None:
            said.append(f"{what} {_range(low, high)}")
    if clean.languages:
        said.append(f"languages other than {', '.join(clean.languages)}")
    return said


def chosen_cleaning(clean: Clean) -> dict[str, object]:
    """Word -> value of everything that differs from its default."""
    default = Clean()
    found = {item.name: getattr(clean, item.name) for item in fields(clean)}
    return {word: value for word, value in found.items() if value != getattr(default, word)}


def held_out(value: float | int) -> str:
    """`5 % held out`, `100 rows held out`, `nothing held out`."""
    if not value:
        return "nothing held out"
    if value < 1:
        return f"{percent(value)} held out"
    return f"{int(value):,} row{'' if value == 1 else 's'} held out"


def percent(share: float) -> str:
    """`30 %`."""
    return f"{share * 100:.6g} %"


def instead_of_fraction(fraction: float) -> str:
    """What somebody who wrote a fraction outside 0 to 1 may have meant."""
    if fraction < 0:
        return "0 leaves the source out"
    meant = [f"rows: {int(fraction)} takes that many rows"] if float(fraction).is_integer() else []
    if fraction <= 10:
        meant.append(f"repeat: {fraction:g} trains on its rows that often")
    elif fraction <= 100:
        meant.append(f"fraction: {fraction / 100:g} takes {fraction:g} % of them")
    return "; ".join(meant) or "1 takes all its rows"


def _range(low: int | None, high: int | None) -> str:
    if low is None:
        return f"over {high:,}"
    return f"under {low:,}" if high is None else f"outside {low:,} to {high:,}"

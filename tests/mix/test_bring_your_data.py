"""The rows that the page about layouts shows are read as it says."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.mix.layout import layouts, rows
from align_cli.recipe.schema import Source
from tests.mix.conftest import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "bring-your-data.md"
KINDS = {
    "Conversations": ROWS,
    "A prompt and its completion, and plain text": ROWS,
    "Preference pairs": ("preference",),
    "Judged answers": ("unpaired",),
}


def shown() -> list[tuple[str, str, str]]:
    """(section, the paragraph that names the layout, the example)."""
    found = []
    for section in PAGE.read_text(encoding="utf-8").split("\n### ")[1:]:
        title, _, body = section.partition("\n")
        paragraph = ""
        for block in body.split("\n\n"):
            if re.match(r"\*?`[a-z_]+`", block.strip()):
                paragraph = block.strip()
            elif block.strip().startswith("```json"):
                found.append((title, paragraph, block.strip().removeprefix("```json\n").removesuffix("\n```")))
    return found


@pytest.mark.parametrize(("section", "paragraph", "example"), shown())
def test_an_example_has_the_layout_that_stands_above_it(section: str, paragraph: str, example: str) -> None:
    row = json.loads(example)
    names = re.findall(r"`([a-z_]+)`", paragraph)
    named = names[0] if paragraph.startswith("*") else None

    fit = layouts.recognise([row], Source(path="x", layout=named), KINDS[section])

    assert rows.converter(fit, fit.shape)(row)
    assert {fit.layout.name, fit.layout.family} & set(names)


def test_every_layout_stands_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")

    words = set(re.findall(r"`([a-z_]+)`", text))
    missing = [one.name for one in layouts.layouts().values() if not {one.name, one.family} & words]

    assert len(shown()) == 20
    assert missing == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("[{}]"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "from", "type", "x"]), inner),
    max_leaves=4,
)


@pytest.mark.parametrize(("section", "paragraph", "example"), shown())
@given(st.data())
def test_a_row_with_anything_in_it_is_a_row_or_a_bad_one(
    section: str, paragraph: str, example: str, data: st.DataObject
) -> None:
    named = paragraph.split("`")[1] if paragraph.startswith("*") else None
    fit = layouts.recognise([json.loads(example)], Source(path="x", layout=named), KINDS[section])
    row = json.loads(example)
    if data.draw(st.booleans()):
        row = {**row, "chosen": [], "rejected": [], "label": True}
    at, key = row, data.draw(st.sampled_from(list(row)))
    while isinstance(at[key], (list, dict)) and at[key] and data.draw(st.booleans()):
        at = at[key]
        key = data.draw(st.sampled_from(list(at) if isinstance(at, dict) else range(len(at))))
    at[key] = data.draw(JSON)

    for shape in {fit.shape, fit.shape.replace("_text", "_turns")}:
        with suppress(rows.BadRowError):
            rows.converter(fit, shape)(row)
    with suppress(layouts.LayoutError):
        layouts.recognise([row], Source(path="x", layout=named), data.draw(st.sampled_from(list(KINDS.values()))))

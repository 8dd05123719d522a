from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.cli import render
from align_cli.cli.render.at_work import working
from align_cli.cli.render.rows import masked, shortened
from align_cli.cli.signs import one_line, shows_unicode, visible

SOURCE = {
    "label": "chat.jsonl", "path": "chat.jsonl", "for": "train", "kind": "file", "layout": "messages",
    "taken": "fraction 0.5", "read": 1000, "available": 900, "unique": 450, "kept": 450, "held_out": 0, "share": 0.9,
    "dropped": {"near duplicate": 90, "bad row": 10}, "repaired": {"empty turn removed": 3},
    "bad_rows": [{"where": "chat.jsonl:7", "reason": "turn 2 has no role"}], "tokens": None, "identity": {},
}  # fmt: skip
VIEW = {
    "task": "sft",
    "recipe": {"path": "r.yaml", "overrides": [], "profile": "align"},
    "digest": "d" * 64,
    "folder": "store/dddd",
    "from_store": False,
    "seconds": 1.25,
    "mixture": {
        "combine": "native",
        "order": "interleaved",
        "seed": 42,
        "parameters": {"rows": 500, "tokens": None, "temperature": 2.0, "oversample": True, "held_out": 0.1},
        "sources": [SOURCE, {**SOURCE, "label": "exam.jsonl", "for": "eval", "taken": "all", "repaired": {}}],
        "num_train": 450,
        "num_eval": 50,
        "cleaned": {
            "steps": {"near duplicate": 90, "language": 0},
            "examples": [{"step": "near duplicate", "where": "chat.jsonl:9", "why": "is much like chat.jsonl:2"}],
        },
        "notes": ["two rows repeat"],
    },
    "tokens": {
        "rows": {"train": 440, "eval": 50},
        "sequences": {"train": 100, "eval": 12},
        "tokens": {"train": 120_000, "in_loss": 60_000, "share_in_loss": 0.5},
        "per_source": [
            {"label": "chat.jsonl", "rows": 440, "tokens": 120_000, "in_loss": 60_000, "dropped": {"x": 2}},
            {"label": "exam.jsonl", "rows": 50, "tokens": 10_000, "in_loss": 2_500, "dropped": {}},
        ],
        "histogram": {"edges": [0, 64, 128, 256, 512, 1024], "counts": [0, 300, 100, 49, 1]},
        "truncation": {"rows": 50, "tokens": 9_000, "in_loss": 4_000},
        "max_length": 256,
        "packing": {"strategy": "wrapped", "sequences": 100, "fill": 0.97, "cut_tokens": 12, "padding": 34},
        "dropped": {"no trained token": 10},
        "warnings": ["3 system turns are empty"],
        "notes": [],
        "stop_token": {"text": "<end>", "trained": True},
    },
    "why_no_tokens": "",
    "notes": [],
    "lock": {"path": "r.mixture.json", "state": "written"},
    "export": {"kind": "folder", "paths": ["out"], "rows": 450, "eval_rows": 50},
    "rows": [],
}  # fmt: skip


def page(view=VIEW) -> str:
    stream = io.StringIO()
    render.mixture(view, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        "combined as native, interleaved, seed 42, 500 rows, temperature 2, small sources repeat, 0.1 held out",
        "90 near duplicate, 10 bad row, 2 x",
        "truncated   50 rows, 9,000 tokens cut, 4,000 of them in the loss",
        "12 tokens cut, 34 tokens of padding",
        "100 to train on (wrapped, 97.0% full), 12 to evaluate on",
        "chat.jsonl:9: is much like chat.jsonl:2",
        "chat.jsonl: 3 empty turn removed",
        "chat.jsonl:7: turn 2 has no role",
        "3 system turns are empty",
        "two rows repeat",
        "r.mixture.json written",
        "10 no trained token",
    ],
)
def test_whatever_was_found_is_on_the_page(words: str):
    assert words in page()


def test_a_step_that_took_nothing_is_not_mentioned():
    assert "language" not in page()


def test_each_source_has_its_tokens_and_their_share_in_the_loss():
    lines = {
        line.split()[0]: line.split() for line in page().splitlines() if line.strip().startswith(("chat.", "exam."))
    }

    assert {"120,000", "50.0%"} <= set(lines["chat.jsonl"])
    assert {"10,000", "25.0%"} <= set(lines["exam.jsonl"])


@pytest.mark.parametrize("width", [44, 60, 72, 80, 120])
def test_the_page_keeps_to_its_width_and_loses_no_number(monkeypatch, width: int):
    monkeypatch.setenv("COLUMNS", str(width))

    text = page()

    assert max(len(line) for line in text.splitlines()) <= width
    for number in ("120,000", "9,000", "1,000", "450", "66.7%"):
        assert number in text


@pytest.mark.parametrize("width", [44, 60, 120])
def test_a_long_path_takes_no_room_from_the_numbers(monkeypatch, width: int):
    monkeypatch.setenv("COLUMNS", str(width))
    path = "some/folder/" * 12 + "rows.jsonl"

    text = page({**VIEW, "mixture": {**VIEW["mixture"], "sources": [{**SOURCE, "label": path}]}})

    assert path in "".join(line.strip() for line in text.splitlines())
    assert "fraction 0.5" in text
    assert "90.0%" in text


def test_the_histogram_leaves_out_empty_ends_and_marks_what_is_cut():
    lines = [line for line in page().splitlines() if line.rstrip().endswith(("%", "cut"))]

    assert [line.split()[0] for line in lines] == ["64-127", "128-255", "256-511", "512-1,023"]
    assert lines[0].count("█") == 40
    assert lines[3].endswith("0.2% cut")
    assert "▏" in lines[3]  # one of 450 rows is still seen


def test_an_ascii_stream_gets_ascii_bars_and_brackets(monkeypatch):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="replace")

    render.mixture({**VIEW, "rows": [ROW]}, stream)
    stream.flush()

    text = raw.getvalue().decode()
    assert "#" * 40 in text
    assert "[[yes\nno]]" in text


ROW = {
    "row": 3, "of": 450, "split": "train", "source": "chat.jsonl", "place": "chat.jsonl:8",
    "segments": [["<user>?\n", False], ["yes\nno", True], ["\n", False]], "num_tokens": 7, "num_in_loss": 3,
    "truncated": True, "note": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "place", "shown"),
    [
        (str(Path.cwd() / "x" / "rows.jsonl"), "x/rows.jsonl, row 16", "x/rows.jsonl, row 16;"),
        ("mine", "x/rows.jsonl, row 16", "mine, x/rows.jsonl, row 16;"),
    ],
)
def test_a_source_that_is_the_row_s_file_is_named_once(source: str, place: str, shown: str):
    stream = io.StringIO()

    render.row({**ROW, "source": source, "place": place}, stream)

    assert f"Row 3 of 450  {shown}" in stream.getvalue()


def test_a_row_shows_its_mask_its_place_and_that_it_is_cut():
    stream = io.StringIO()

    render.row(ROW, stream)

    assert "Row 3 of 450  chat.jsonl:8; 7 tokens, 3 in the loss; cut at max_length" in stream.getvalue()
    assert "<user>?\n⟦yes\nno⟧\n" in stream.getvalue()


def test_a_terminal_gets_colour_instead_of_brackets(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")

    assert masked([("a", False), ("b", True)], io.StringIO()) == "\x1b[2ma\x1b[0m\x1b[32mb\x1b[0m"


def test_a_whole_row_is_whole_however_long():
    stream = io.StringIO()

    render.row({**ROW, "segments": [["x" * 20_000, True]]}, stream)

    assert "x" * 20_000 in stream.getvalue()


@given(st.lists(st.tuples(st.text(max_size=50), st.booleans()), max_size=8), st.integers(3, 100))
def test_a_shortened_row_keeps_its_ends_and_says_what_is_missing(segments, longest):
    text = "".join(words for words, _ in segments)
    pieces = shortened(segments, longest)

    if len(text) <= longest:
        assert "".join(words for words, _ in pieces) == text
    else:
        joined = "".join(words for words, _ in pieces)
        assert joined.startswith(text[: longest * 2 // 3])
        assert joined.endswith(text[len(text) - longest // 3 :])
        assert "characters…]" in joined


@given(st.text())
def test_visible_text_moves_no_cursor_and_loses_nothing(text: str):
    shown = visible(text)

    assert all(sign in "\n\t" or (sign.isprintable() or sign.isspace() or ord(sign) > 0xFF) for sign in shown)
    assert "\x1b" not in shown
    assert visible(shown) == shown
    if text.isprintable() and text.isascii():
        assert shown == text


def test_one_line_is_one_line_and_its_cut_is_seen():
    assert one_line("a\nb\tc\x1b") == "a\\nb\\tc\\x1b"
    assert one_line("abcdef", 4) == "abc…"


def test_the_real_stdout_decides_what_signs_a_reserved_one_can_show(monkeypatch):
    monkeypatch.setattr(sys, "__stdout__", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))

    assert not shows_unicode(io.StringIO())


def test_what_takes_no_time_is_not_talked_about():
    stream = io.StringIO()

    with working(stream) as say:
        say("reading a.jsonl")

    assert stream.getvalue() == ""


def test_once_it_takes_long_everything_is_said():
    from align_cli.cli.render.at_work import _Plain

    stream = io.StringIO()
    talk = _Plain(stream)
    talk.say("reading a")
    talk.say("reading b")
    talk.begin()
    talk.say("reading c\x1b[2J")
    talk.end()

    assert stream.getvalue() == "reading b\nreading c\\x1b[2J\n"


DIFFERENCE = {
    "a": {"name": "a.yaml", "digest": "a" * 64, "num_train": 10, "num_eval": 2},
    "b": {"name": "b.yaml", "digest": "b" * 64, "num_train": 11, "num_eval": 2},
    "same": False,
    "parameters": [{"what": "seed", "before": 1, "now": 2, "how": "changed", "text": "seed: 1 -> 2"}],
    "splits": {
        "train": {"a": 10, "b": 11, "only_a": 1, "only_b": 2, "both": 9, "same_order": False},
        "eval": {"a": 2, "b": 2, "only_a": 0, "only_b": 0, "both": 2, "same_order": True},
    },
    "moved": {"train_to_eval": 1, "eval_to_train": 0},
    "sources": [
        {
            "a": "x", "b": "y",
            "train": {"a": 10, "b": 11, "only_a": 1, "only_b": 2, "both": 9, "same_order": False},
            "eval": {"a": 2, "b": 2, "only_a": 0, "only_b": 0, "both": 2, "same_order": True},
        }
    ],
    "examples": {"only_a": [{"where": "x, row 4", "text": "user: \x1b[2Jhello"}], "only_b": []},
    "why_no_rows": "",
}  # fmt: skip


@pytest.mark.parametrize("width", [50, 100])
def test_a_difference_names_inputs_counts_and_examples(monkeypatch, width: int):
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()

    render.difference(DIFFERENCE, stream)

    text = stream.getvalue()
    words = ("seed: 1 -> 2", "x = y", "in another order", "1 row moved from train to eval", "x, row 4", "\\x1b[2Jhello")
    assert [word for word in words if word not in " ".join(text.split())] == []
    assert max(len(line) for line in text.splitlines()) <= width


def test_an_explanation_says_what_is_missing_and_what_was_not_looked_at():
    stream = io.StringIO()
    miss = {"hit": False, "digest": "a" * 64, "nearest": "b" * 64, "unknown": 1,
            "changes": [{"text": "chat.jsonl: content"}]}  # fmt: skip

    render.explanation({"mixture": miss, "tokens": None, "why_no_tokens": "no model"}, stream)

    text = stream.getvalue()
    assert all(word in text for word in ("has to be built", "chat.jsonl: content", "1 stored thing", "no model"))

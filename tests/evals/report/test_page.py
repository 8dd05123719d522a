"""The page: one file that holds everything, loads nothing, and runs nothing that it was given."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from align_cli.evals.benchmark import Question, Reference
from align_cli.evals.report.addition import Addition
from align_cli.evals.report.drawing import Drawing, Point, Words
from align_cli.evals.report.embedded import data_of, inert
from align_cli.evals.report.page import page
from align_cli.evals.report.report import Report
from align_cli.evals.report.table import Cell, Table
from tests.evals.report.building import alone, answer, answers, battle, evaluation, questions, referring, report

HOSTILE = (
    "</script><img src=x onerror=\"document.title='run'\">",
    "<!--<script>",
    '"><svg onload=alert(1)>',
    "{{data}} {{script}}",
    "half a pair: \ud83c",
    "line\u2028separator\u2029and\x00zero",
    "\u202eturned",
    "]]>&lt;&amp;",
    "",
)


class Page(HTMLParser):
    """A page's elements, and the text of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {}
        self.words: list[str] = []
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = (dict(attrs).get("type") or tag) if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.inside.setdefault(self._open, []).append(data)
        else:
            self.words.append(data)

    def text_of(self, kind: str) -> str:
        return "".join(self.inside[kind])

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text_of("application/json"))
        return found

    @property
    def policy(self) -> str:
        return next(
            attributes["content"] or ""
            for tag, attributes in self.elements
            if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
        )


def hostile(place: Path, texts: Sequence[str] = HOSTILE) -> Report:
    """Everything that is a text is one of `texts`."""
    asked = [Question(id=f"q{n}{text}", category=f"c{text}", turns=(text,)) for n, text in enumerate(texts)]
    names = (texts[0], f"other{texts[1]}")
    held = []
    for number, name in enumerate(names):
        words = {one.id: {"text": one.turns[0], "why": one.turns[0], "prompt": one.turns[0]} for one in asked}
        judged = [alone(name, one.id, 1, 5.0, **words[one.id]) for one in asked]
        games = [game for one in asked for game in battle(*names, one.id, names[0], "tie")]
        said = [answer(one.id, 1, one.turns[0]) for one in asked]
        held.append(evaluation(place / str(number), name, [*judged, *games], said))
    return report(held, asked)


def test_nothing_in_the_data_can_leave_its_element(tmp_path: Path) -> None:
    found = Page(page(hostile(tmp_path)))

    tags = [tag for tag, _ in found.elements]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert {one["name"] for one in found.data["models"]} == {HOSTILE[0], "other" + HOSTILE[1]}
    assert set(HOSTILE) <= set(found.data["texts"])


def test_the_page_loads_nothing_from_anywhere(tmp_path: Path) -> None:
    found = Page(page(hostile(tmp_path)))

    for tag, attributes in found.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "video", "audio", "source"}
        assert not {"src", "srcset", "action", "data", "poster"} & attributes.keys(), tag
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert not re.search(r"url\(|@import", found.text_of("style"))
    forbidden = r"\b(fetch|XMLHttpRequest|WebSocket|eval|innerHTML|outerHTML|insertAdjacentHTML)\b|\bimport\(|\.write\("
    assert not re.search(forbidden, found.text_of("script"))


def test_the_policy_allows_this_script_and_this_style_and_nothing_else(tmp_path: Path) -> None:
    found = Page(page(hostile(tmp_path)))

    for what, text in (("script", found.text_of("script")), ("style", found.text_of("style"))):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{what}-src 'sha256-{digest}';" in found.policy
    assert found.policy.startswith("default-src 'none';")
    assert "unsafe" not in found.policy
    assert "require-trusted-types-for 'script'" in found.policy
    assert not any("style" in attributes for _, attributes in found.elements), "the policy would forbid it"


def test_every_answer_and_judgment_is_in_the_page(tmp_path: Path) -> None:
    asked = questions(5)
    judged = [alone("m", one.id, turn, 7.0, text=f"words on {one.id}/{turn}") for one in asked for turn in (1, 2)]
    held = evaluation(tmp_path / "m", "m", judged, answers(asked))

    found = Page(page(report([held], asked))).data

    assert [one["id"] for one in found["questions"]] == ["0", "1", "2", "3", "4"]
    for one in found["questions"]:
        (model,) = one["models"]
        for key, begins in (("answers", "answer"), ("judgments", "words on")):
            said = [found["texts"][each["text"]] for each in model[key]]
            assert said == [f"{begins} {one['id']}/1", f"{begins} {one['id']}/2"]


def test_a_number_can_be_read_without_running_anything(tmp_path: Path) -> None:
    asked = questions(4)
    held = evaluation(tmp_path / "m", "m", [alone("m", one.id, 1, float(one.id) + 2) for one in asked], answers(asked))

    found = Page(page(report([held], asked)))

    assert "3.50" in found.words
    assert any("4 of 8 answers are not judged yet" in words for words in found.words)


def test_what_the_judge_was_sent_is_there_to_the_letter(tmp_path: Path) -> None:
    asked = [Question(id=1, category="c", turns=("a question that is long enough to be found again",))]
    said = "an answer that is long enough to be found again, <b>twice</b>"
    messages = [
        {"role": "system", "content": "Be fair."},
        {"role": "user", "content": f"[Q] {asked[0].turns[0]} [A] {said}{said} [end] {said[:30]}"},
    ]
    judged = alone("m", 1, 1, 5.0, request={"messages": messages, "parameters": {"temperature": 0}})

    found = Page(page(report([evaluation(tmp_path / "m", "m", [judged], [answer(1, 1, said)])], asked))).data
    (kept,) = found["questions"][0]["models"][0]["judgments"]

    assert [(role, "".join(found["texts"][n] for n in pieces)) for role, pieces in kept["request"]] == [
        (one["role"], one["content"]) for one in messages
    ]
    assert found["texts"].count(said) == 1
    assert kept["parameters"] == {"temperature": 0}


def test_the_reference_answers_stand_in_the_page_once(tmp_path: Path) -> None:
    asked = questions(6, turns=1)
    sent = "Which is better? reference 0/1, which is long enough to be found again, or answer 0/1?"
    said = "reference 0/1, which is long enough to be found again"
    judged = [alone("m", one.id, 1, 70.0, user_prompt=sent if one.id == 0 else "") for one in asked]
    theirs = Reference(name="theirs", answers={one.id: (f"reference {one.id}/1",) for one in asked[1:5]} | {0: (said,)})
    added = Addition(reference=theirs)
    made = replace(referring(asked), addition=lambda material, computing: added)

    found = Page(page(report([evaluation(tmp_path / "m", "m", judged, answers(asked))], asked, benchmark=made))).data

    assert found["reference"] == "theirs"
    assert [[found["texts"][n] for n in one["reference"]] for one in found["questions"]] == [
        [said], *([f"reference {number}/1"] for number in range(1, 5)), []
    ]  # fmt: skip
    ((_, pieces),) = found["questions"][0]["models"][0]["judgments"][0]["request"]
    assert "".join(found["texts"][n] for n in pieces) == sent
    assert found["questions"][0]["reference"][0] in pieces


def test_what_a_benchmark_adds_is_shown(tmp_path: Path) -> None:
    asked = questions(4)
    added: dict[str, Any] = {
        "metrics": {"a": {"wins": 3}, "b": {"wins": 1}},
        "tables": [Table(title="Its <own> table", columns=["x"], rows=[("row", [Cell(text="17")])])],
        "drawings": [Drawing(width=9, height=9, title='A "drawing"', shapes=[Words(at=Point(1, 1), text="<drawn>")])],
    }
    held = [
        evaluation(tmp_path / name, name, [alone(name, one.id, 1, 70.0) for one in asked], answers(asked))
        for name in "ab"
    ]

    text = page(report(held, asked, benchmark=referring(asked, **added)))
    found = Page(text)

    assert {"Its <own> table", "17", "<drawn>", "wins", "3"} <= set(found.words)
    assert ("svg", 'A "drawing"') in {(tag, attributes.get("aria-label")) for tag, attributes in found.elements}
    shown = [text.index(sign) for sign in (">wins<", "scores, 0 to 100", "&lt;drawn&gt;", "&lt;own&gt;")]
    assert shown == sorted(shown)


def test_a_benchmark_without_a_reference_has_no_place_for_one(tmp_path: Path) -> None:
    asked = questions(4)
    held = evaluation(tmp_path / "m", "m", [alone("m", one.id, 1, 7.0) for one in asked], answers(asked))

    found = Page(page(report([held], asked)))

    assert found.data["reference"] is None
    assert [one["reference"] for one in found.data["questions"]] == [[]] * 4
    by_id = {attributes.get("id"): attributes for _, attributes in found.elements}
    assert "hidden" in by_id["results"]
    assert "hidden" in by_id["r-key"]
    assert not any(attributes.get("class") == "drawings" for _, attributes in found.elements)
    captions = [attributes["aria-label"] for tag, attributes in found.elements if attributes.get("class") == "scroll"]
    assert captions == ["small: scores, 1 to 10", "Scores by category and turn", "What stands behind the scores"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    turn=st.text(alphabet="ab", min_size=20, max_size=40),
    said=st.text(alphabet="ab", min_size=20, max_size=40),
    around=st.lists(st.sampled_from(["turn", "said", "a", "b", " "]), max_size=12),
)
def test_a_request_is_put_together_again_whatever_it_repeats(
    tmp_path_factory: pytest.TempPathFactory, turn: str, said: str, around: list[str]
) -> None:
    sent = "".join({"turn": turn, "said": said}.get(one, one) for one in around)
    asked = [Question(id=1, category="c", turns=(turn,))]
    held = evaluation(
        tmp_path_factory.mktemp("m") / "m", "m", [alone("m", 1, 1, 5.0, user_prompt=sent)], [answer(1, 1, said)]
    )

    found = data_of(report([held], asked))
    kept = found["questions"][0]["models"][0]["judgments"][0]["request"]

    assert "".join(found["texts"][n] for _, pieces in kept for n in pieces) == sent


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet=st.characters(), max_size=60) | st.sampled_from(HOSTILE))
def test_data_in_a_page_is_json_without_a_sign_that_html_knows(text: str) -> None:
    made = inert({"text": text, "texts": [text]})

    assert json.loads(made) == {"text": text, "texts": [text]}
    assert not set("<>&\u2028\u2029") & set(made)
    made.encode("utf-8")


def test_no_script_of_the_page_could_end_its_own_element() -> None:
    from align_cli.evals.report import page as module

    script = module._script()

    assert "</script" not in script.lower()
    assert "<!--" not in script

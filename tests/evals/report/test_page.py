"""The page: one file that holds everything, loads nothing, and runs nothing that it was given."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from align_cli.evals.benchmark import Question
from align_cli.evals.report.embedded import data_of, inert
from align_cli.evals.report.page import page
from align_cli.evals.report.report import Report
from tests.evals.report.building import alone, answer, answers, battle, evaluation, questions, report

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

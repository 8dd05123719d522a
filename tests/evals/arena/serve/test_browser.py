"""The page in a real browser: mouse and keyboard, streams, two raters, a narrow screen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from align_cli.evals.arena import store
from tests.evals.arena.serve.browser import Browser, Page, browsing
from tests.evals.arena.serve.process import files, serving
from tests.evals.endpoint import Received, Reply
from tests.evals.endpoint import serving as models_serving

pytestmark = pytest.mark.slow
BATTLES = Path("evals/arena/battles.db")
COUNT = "document.getElementById('count').textContent"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with browsing(tmp_path) as made:
        yield made


def entered(page: Page, root: str, name: str) -> None:
    page.go(root)
    page.until("document.getElementById('enter') && !document.getElementById('enter').hidden")
    page.click("#name")
    page.type(name)
    page.press("Enter")
    page.until("!document.getElementById('battle').hidden")


def test_a_rater_votes_with_the_mouse_and_with_keys(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, *files(tmp_path, ("one-model", "other-model"), 8)) as served:
        page = browser.page()
        page.look()
        entered(page, served.root, "Ann")
        page.click("[data-vote=b]")
        page.until(f"{COUNT} === '1 of 8'")
        for number, key in enumerate("a2tn", start=2):
            page.press(key)
            page.until(f"{COUNT} === '{number} of 8'")
        page.press("u")
        page.until(f"{COUNT} === '4 of 8'")
        page.press("s")
        page.until(f"{COUNT} === '4 of 8, 1 skipped'")
        assert "one-model" not in page.eval("document.documentElement.outerHTML")
        page.press("u")
        page.until(f"{COUNT} === '4 of 8'")
        page.press("b")
        page.until(f"{COUNT} === '5 of 8'")
        page.press("r")
        page.until("document.querySelector('.names')?.textContent.includes('one-model')")
        assert page.eval("document.querySelectorAll('.said img, .said script').length") == 0
        assert page.eval("document.querySelectorAll('.said strong').length") == 2
        page.go(served.root)
        page.until(f"{COUNT} === '5 of 8'")

    winners = [battle.winner for battle in store.battles(tmp_path / BATTLES)]
    assert winners == ["model_b", "model_a", "model_b", "tie", "model_b"]
    assert browser.complaints() == []
    assert all(address.startswith(served.root) for address in browser.addresses())


def test_two_raters_at_once_have_battles_of_their_own(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, *files(tmp_path, ("one-model", "other-model"), 3)) as served:
        pages = [browser.page(), browser.page()]
        for page, name in zip(pages, ("Ann", "Bob"), strict=True):
            entered(page, served.root, name)
        for number in range(1, 4):
            for page in pages:
                page.press("a")
            for page in pages:
                page.until(f"{COUNT} === '{number} of 3'")
        for page in pages:
            page.until("!document.getElementById('done').hidden")

    assert sorted(battle.rater for battle in store.battles(tmp_path / BATTLES)) == ["Ann"] * 3 + ["Bob"] * 3


def test_on_a_phone_one_answer_is_shown_at_a_time_and_nothing_is_cut_off(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, *files(tmp_path, ("one-model", "other-model"), 3)) as served:
        page = browser.page()
        page.look(width=360, height=640)
        entered(page, served.root, "Ann")
        shown = (
            "[...document.querySelectorAll('.answer')].filter((one) => one.offsetParent).map((one) => one.ariaLabel)[0]"
        )
        assert page.eval(shown) == "Answer A"
        page.click(".tabs .side-b")
        assert page.eval(shown) == "Answer B"
        assert page.eval("document.documentElement.scrollWidth") == 360
        buttons = "[...document.querySelectorAll('.votes button')]"
        assert page.eval(f"{buttons}.every((one) => one.scrollWidth <= one.clientWidth)")
        assert page.eval(f"{buttons}.every((one) => one.getBoundingClientRect().bottom <= innerHeight)")
        page.click("[data-vote=tie]")
        page.until(f"{COUNT} === '1 of 3'")


def streaming(request: Received) -> Reply:
    """A stream of chat completion chunks."""
    words = "".join(
        f'data: {{"choices": [{{"delta": {{"content": "word{n} "}}}}]}}\n\n' for n in range(200)
    )  # fmt: skip
    body = (words + "data: [DONE]\n\n").encode()
    return Reply(body=body, headers={"Content-Type": "text/event-stream"})


def test_live_answers_stream_and_a_reload_in_mid_stream_loses_nothing(browser: Browser, tmp_path: Path) -> None:
    with models_serving(streaming) as server:
        words = ("--live", f"one@{server.base_url}", f"other@{server.base_url}")
        with serving(tmp_path, *words) as served:
            page = browser.page()
            page.look()
            entered(page, served.root, "Ann")
            page.click("#prompt")
            page.type("Tell me words")
            page.press("Enter")
            page.until("document.querySelector('.side-a .said')?.textContent.includes('word5')")
            page.go(served.root)
            page.until("document.querySelector('.side-b .said')?.textContent.includes('word199')")
            page.until("!document.getElementById('votes').hidden")
            page.click("[data-vote=a]")
            page.until("!document.getElementById('fresh').hidden")
            page.press("r")
            page.until("document.querySelector('.names')?.textContent.includes('other')")

    (battle,) = store.battles(tmp_path / BATTLES)
    assert battle.turns_a[0]["content"] == "Tell me words"
    assert battle.turns_a[1]["content"] == "".join(f"word{n} " for n in range(200))
    assert battle.winner == "model_a"


def test_after_a_live_vote_the_names_can_be_asked_for_wherever_the_page_was(browser: Browser, tmp_path: Path) -> None:
    long = json.dumps({"choices": [{"delta": {"content": "\n\n".join(f"Paragraph {n}." for n in range(60))}}]})
    reply = Reply(
        body=f"data: {long}\n\ndata: [DONE]\n\n".encode(), headers={"Content-Type": "text/event-stream"}
    )  # fmt: skip
    with models_serving(lambda request: reply) as server:
        words = ("--live", f"one@{server.base_url}", f"other@{server.base_url}")
        with serving(tmp_path, *words) as served:
            page = browser.page()
            page.look(width=390, height=700)
            entered(page, served.root, "Ann")
            page.click("#prompt")
            page.type("Tell me paragraphs")
            page.press("Enter")
            page.until("document.querySelector('.side-a .said p:nth-of-type(3)')")
            page.click(".tabs .side-b")
            page.until("!document.getElementById('votes').hidden")
            top = "document.querySelector('.turn').getBoundingClientRect().top"
            assert 0 <= page.eval(top) < 150, "it is read from its beginning"
            assert page.eval("document.querySelector('.tabs .side-b').ariaPressed") == "true"
            page.eval("scrollTo(0, document.documentElement.scrollHeight)")
            page.click("[data-vote=b]")
            page.until("!document.getElementById('fresh').hidden")
            page.click("#last button:nth-of-type(2)")
            page.until("document.querySelector('.names')?.textContent.includes('other')")
            place = "document.querySelector('.names').getBoundingClientRect()"
            assert page.eval(f"{place}.top >= 0 && {place}.bottom <= innerHeight")


def test_words_in_a_table_are_not_torn(browser: Browser, tmp_path: Path) -> None:
    head = "| Algorithm | Average | Worst | Memory | Library | Standard |"
    answer = "\n".join([head, "|---" * 6 + "|", head])
    for name in ("one", "other"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": "A table?", "answer": f"{answer}\n\n{name[0]}"}))
    with serving(tmp_path, str(tmp_path / "one.jsonl"), str(tmp_path / "other.jsonl")) as served:
        page = browser.page()
        page.look(width=390, height=700)
        entered(page, served.root, "Ann")
        heights = page.eval("[...document.querySelectorAll('.text th')].map((one) => one.offsetHeight)")
        assert max(heights) < 2 * 24
        assert page.eval("document.documentElement.scrollWidth") == 390


HOSTILE = """<svg onload=alert(1)><style>* { display: none }</style><iframe src="https://evil.example/f"></iframe>
<img src=https://evil.example/i.png onerror=alert(1)>

![remote](https://evil.example/p.png) ![inline](data:image/svg+xml,<svg/onload=alert(1)>)
[script](javascript:alert(1)) [data](data:text/html,<script>alert(1)</script>) <https://evil.example/auto>

<div style="position:fixed;inset:0" id="votes" data-vote="a" class="names">over all</div>

```html
<script>alert(1)</script>
```

\N{RIGHT-TO-LEFT OVERRIDE}drawkcab \N{RIGHT-TO-LEFT ISOLATE}more \N{ZERO WIDTH SPACE}
"""


def test_whatever_an_answer_holds_is_text(browser: Browser, tmp_path: Path) -> None:
    for name in ("one", "other"):
        row = {"prompt": f"{HOSTILE} Which?", "answer": HOSTILE + name[0]}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
    with serving(tmp_path, str(tmp_path / "one.jsonl"), str(tmp_path / "other.jsonl")) as served:
        page = browser.page()
        page.look()
        entered(page, served.root, "Ann")
        inside = "[...document.querySelectorAll('#battle .text *, #battle .asked *')]"
        tags = set(page.eval(f"{inside}.map((one) => one.localName)"))
        held = set(page.eval(f"{inside}.flatMap((one) => one.getAttributeNames())"))
        assert tags <= {"p", "br", "pre", "code", "span", "strong", "em"}
        assert held <= {"class", "tabindex"}
        assert page.eval("document.querySelectorAll('[data-vote=a]').length") == 1
        sides = page.eval("[...document.querySelectorAll('.answer')].map((one) => one.getBoundingClientRect().left)")
        assert sides[0] < sides[1]
        direction = (
            "[...document.querySelectorAll('.answer h3, .votes button')].map((one) => getComputedStyle(one).direction)"
        )
        assert set(page.eval(direction)) == {"ltr"}
        page.click("[data-vote=a]")
        page.until("!document.getElementById('done').hidden")

    assert browser.complaints() == []
    assert all(address.startswith(served.root) for address in browser.addresses())

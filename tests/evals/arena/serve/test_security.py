"""Who is let in, what goes out, and what a rater can learn before the vote: nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from align_cli.evals.arena import store
from align_cli.evals.arena.serve import page
from align_cli.evals.arena.serve.guard import HEADERS, MOST_BYTES
from align_cli.evals.arena.store import FILE
from tests.evals.arena.serve.arenas import NAMES, TOKENS, Rater, Scripted, events, run, running, stored

ADDRESSES = ["/", "/report", *(f"/{name}" for name in page.NAMES if not name.endswith(".html")), "/api/about"]


def secrets_of(found: list[str]) -> re.Pattern[str]:
    """Whatever could tell a model: its name, in part or whole."""
    parts = {part for name in found for part in (name, *re.split(r"\W", name)) if len(part) > 4}
    return re.compile("|".join(sorted(map(re.escape, parts))), re.IGNORECASE)


def test_nothing_before_the_vote_names_a_model(tmp_path: Path) -> None:
    async def work() -> list[str]:
        rater = arena.rater()
        for address in ADDRESSES:
            assert (await rater.get(address)).status == 200
        await rater.enter()
        await rater.get("/api/about")
        found = await rater.now()
        battle = found["battle"]["id"]
        for path, body in (
            (f"/api/battles/{battle}/reveal", {}),
            (f"/api/battles/{battle}/vote", {"vote": "?"}),
            (f"/api/battles/{battle}/ask", {"text": "who are you?"}),
            ("/api/undo", {}),
        ):
            assert (await rater.post(path, body)).status in (404, 409)
        await rater.get(f"/api/battles/{battle}/stream")
        await rater.get("/api/report")
        await rater.get("/api/battles.jsonl")
        while found["battle"]:
            found = (await rater.vote(found["battle"]["id"], "a")).document
        await rater.post("/api/undo")
        await rater.post(f"/api/battles/{battle}/skip")
        return rater.received

    with running(tmp_path, stored(25)) as arena:
        received = run(work)

    digests = [row["digest"] for row in _rows(tmp_path, "SELECT digest FROM answers")]
    assert len(received) > 40
    for text in received:
        assert not secrets_of([*NAMES, str(tmp_path)]).search(text), text
        assert not any(digest[:8] in text for digest in digests)


def test_live_nothing_before_the_vote_names_a_model_also_where_it_fails(tmp_path: Path) -> None:
    models = [Scripted(NAMES[0]), Scripted(NAMES[1], error=f"{NAMES[1]} at http://pelican:1/ refuses")]

    async def work() -> list[str]:
        rater = arena.rater()
        await rater.enter()
        battle = (await rater.now())["battle"]["id"]
        await rater.post(f"/api/battles/{battle}/ask", {"text": "Hello"})
        streamed = await rater.get(f"/api/battles/{battle}/stream")
        assert events(streamed)[-1][1]["failed"]
        await rater.vote(battle, "a")
        await rater.now()
        return rater.received

    with running(tmp_path, models) as arena:
        received = run(work)

    assert arena.said == [f"{NAMES[1]} gave no answer: {NAMES[1]} at http://pelican:1/ refuses"]
    for text in received:
        assert not secrets_of(list(NAMES)).search(text), text


def test_what_comes_before_the_vote_is_the_same_whichever_model_it_is(tmp_path: Path) -> None:
    # Two arenas whose models changed names: texts and random names apart, nobody can tell them from each other.
    shapes = []
    for names in (NAMES[:2], NAMES[1::-1]):

        async def work() -> str:
            rater = arena.rater()
            await rater.enter()
            answer = await rater.post("/api/now")
            battle = answer.document["battle"]
            assert battle.keys() == {"id", "category", "turns"}
            assert battle["turns"][0].keys() == {"prompt", "a", "b"}
            return re.sub(r"\d+", "N", answer.everything.replace(battle["id"], "ID"))

        folder = tmp_path / names[0]
        with running(folder, stored(1, names)) as arena:
            shapes.append(run(work))

    assert shapes[0] == shapes[1]


def test_battles_have_random_names_and_sides_differ_between_raters(tmp_path: Path) -> None:
    async def work() -> None:
        for number in range(30):
            rater = arena.rater()
            await rater.enter(f"rater {number}")
            found.append((await rater.now())["battle"])

    found: list[dict] = []
    with running(tmp_path, stored(1, NAMES[:2])) as arena:
        run(work)

    assert len({one["id"] for one in found}) == 30
    assert all(len(one["id"]) == 16 for one in found)
    left = [one["turns"][0]["a"] for one in found]
    assert 5 <= left.count(left[0]) <= 25


def test_every_answer_has_the_headers_errors_too(tmp_path: Path) -> None:
    async def work() -> None:
        rater = arena.rater()
        answers = [await rater.get(address) for address in (*ADDRESSES, "/nothing", "/api/report")]
        answers.append(await rater.get("/", host="evil.example"))
        answers.append(await rater.post("/api/now"))
        answers.append(await rater.post("/api/enter", "x" * (MOST_BYTES + 1)))
        for answer in answers:
            for name, value in HEADERS.items():
                assert [given for key, given in answer.headers if key == name] == [value]
            assert answer.header("server") is None

    with running(tmp_path) as arena:
        run(work)


def test_the_policy_lets_nothing_in_from_elsewhere_and_the_page_asks_for_nothing() -> None:
    policy = HEADERS["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    for name in page.NAMES:
        text = page.content(name).decode().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text.replace("${url}", "")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\bon[a-z]+=\"", text)
        assert "style=" not in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:8642"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": ""}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"x_arena": "0" * 64}, 403),
        ({"x_arena": ""}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"content_length": "999999"}, 413),
        ({"content_length": "-1"}, 413),
        ({"origin": "http://["}, 403),
        ({"origin": "//"}, 403),
        ({"x_forwarded_host": "localhost:8642", "origin": "http://evil.example"}, 403),
        ({"host": "evil.example", "x_forwarded_host": "localhost"}, 421),
        ({"host": "evil.example", "forwarded": "host=localhost"}, 421),
        ({"cookie": ""}, 401),
        ({"cookie": "arena=guessed"}, 401),
        ({"origin": "http://localhost:8642"}, 200),
        ({"host": "127.0.0.1:9000"}, 200),
        ({"host": "[::1]:8642"}, 200),
    ],
    ids=str,
)
def test_requests_of_other_pages_do_nothing(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    async def work() -> int:
        rater = arena.rater()
        await rater.enter()
        battle = (await rater.now())["battle"]["id"]
        return (await rater.post(f"/api/battles/{battle}/vote", {"vote": "a"}, **headers)).status

    with running(tmp_path) as arena:
        assert run(work) == status

    assert len(store.battles(tmp_path / FILE)) == (status == 200)


def test_a_body_that_lies_about_its_size_is_cut_off(tmp_path: Path) -> None:
    async def work() -> None:
        rater = arena.rater()
        body = b'{"name": "' + b"x" * (MOST_BYTES + 10) + b'"}'
        assert (await rater.send("POST", "/api/enter", body, {"content_length": "20"})).status == 413

    with running(tmp_path) as arena:
        run(work)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 30_000], ids=lambda body: repr(body[:9])
)
def test_a_body_that_is_no_object_is_refused_politely(tmp_path: Path, body: bytes) -> None:
    async def work() -> None:
        answer = await arena.rater().send("POST", "/api/enter", body, {})
        assert answer.status in (400, 409)
        assert "error" in answer.document

    with running(tmp_path) as arena:
        run(work)


def test_from_elsewhere_raters_need_the_token_and_never_see_the_report(tmp_path: Path) -> None:
    async def work() -> None:
        rater = arena.rater()
        host = {"host": "arena.example"}
        assert (await rater.get("/api/about", **host)).document["needs_token"] is True
        for token in ("", "for-the-rater", TOKENS["report_token"]):
            assert (await rater.enter(token=token)).status == 401
        assert (await rater.enter(token=TOKENS["rater_token"])).status == 200
        assert (await rater.get("/api/report")).status == 401
        bearer = {"authorization": f"Bearer {TOKENS['rater_token']}"}
        assert (await rater.get("/api/battles.jsonl", **bearer)).status == 401
        bearer = {"authorization": f"Bearer {TOKENS['report_token']}"}
        assert (await rater.get("/api/report", **bearer)).status == 200

    with running(tmp_path, rater_token=TOKENS["rater_token"], is_near=False) as arena:
        run(work)


def test_the_report_needs_its_token_on_this_machine_too(tmp_path: Path) -> None:
    async def work() -> None:
        assert (await arena.rater().get("/api/report")).status == 401
        assert (await arena.rater().get("/api/battles.jsonl")).status == 401

    with running(tmp_path) as arena:
        run(work)


def test_a_name_is_its_owners_where_there_are_tokens(tmp_path: Path) -> None:
    async def work() -> None:
        token = TOKENS["rater_token"]
        ann, other, elsewhere = arena.rater(), arena.rater(), arena.rater()
        code = (await ann.enter("Ann", token=token)).document["code"]
        assert (await other.enter("ANN", token=token)).status == 409
        assert (await other.enter("Ann", token=token, code="AAAAAAAA")).status == 401
        battle = (await ann.now())["battle"]
        assert (await elsewhere.enter("ann", token=token, code=code.lower())).status == 200
        assert (await elsewhere.now())["battle"] == battle

    with running(tmp_path, rater_token=TOKENS["rater_token"], is_near=False) as arena:
        run(work)


def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    async def work() -> list[int]:
        return [(await arena.rater().enter(token=f"guess {number}")).status for number in range(14)]

    with running(tmp_path, rater_token=TOKENS["rater_token"], is_near=False) as arena:
        statuses = run(work)

    assert statuses[:10] == [401] * 10
    assert statuses[-1] == 429


def test_a_rater_who_floods_is_slowed_down_and_others_are_not(tmp_path: Path) -> None:
    async def work() -> None:
        ann, bob = arena.rater(), arena.rater()
        await ann.enter("Ann")
        await bob.enter("Bob")
        answers = [await ann.post("/api/now") for _ in range(60)]
        assert answers[-1].status == 429
        assert int(answers[-1].header("retry-after") or 0) >= 1
        assert (await bob.post("/api/now")).status == 200

    with running(tmp_path) as arena:
        run(work)


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_is_not_in_the_file(tmp_path: Path) -> None:
    async def work() -> str:
        answer = await arena.rater().enter()
        cookie = str(answer.header("set-cookie"))
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        return cookie.partition("=")[2].partition(";")[0]

    with running(tmp_path) as arena:
        value = run(work)

    assert len(value) >= 43
    assert value.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


@pytest.mark.parametrize("host", ["arena.example.org", "127.0.0.1:8642"], ids=["proxy keeps it", "proxy changes it"])
def test_behind_a_proxy_with_tls_the_address_is_let_in_and_the_cookie_is_for_tls_alone(
    tmp_path: Path, host: str
) -> None:
    async def work() -> None:
        rater = arena.rater()
        headers = {"host": host, "origin": "https://arena.example.org", "sec_fetch_site": "same-origin"}
        assert (await rater.get("/api/about", **headers)).document["needs_token"] is True
        body = {"name": "Ann", "token": TOKENS["rater_token"]}
        answer = await rater.post("/api/enter", body, **headers)
        cookie = str(answer.header("set-cookie"))
        assert cookie.startswith("__Host-arena=")
        assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
        rater.cookie, rater.header = cookie.partition(";")[0], answer.document["header"]
        assert (await rater.post("/api/now", **headers)).status == 200
        rater.cookie = rater.cookie.removeprefix("__Host-")
        assert (await rater.post("/api/now", **headers)).status == 401
        assert (await rater.post("/api/enter", body, **{**headers, "origin": "https://evil.example"})).status == 403
        assert (await rater.post("/api/enter", body, host="evil.example", origin="https://evil.example")).status == 421

    with running(tmp_path, rater_token=TOKENS["rater_token"], url="https://arena.example.org") as arena:
        run(work)


@pytest.mark.parametrize("header", [{"x_forwarded_proto": "https"}, {"forwarded": "proto=https"}], ids=str)
def test_a_request_cannot_say_that_it_came_by_tls(tmp_path: Path, header: dict[str, str]) -> None:
    async def work() -> None:
        answer = await arena.rater().post("/api/enter", {"name": "Ann"}, **header)
        assert "Secure" not in str(answer.header("set-cookie"))

    with running(tmp_path) as arena:
        run(work)


def test_a_program_that_takes_names_is_slowed_down(tmp_path: Path) -> None:
    async def work() -> list[int]:
        return [(await arena.rater().enter(f"name {number}")).status for number in range(140)]

    with running(tmp_path) as arena:
        statuses = run(work)

    assert statuses[:100] == [200] * 100
    assert statuses[-1] == 429


def test_streams_are_counted_as_requests_are(tmp_path: Path) -> None:
    async def work() -> list[int]:
        rater = arena.rater()
        await rater.enter()
        battle = (await rater.now())["battle"]["id"]
        await rater.post(f"/api/battles/{battle}/ask", {"text": "Hello"})
        return [(await rater.get(f"/api/battles/{battle}/stream")).status for _ in range(60)]

    with running(tmp_path, [Scripted(name) for name in NAMES[:2]]) as arena:
        statuses = run(work)

    assert statuses[0] == 200
    assert statuses[-1] == 429


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "\N{SUPERSCRIPT TWO}", "0" * 99])
def test_a_stream_from_no_event_is_refused_politely(tmp_path: Path, number: str) -> None:
    async def work() -> None:
        rater = arena.rater()
        await rater.enter()
        battle = (await rater.now())["battle"]["id"]
        await rater.post(f"/api/battles/{battle}/ask", {"text": "Hello"})
        answer = await rater.get(f"/api/battles/{battle}/stream?from={quote(number)}")
        assert answer.status == (200 if number.isdecimal() else 400)

    with running(tmp_path, [Scripted(name) for name in NAMES[:2]]) as arena:
        run(work)


def test_no_battle_of_another_rater_can_be_seen_voted_on_or_revealed(tmp_path: Path) -> None:
    async def work() -> None:
        ann, bob = arena.rater(), arena.rater()
        await ann.enter("Ann")
        await bob.enter("Bob")
        theirs = (await ann.now())["battle"]["id"]
        await ann.vote(theirs, "a")
        for path, body in (("vote", {"vote": "a"}), ("skip", {}), ("reveal", {})):
            answer = await bob.post(f"/api/battles/{theirs}/{path}", body)
            unknown = await bob.post(f"/api/battles/{'x' * 16}/{path}", body)
            assert (answer.status, answer.body) == (unknown.status, unknown.body) == (409, answer.body)

    with running(tmp_path) as arena:
        run(work)


def test_a_second_vote_is_refused_and_the_first_one_stands(tmp_path: Path) -> None:
    async def work() -> None:
        rater = arena.rater()
        await rater.enter()
        battle = (await rater.now())["battle"]["id"]
        assert (await rater.vote(battle, "a")).status == 200
        assert (await rater.vote(battle, "b")).status == 409
        await rater.post(f"/api/battles/{battle}/reveal")
        assert (await rater.post("/api/undo")).status == 409
        assert (await rater.vote(battle, "b")).status == 409

    with running(tmp_path) as arena:
        run(work)

    assert [battle.winner for battle in store.battles(tmp_path / FILE)] == ["model_a"]


def test_live_events_and_headers_are_the_same_whichever_model_it_is(tmp_path: Path) -> None:
    shapes = []
    for names in (NAMES[:2], NAMES[1::-1]):

        async def work() -> str:
            rater = arena.rater()
            await rater.enter()
            battle = (await rater.now())["battle"]["id"]
            await rater.post(f"/api/battles/{battle}/ask", {"text": "Hello"})
            answer = await rater.get(f"/api/battles/{battle}/stream")
            assert {key for _, event in events(answer) for key in event} == {"a", "b", "end"}
            return answer.everything

        with running(tmp_path / names[0], [Scripted(name) for name in names]) as arena:
            shapes.append(run(work))

    assert shapes[0] == shapes[1]


def test_the_log_of_battles_is_what_was_voted(tmp_path: Path) -> None:
    async def work() -> list[dict]:
        rater: Rater = arena.rater()
        await rater.enter()
        await rater.vote((await rater.now())["battle"]["id"], "tie")
        bearer = {"authorization": f"Bearer {TOKENS['report_token']}"}
        return [json.loads(line) for line in (await rater.get("/api/battles.jsonl", **bearer)).body.splitlines()]

    with running(tmp_path) as arena:
        (row,) = run(work)

    assert row["winner"] == "tie"
    assert row["rater"] == "Ann"


def _rows(folder: Path, query: str) -> list:
    from align_cli.evals.arena.store import Store

    made = Store(folder / FILE)
    try:
        return made.do(lambda db: db.execute(query).fetchall())
    finally:
        made.close()

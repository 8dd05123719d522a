"""`align eval arena serve`: the web app, from the words of the command line to Ctrl-C."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import typer

from align_cli.cli.evals import words
from align_cli.cli.option_groups import takes
from align_cli.errors import UsageError
from align_cli.evals.arena import store as stores

RATER_TOKEN, REPORT_TOKEN = "ALIGN_ARENA_TOKEN", "ALIGN_ARENA_REPORT_TOKEN"
PORT = 8642
_SHORTEST_TOKEN = 12
_Models = Annotated[
    list[str],
    typer.Argument(
        metavar="A B [C...]",
        help="Runs, evaluations or files of prompts and answers; with --live models, or NAME@URL. "
        "name=PLACE gives one another name.",
    ),
]
_EPILOG = (
    "Examples: align eval arena serve runs/dpo runs/sft --benchmark mtbench; align eval arena serve a.jsonl b.jsonl; "
    "align eval arena serve --live runs/dpo small@http://localhost:8000/v1"
)


@dataclass(frozen=True, kw_only=True)
class Stored(words.Files):
    """Which answers are voted on."""

    benchmark: Annotated[
        str | None, typer.Option("--benchmark", metavar="NAME", help="Whose answers, where models have several.")
    ] = None
    questions: Annotated[
        Path | None,
        typer.Option("--questions", metavar="FILE", help="FastChat's question.jsonl, for answer files that name ids."),
    ] = None
    category: words.Categories = None
    overlap: Annotated[
        float, typer.Option("--overlap", metavar="SHARE", help="Of items that all raters see alike, for agreement.")
    ] = 0.1
    leave_out_leaks: Annotated[
        bool, typer.Option("--leave-out-leaks", help="Leave out answers that name a model or its maker.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class Live:
    """Models that answer while the rater waits."""

    live: Annotated[bool, typer.Option("--live", help="Raters type prompts; the models answer at once.")] = False
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="URL", help="Where all of them are served; else NAME@URL.")
    ] = None
    key_env: words.KeyEnv = None
    system: words.System = None
    temperature: Annotated[float, typer.Option("--temperature", help="0: the likeliest token.")] = 0.7
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", metavar="N", help="Longest answer.")] = 1024
    dtype: words.Dtype = "auto"
    trust_remote_code: words.TrustRemoteCode = False


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Where the page and the battles are."""

    output_dir: Annotated[
        Path, typer.Option("--output-dir", metavar="DIR", help="Where the battles go; raters go on from there.")
    ] = Path("evals/arena")
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="0.0.0.0 lets others in, with a token.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, typer.Option("--port", metavar="N", help="0 takes any that is free.")] = PORT
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="Where others reach it, through a proxy: https://arena.example.org."),
    ] = None


class _Word(NamedTuple):
    """A model as the command line has it."""

    name: str | None
    place: str


def register(app: typer.Typer) -> None:
    """Add the command to `align eval arena`."""
    app.command("serve", epilog=_EPILOG)(_serve)


@takes(Stored, Live, Serving, argument=_Models)
def _serve(ctx: typer.Context, given: list[str], stored: Stored, live: Live, serving: Serving) -> None:
    """Let people vote blindly, in a browser.

    On this machine or a network, on stored answers or live ones.
    A rater sees a prompt and two answers, votes, and learns the names only then.
    """
    from align_cli.evals import records
    from align_cli.evals.arena.serve import running
    from align_cli.evals.arena.serve.app import Access, app
    from align_cli.evals.arena.serve.arena import Arena
    from align_cli.evals.arena.serve.pairing import Pairing
    from align_cli.evals.arena.serve.raters import Raters

    named = [_word(one) for one in given]
    _demand(named, stored, live, serving)
    access = _access(serving, Access, is_near=running.is_near(serving.host))
    make = _live(named, live) if live.live else _stored(named, stored)
    place = serving.output_dir / stores.FILE
    with (
        running.bound(serving.host, serving.port) as port,
        records.exclusive(serving.output_dir, "align eval arena serve"),
    ):
        store = stores.Store(place)
        try:
            answers, pairing = make(store, Pairing)
            arena = Arena(store, answers, pairing)
            raters = Raters(store, store.secret, needs_code=access.rater_token is not None)
            made = app(arena, raters, store, access, say=_say)
            _announce(access, serving, port.getsockname()[1], answers, place)
            running.serve(made, port)
        finally:
            store.close()
    count = len(stores.battles(place))
    _say(f"\n{count:,} battle{'' if count == 1 else 's'} in {place}")
    _say(f"next: align eval arena report {place}")


def _demand(named: Sequence[_Word], stored: Stored, live: Live, serving: Serving) -> None:
    """Raise for options that cannot be right, before anything is read.

    Raises:
        UsageError: naming the option.
    """
    if len(named) < 2:
        raise UsageError("a battle needs two models", hint="align eval arena serve A B [C …]")
    if not 0 <= stored.overlap <= 1:
        raise UsageError(f"--overlap is {stored.overlap:g}: it is a share, from 0 to 1")
    if not 0 <= serving.port < 65_536:
        raise UsageError(f"--port is {serving.port}: there is no such port")
    if live.temperature < 0:
        raise UsageError("--temperature is below 0")
    words.demand_positive("--max-new-tokens", live.max_new_tokens)
    if live.live and (stored.benchmark or stored.questions):
        raise UsageError("--live takes prompts from the raters: --benchmark and --questions have no say")
    if not live.live and live.endpoint:
        raise UsageError("--endpoint is for --live: without it answers are read, not made", hint="add --live")


def _access(serving: Serving, access: Any, *, is_near: bool) -> Any:
    """Who may come in: on this machine whoever is on it, from elsewhere who has the token."""
    rater, report = os.environ.get(RATER_TOKEN, "").strip(), os.environ.get(REPORT_TOKEN, "").strip()
    for name, token in ((RATER_TOKEN, rater), (REPORT_TOKEN, report)):
        if token and (len(token) < _SHORTEST_TOKEN or not token.isascii()):
            raise UsageError(f"{name}: a token has at least {_SHORTEST_TOKEN} plain letters")
    if rater and rater == report:
        raise UsageError(f"{RATER_TOKEN} and {REPORT_TOKEN} are the same: a rater may not see the report")
    url = _public(serving.url)
    needed = rater or (None if is_near and url is None else secrets.token_urlsafe(16))
    return access(is_near=is_near, rater_token=needed, report_token=report or secrets.token_urlsafe(16), url=url)


def _public(given: str | None) -> str | None:
    """The address that a proxy answers, without a slash at its end.

    Raises:
        UsageError: it is none, or more than a host.
    """
    if given is None:
        return None
    try:
        parts = urlsplit(given)
        is_one = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True) and "@" not in given
    except ValueError:
        is_one = False
    if not is_one or not given.isascii():
        raise UsageError(f"--url {given}: this is no address of a page", hint="for instance https://arena.example.org")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(
            f"--url {given}: the arena is all that stands at an address", hint=f"{parts.scheme}://{parts.netloc}"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _stored(named: Sequence[_Word], stored: Stored) -> Callable[[stores.Store, Any], tuple[Any, Any]]:
    """Answers that were made beforehand, read before the port is taken."""
    from align_cli.cli.evals.arena_answers import answered
    from align_cli.evals.arena.serve.arena import StoredAnswers, demand_same_answers
    from align_cli.evals.arena.serve.choosing import Choosing
    from align_cli.evals.arena.serve.material import material

    read = answered(
        [(one.name, one.place) for one in named],
        benchmark=stored.benchmark, questions=stored.questions, files=stored.files,
    )  # fmt: skip
    found = material(read, without_identities=stored.leave_out_leaks, categories=stored.category or ())

    def make(store: stores.Store, pairing: Any) -> tuple[Any, Any]:
        demand_same_answers(store, found)
        for note in found.notes:
            _say(f"note: {note}")
        made = pairing(found.models)
        return StoredAnswers(found, Choosing(found, made, store.secret, stored.overlap)), made

    return make


def _live(named: Sequence[_Word], live: Live) -> Callable[[stores.Store, Any], tuple[Any, Any]]:
    """Models that answer at once; what cannot be asked is said before the port is taken, and loaded after."""
    from align_cli.cli.evals.arena_models import opened, ordered
    from align_cli.evals.arena.serve.choosing import sides
    from align_cli.evals.arena.serve.live import LiveAnswers

    orders = ordered([(one.name, one.place) for one in named], live)

    def make(store: stores.Store, pairing: Any) -> tuple[Any, Any]:
        models = [opened(order, live) for order in orders]
        made = pairing([model.name for model in models])
        secret = store.secret
        return LiveAnswers(models, made, lambda *of: sides(secret, *of), _say), made

    return make


def _announce(access: Any, serving: Serving, port: int, answers: Any, place: Path) -> None:
    """Where to go. Written as it is: a token is a secret, and here it is told to its owner."""
    import socket

    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(serving.host, serving.host)  # noqa: S104
    bound = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    root = f"{access.url or bound}/"
    token = f"#token={access.rater_token}" if access.rater_token else ""
    items = "" if answers.num_items is None else f" on {answers.num_items:,} items"
    sys.stderr.write(
        f"{len(answers.models)} models{items}: {', '.join(answers.models)}\n"
        f"raters: {root}{token}\n"
        f"report: {root}report#token={access.report_token}\n"
        f"battles are kept in {place}; Ctrl-C ends\n"
    )
    if access.url:
        sys.stderr.write(f"the proxy finds it at {bound}\n")
    if not (access.is_near and (access.is_secure or access.url is None)):
        sys.stderr.write(
            "note: this is plain http: others on the network can read along (a tunnel or TLS proxy helps)\n"
        )
    sys.stderr.flush()


def _word(given: str) -> _Word:
    """`name=PLACE`, or a place that exists with a `=` in it."""
    name, equals, place = given.partition("=")
    if equals and name and place and "/" not in name and not Path(given).exists():
        return _Word(name.strip(), place)
    return _Word(None, given)


def _say(line: str) -> None:
    from align_cli.cli.errors import without_secrets

    sys.stderr.write(without_secrets(line) + "\n")
    sys.stderr.flush()

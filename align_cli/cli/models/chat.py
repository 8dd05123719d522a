"""`align chat`: talk to a trained model as it was trained, at the terminal, in one question, or two models at once."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from align_cli import stdout
from align_cli.cli import documents
from align_cli.cli.models.chat_session import Session, cannot_remove, chosen, lines, listening, system_turn
from align_cli.cli.text import is_terminal
from align_cli.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from align_cli.models.speaking.conversing import Sampling, Speaker
    from align_cli.models.speaking.opened import Opened

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.command()
def chat(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run, a model or adapter folder, or a Hub id.")],
    question: Annotated[
        str | None, typer.Argument(metavar="QUESTION", help="Ask this alone; else stdin, or a conversation.")
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="System prompt, or none; not the run's own.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="MODEL", help="A second model that answers the same.")
    ] = None,
    temperature: Annotated[float, typer.Option("--temperature", help="Above 0: sample; 0: the likeliest token.")] = 0.0,
    top_p: Annotated[float, typer.Option("--top-p", help="Sample from this share of the probability.")] = 1.0,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", help="Longest answer.")] = 512,
    seed: Annotated[int | None, typer.Option("--seed", help="Makes sampling repeatable.")] = None,
    chat_template: Annotated[
        str | None,
        typer.Option("--chat-template", metavar="NAME", help="chatml, zephyr or a file; not the model's own."),
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="MODEL", help="The adapter's base, instead of the one it names.")
    ] = None,
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit on the Hub.")] = None,
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")] = "auto",
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the Python code that comes with the model.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout; for a single question.")
    ] = False,
) -> None:
    """Talk to a model with the template, system prompt and base that it was trained with."""
    from align_cli.models.speaking.conversing import Sampling, Speaker
    from align_cli.models.speaking.opened import demand_dtype

    sampling = Sampling(temperature=temperature, top_p=top_p, max_new_tokens=max_new_tokens, seed=seed)
    if problem := sampling.problem():
        raise UsageError(problem, hint="align chat --help")
    demand_dtype(dtype)
    asked = _question(question, as_json=as_json)
    wanted = [model, *([against] if against else [])]
    with stdout.reserved() as result:
        opened = _open(
            wanted,
            base=base,
            revision=revision,
            chat_template=chat_template,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
        )
        speakers = [Speaker(one, sampling) for one in opened]
        systems = [chosen(system) if system is not None else one.served.system for one in opened]
        if asked is None:
            _converse(opened, speakers, systems, sampling, result)
        else:
            is_chosen = system is not None
            _answer(opened, speakers, systems, asked, result, is_system_chosen=is_chosen, as_json=as_json)


def _question(question: str | None, *, as_json: bool) -> str | None:
    """The one question to ask: the words, else all of a piped stdin; None for a conversation."""
    if question is not None:
        if not question.strip():
            raise UsageError("the question is empty")
        return question
    if not is_terminal(sys.stdin):
        try:
            piped = sys.stdin.read().strip()
        except UnicodeDecodeError as cause:
            raise UsageError("stdin is not text (UTF-8)") from cause
        if not piped:
            raise UsageError(
                "there is no question, and stdin is empty", hint='align chat MODEL "QUESTION", or run it in a terminal'
            )
        return piped
    if as_json:
        raise UsageError("--json is for a single question", hint='align chat MODEL "QUESTION" --json')
    return None


def _open(wanted: list[str], *, base: str | None, revision: str | None, **how: Any) -> list[Opened]:
    """All models; what is wrong with the second is known before the first is loaded."""
    from align_cli.cli import render
    from align_cli.cli.models.model_names import chain
    from align_cli.models.speaking import opened

    with render.working(sys.stderr) as say:
        say(f"opening {wanted[0]}")
        trusted = how["trust_remote_code"]
        chains = [chain(wanted[0], revision=revision, base=base, trust_remote_code=trusted, say=say)]
        chains += [chain(name, trust_remote_code=trusted, say=say) for name in wanted[1:]]
        for links in chains:
            opened.demand_speaker(links, how["chat_template"])
        found = []
        for name, links in zip(wanted, chains, strict=True):
            say(f"opening {name}")
            found.append(opened.open_chain(links, say=say, **how))
    return found


def _answer(
    opened: list[Opened],
    speakers: list[Speaker],
    systems: list[str | None],
    question: str,
    result: TextIO,
    *,
    is_system_chosen: bool,
    as_json: bool,
) -> None:
    """One question, one answer of each model."""
    from align_cli.cli import render

    turn = {"role": "user", "content": question}
    replies = []
    display = render.conversation(result, sys.stderr, [one.name for one in opened], is_quiet=as_json)
    if is_system_chosen and not as_json:
        for one, system in zip(opened, systems, strict=True):
            if system is None and one.default_system is not None:
                display.say(cannot_remove(one.default_system))
    with listening() as stop, display.answering() as show:
        for number, speaker in enumerate(speakers):
            reply = speaker.answer(
                [*system_turn(systems[number]), turn],
                on_text=lambda text, number=number: show(number, text),  # type: ignore[misc]
                is_stopped=lambda: stop.asked,
            )
            replies.append(reply)
            if stop.asked:
                break
    if as_json:
        answers = [
            {**facts(one), "system": system, **asdict(reply)}
            for one, system, reply in zip(opened, systems, replies, strict=False)
        ]
        documents.write({"question": question, "answers": answers}, result)
    else:
        for number, reply in enumerate(replies):
            display.stopped(number, reply)
    if stop.asked:
        raise Interrupted("the answer was stopped")


def facts(opened: Opened) -> dict[str, Any]:
    """What is in force for one model."""
    assert opened.template is not None
    return {
        "model": opened.name,
        "base": opened.chain.base.name,
        "revision": opened.chain.base.revision,
        "adapters": [link.name for link in opened.chain.adapters],
        "template": "the model's own" if opened.template.source == "the tokenizer" else opened.template.source,
        "template_system": opened.default_system,
        "inserts_empty_system": opened.served.inserts_empty_system,
        "end_tokens": [opened.tokenizer.convert_ids_to_tokens(token) for token in opened.end_tokens],
        "dtype": opened.dtype,
        "device": opened.device,
    }


def _converse(
    opened: list[Opened], speakers: list[Speaker], systems: list[str | None], sampling: Sampling, result: TextIO
) -> None:
    """Until Ctrl-D or /exit."""
    from align_cli.cli import render

    display = render.conversation(result, sys.stderr, [one.name for one in opened])
    display.introduce(
        [
            {**facts(one), "note": one.served.note, "system": system}
            for one, system in zip(opened, systems, strict=True)
        ],
        sampling,
    )
    defaults = [one.default_system for one in opened]
    session = Session([one.name for one in opened], speakers, display, systems, defaults=defaults)
    for line in lines("> "):
        if line is None:
            display.say("")
            display.say("Ctrl-D leaves, /help lists the commands")
        elif not session.run(line):
            return
    display.say("")

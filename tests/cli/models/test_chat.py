from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from align_cli.cli.models.chat_session import Session
from align_cli.errors import AlignError, UsageError
from align_cli.models.speaking.conversing import Reply
from tests.cli.conftest import Align
from tests.models.conftest import adapt, llama  # noqa: F401  fixtures

Make = Callable[..., Path]


class Echo:
    """A speaker that says the last thing it was told, and how much it was told."""

    def __init__(self) -> None:
        self.told: list[list[dict[str, str]]] = []
        self.forgot = 0

    def answer(self, messages, *, on_text=lambda text: None, is_stopped=lambda: False) -> Reply:
        self.told.append(list(messages))
        if messages[-1]["content"] == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        if messages[-1]["content"] == "interrupt twice":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        if messages[-1]["content"] == "refuse":
            raise UsageError("refused", hint="say something else")
        text = f"you said {messages[-1]['content']}"
        on_text(text)
        stopped = "interrupted" if is_stopped() else "end"
        return Reply(text=text, stopped=stopped, prompt_tokens=1, kept_tokens=0, new_tokens=1, seconds=0.0)

    def forget(self) -> None:
        self.forgot += 1


class Screen:
    """A display that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shown: list[tuple[int, str]] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def problem(self, error: AlignError) -> None:
        self.lines.append(f"problem: {error.message} {error.hint}")

    @contextmanager
    def answering(self) -> Iterator[Callable[[int, str], None]]:
        yield lambda number, text: self.shown.append((number, text))

    def stopped(self, number: int, reply: Reply) -> None:
        if reply.stopped != "end":
            self.lines.append(f"{number} {reply.stopped}")


def session(count: int = 1, **systems: object) -> Session:
    names = [f"m{number}" for number in range(count)]
    return Session(names, [Echo() for _ in names], Screen(), [systems.get("system")] * count)  # type: ignore[list-item]


def words(turns: list[dict[str, str]]) -> list[str]:
    return [turn["content"] for turn in turns]


def test_every_speaker_has_a_conversation_of_its_own():
    talk = session(2, system="S")

    talk.run("one")
    talk.run("two")

    first = talk.speakers[0].told[-1]
    assert words(first) == ["S", "one", "you said one", "two"]
    assert talk.display.shown == [(0, "you said one"), (1, "you said one"), (0, "you said two"), (1, "you said two")]


def test_undo_takes_the_last_question_back_and_reset_all():
    talk = session(2)
    talk.run("one")
    talk.run("two")

    talk.run("/undo")
    assert [words(own) for own in talk.turns] == [["one", "you said one"]] * 2
    talk.run("/reset")

    assert talk.turns == [[], []]
    assert [speaker.forgot for speaker in talk.speakers] == [1, 1]
    talk.run("/undo")
    assert talk.display.lines[-1].startswith("problem: nothing was said yet")


def test_the_system_prompt_can_be_shown_set_and_taken_away():
    talk = session(system="old")

    talk.run("/system")
    talk.run("/system new one")
    talk.run("hi")
    talk.run("/system none")
    talk.run("hi")

    assert talk.display.lines == ["system prompt: old", "system prompt: new one", "system prompt: none"]
    assert words(talk.speakers[0].told[0])[0] == "new one"
    assert words(talk.speakers[0].told[1])[0] == "hi"


def test_taking_the_system_prompt_away_tells_of_the_template_s_own():
    talk = session(system="old")
    talk.defaults = ["You are helpful."]

    talk.run("/system none")
    talk.run("/system")

    own = 'system prompt: the template\'s own: "You are helpful."'
    assert talk.display.lines[0] == talk.display.lines[2] == own
    assert "where there is none" in talk.display.lines[1]
    assert len(talk.display.lines) == 3


def test_a_saved_conversation_is_a_row_to_train_on(tmp_path: Path):
    talk = session(2, system="S")
    talk.run("one")
    place = tmp_path / "chat.jsonl"

    talk.run(f"/save {place}")
    talk.run(f"/save {place}")
    talk.run("/save")

    rows = [json.loads(line) for line in place.read_text().splitlines()]
    assert [row["model"] for row in rows] == ["m0", "m1"]
    assert words(rows[0]["messages"]) == ["S", "one", "you said one"]
    assert f"{place} exists" in talk.display.lines[-2]
    assert "/save needs a file" in talk.display.lines[-1]


def test_lines_that_begin_with_a_slash():
    talk = session()

    assert talk.run("/nonsense")
    assert talk.run("//etc/hosts is a file")
    assert talk.run("   ")
    assert not talk.run("/exit")

    assert "there is no command /nonsense" in talk.display.lines[0]
    assert [words(told) for told in talk.speakers[0].told] == [["/etc/hosts is a file"]]


def test_ctrl_c_ends_an_answer_and_keeps_what_was_said():
    talk = session(2)

    talk.run("interrupt")
    talk.run("more")

    assert talk.display.lines == ["0 interrupted"]
    assert words(talk.speakers[0].told[-1]) == ["interrupt", "you said interrupt", "more"]
    assert words(talk.speakers[1].told[-1]) == ["more"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_twice_throws_the_answer_away():
    talk = session()

    talk.run("interrupt twice")
    talk.run("more")

    assert talk.display.lines == ["the answer was thrown away"]
    assert words(talk.speakers[0].told[-1]) == ["more"]


def test_what_a_model_refuses_leaves_the_conversation_as_it_was():
    talk = session()
    talk.run("one")

    talk.run("refuse")

    assert talk.display.lines == ["problem: refused say something else"]
    assert words(talk.turns[0]) == ["one", "you said one"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nothing/at/all", "hi"), 2, "no such folder"),
        (("base", "hi", "--temperature", "-1"), 2, "below 0"),
        (("base", "hi", "--top-p", "0.5"), 2, "needs a --temperature"),
        (("base", " "), 2, "the question is empty"),
        (("base",), 2, "stdin is empty"),
        (("bare", "hi"), 2, "no chat template"),
        (("base", "hi", "--chat-template", "nowhere.jinja"), 2, "--chat-template: there is no file"),
        (("base", "hi", "--chat-template", "bare"), 2, "--chat-template: bare is a folder"),
        (("nothing", "hi", "--dtype", "int8"), 2, 'there is no dtype "int8"'),
        (("base", "hi", "--revision", "v1"), 2, "a local model has no revisions"),
        (("reward", "hi", "--base", "file"), 2, "file: this file is not a model"),
        (("runs/nothing", "hi"), 2, "runs/nothing: there is no such folder"),
        (("base", "hi", "--against", "nothing/at/all"), 2, "no such folder"),
        (("reward", "hi"), 2, "this is a classifier"),
        (("base", "hi", "--base", "bare"), 2, "whole model, which needs no base"),
    ],
)
def test_what_is_wrong_is_said_before_a_model_is_loaded(
    align: Align, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
):
    from tests.models.files import adapter_files, model_files
    from tests.models.tiny import tiny_model

    for name, template in (("base", "{{ messages }}"), ("bare", None)):
        model_files(tiny_model(tmp_path / name, template=template))
    adapter_files(tmp_path / "reward", tmp_path / "base", task_type="SEQ_CLS")
    (tmp_path / "file").touch()

    done = align("chat", *arguments)

    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


@pytest.mark.slow
def test_one_question_gets_one_answer_on_stdout(align: Align, llama: Make, adapt: Make, tmp_path: Path):  # noqa: F811
    adapt("sft", llama())

    plain = align("chat", "sft", "Hi", "--max-new-tokens", "5")
    view = align("chat", "sft", "Hi", "--max-new-tokens", "5", "--json", "--system", "S", "--against", "base").document

    assert plain.code == 0
    assert plain.out.endswith("\n")
    assert "cut off after 5 tokens" in plain.err
    assert view["question"] == "Hi"
    assert [one["model"] for one in view["answers"]] == ["sft", "base"]
    first = view["answers"][0]
    assert (first["adapters"], first["system"], first["stopped"], first["new_tokens"]) == (["sft"], "S", "length", 5)
    assert first["base"] == str(tmp_path / "base")
    assert first["end_tokens"] == ["<|im_end|>"]


@pytest.mark.slow
def test_a_piped_text_is_one_question(llama: Make, tmp_path: Path, cache: Path):  # noqa: F811
    (llama() / "chat_template.jinja").write_text(
        "{% if messages[0]['role'] != 'system' %}<|im_start|>You are helpful.<|im_end|>{% endif %}"
        "{% for turn in messages %}<|im_start|>{{ turn['content'] }}<|im_end|>{% endfor %}"
    )
    argv = [sys.executable, "-m", "align_cli", "chat", "base", "--max-new-tokens", "2", "--json"]
    env = {**os.environ, "ALIGN_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}

    done = subprocess.run(argv, input="two\nlines\n", cwd=tmp_path, env=env, capture_output=True, text=True, check=True)

    view = json.loads(done.stdout)
    assert view["question"] == "two\nlines"
    assert (view["answers"][0]["system"], view["answers"][0]["template_system"]) == (None, "You are helpful.")


class Terminal:
    """A real pseudo-terminal with `align` in it."""

    def __init__(self, folder: Path, cache: Path, *words: str, columns: int = 100) -> None:
        pid, self._fd = pty.fork()
        if pid == 0:
            os.chdir(folder)
            env = {**os.environ, "ALIGN_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "TERM": "xterm"}
            env |= {"COLUMNS": str(columns), "LINES": "40"}
            os.execvpe(sys.executable, [sys.executable, "-m", "align_cli", *words], env)
        self.pid = pid
        self.raw = self.seen = ""
        self._at = 0

    def until(self, pattern: str, seconds: float = 60) -> str:
        """Read until what came after the last match matches; what came until then."""
        import select

        start, end, is_open = self._at, time.monotonic() + seconds, True
        while not (found := re.search(pattern, self.seen[start:])):
            assert is_open, f"{pattern!r} never came: {self.seen[start:]!r}"
            assert time.monotonic() < end, f"{pattern!r} did not come: {self.seen[start:]!r}"
            if select.select([self._fd], [], [], 0.1)[0]:
                try:
                    self.raw += os.read(self._fd, 65536).decode(errors="replace")
                except OSError:  # the other end is closed
                    is_open = False
                self.seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw)
        self._at = start + found.end()
        return self.seen[start : self._at]

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def press_until(self, key: str, pattern: str) -> None:
        """Press a key until it has its effect: Python's readline misses a signal just after it shows its prompt."""
        for _ in range(20):
            self.type(key)
            try:
                self.until(pattern, seconds=3)
            except AssertionError:
                continue
            return
        raise AssertionError(f"{pattern!r} did not come: {self.seen[self._at :]!r}")

    def exit_code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.slow
def test_a_conversation_at_a_terminal(llama: Make, adapt: Make, tmp_path: Path, cache: Path):  # noqa: F811
    base = llama(max_position_embeddings=8192)
    # an answer that never ends by itself: no end token can win
    (base / "generation_config.json").write_text('{"eos_token_id": 258, "suppress_tokens": [258]}')
    adapt("sft", base)
    terminal = Terminal(tmp_path, cache, "chat", "sft", "--max-new-tokens", "4000")

    introduced = terminal.until("Ctrl-D leaves")
    assert str(base) in introduced
    assert "an answer ends with <|im_end|>" in introduced
    terminal.until("> ")
    # at the prompt: nothing is lost, nothing ends
    terminal.press_until("\x03", "Ctrl-D leaves, /help lists the commands")
    terminal.until("> ")
    terminal.type("Hi there\n")
    terminal.until("Hi there\r\n.{20}")
    terminal.type("\x03")
    terminal.until(r"\(stopped\)")
    terminal.until("> ")
    terminal.type('"""\nline one\nline two\n"""\n')
    terminal.until("line two(.|\n)*\n.{20}")
    terminal.type("\x03")
    terminal.until(r"\(stopped\)")
    terminal.type("/save said.jsonl\n")
    terminal.until("saved to said.jsonl")
    terminal.until("> ")
    terminal.type("\x04")

    assert terminal.exit_code() == 0
    assert "Traceback" not in terminal.seen
    turns = json.loads((tmp_path / "said.jsonl").read_text())["messages"]
    assert [turn["content"] for turn in turns[::2]] == ["Hi there", "line one\nline two"]


@pytest.mark.slow
def test_two_models_answer_beside_each_other_where_there_is_room(
    llama: Make,  # noqa: F811
    adapt: Make,  # noqa: F811
    tmp_path: Path,
    cache: Path,
):
    adapt("sft", llama())
    words = ("chat", "sft", "Hi", "--against", "base", "--max-new-tokens", "4")

    wide = Terminal(tmp_path, cache, *words, columns=100)
    wide.until(r"sft +base")
    wide.until("sft: cut off")
    assert wide.exit_code() == 0
    narrow = Terminal(tmp_path, cache, *words, columns=60)
    narrow.until(r"\[sft\](.|\n)*\[base\]")
    narrow.until("sft: cut off")
    assert narrow.exit_code() == 0


def test_what_a_model_says_cannot_act_on_the_terminal():
    from io import StringIO

    from align_cli.cli import render

    out = StringIO()
    display = render.conversation(out, StringIO(), ["m"])
    with display.answering() as show:
        show(0, "a\x1b[2Jb\u202e")

    assert out.getvalue() == "a\\x1b[2Jb\\u202e\n"


@pytest.mark.slow
def test_smollm2_answers_and_stops(align: Align, smollm2: Path):
    done = align("chat", str(smollm2), "What is the capital of France? Answer in one word.", "--max-new-tokens", "24")

    assert done.code == 0
    assert "Paris" in done.out
    assert "cut off" not in done.err

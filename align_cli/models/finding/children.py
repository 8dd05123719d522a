"""Work that needs torch, in a child process that talks to its parent in lines of JSON and dies with it.

The parent gives a job on the child's standard input and keeps that pipe open: when it closes, the parent is gone, and
so is the child. What the child says on stdout are messages: `{"say": …}`, `{"progress": […]}`, `{"result": …}` or
`{"error": …}`; whatever its libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from align_cli import errors
from align_cli.errors import AlignError, Problem, TrainingError

_TAIL = 12  # lines of a crashed child's stderr that are looked at for its last word


def run(
    module: str,
    job: Mapping[str, Any],
    *,
    say: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[int, int, str], None] = lambda done, of, what: None,
) -> Any:
    """Run `python -m MODULE` on a job; its result.

    Raises:
        AlignError: the child's own error, of the same type; TrainingError where it died without a word.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", module],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert child.stdin is not None
    assert child.stdout is not None
    tail: list[str] = []
    listener = threading.Thread(target=_keep_tail, args=(child.stderr, tail), daemon=True)
    listener.start()
    try:
        child.stdin.write(json.dumps(job) + "\n")
        child.stdin.flush()
        for line in child.stdout:
            message = json.loads(line)
            if "say" in message:
                say(message["say"])
            elif "progress" in message:
                on_progress(*message["progress"])
            elif "error" in message:
                raise _error(message["error"])
            else:
                return message["result"]
    finally:
        child.stdin.close()  # whatever happens here, the child ends
        child.wait()
        listener.join()
    last = next((line for line in reversed(tail) if line.strip()), f"exit code {child.returncode}")
    if child.returncode == -9:
        last = "it was killed, perhaps because memory ran out"
    raise TrainingError(f"{module.rpartition('.')[2]}: the work stopped: {last.strip()}")


def main(work: Callable[..., Any]) -> int:
    """The child's side: read the job, do the work, send the result or the error. The exit code."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print to stdout
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()

    def send(message: Mapping[str, Any]) -> None:
        stream.write(json.dumps(message) + "\n")
        stream.flush()

    try:
        result = work(
            **job,
            say=lambda line: send({"say": line}),
            on_progress=lambda *moment: send({"progress": moment}),
        )
    except AlignError as error:
        send({"error": error.as_dict()})
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        full = error.errno == 28
        words = f"the disk is full: {error.filename or error}" if full else str(error)
        hint = "free some space and run it again" if full else ""
        send({"error": TrainingError(words, hint=hint).as_dict()})
        return 1
    except Exception as error:  # noqa: BLE001  a defect, told in one line; the whole story is on stderr
        traceback.print_exc()
        words = (str(error).strip() or type(error).__name__).splitlines()[0]
        send({"error": TrainingError(f"{type(error).__name__}: {words}").as_dict()})
        return 1
    send({"result": result})
    return 0


def environment() -> dict[str, str]:
    """For a child: our modules, no network, no advice from libraries."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


def _die_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _keep_tail(stream: TextIO | None, tail: list[str]) -> None:
    for line in stream or ():
        tail.append(line)
        del tail[:-_TAIL]


def _error(said: Mapping[str, Any]) -> AlignError:
    kind = getattr(errors, str(said["type"]), TrainingError)
    problems = [Problem(one["message"], one["where"], one["hint"]) for one in said["problems"]]
    error: AlignError = kind(said["message"], hint=said["hint"], problems=problems)
    return error

"""A finished run's model on the Hub: checked before anything is sent, private unless asked otherwise, in one commit.

Training calls this after the manifest is written, and `align model push` at any time: a push that fails has lost
nothing, and the next one sends only what is missing.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from align_cli import fingerprints
from align_cli.errors import DataError, EndpointError, Interrupted, UsageError
from align_cli.recipe.schema import Recipe
from align_cli.runs import manifest
from align_cli.runs.push import hub, payload
from align_cli.runs.reading import verify
from align_cli.runs.reading.record import Record, mapping

Say = Callable[[str], None]
_REVISION = re.compile(r"(?!-)[\w./-]{1,200}")


class Wish(NamedTuple):
    """Where to push to; empty: the name of the run's folder, in the token's own namespace."""

    repo: str
    revision: str | None
    is_private: bool


class Published(NamedTuple):
    """What a push has done."""

    repo: str
    address: str
    revision: str
    commit: str
    is_private: bool | None
    """None where the Hub does not say."""
    sent: list[str]
    bytes_sent: int
    unchanged: list[str]
    """Files that the repository had already."""
    stays: list[str]
    """Files and folders of the run that are only of use here."""


def wish_of(recipe: Recipe) -> Wish:
    """What the recipe says: `hub_model_id`, `hub_revision`, `hub_private_repo` (private unless that is false)."""
    return Wish(
        repo=str(recipe.values.get("hub_model_id") or ""),
        revision=recipe.values.get("hub_revision") or None,
        is_private=recipe.values.get("hub_private_repo") is not False,
    )


def publish(
    run_dir: Path,
    wish: Wish,
    *,
    say: Say,
    check_files: bool = True,
    show_bars: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Published:
    """Push a finished run and note the address in its manifest.

    `check_files`: compare the files with the manifest first. `show_bars`: let the Hub's library draw on stderr.

    Raises:
        UsageError: the run is not finished, the name is none, there is no token, or it may not write there.
        DataError: files of the run are not what its manifest says.
        EndpointError: the Hub cannot be reached, or fails for longer than is waited.
        Interrupted: Ctrl-C.
    """
    record = Record(run_dir)
    demand_finished(record)
    name = wish.repo or run_dir.resolve().name
    _demand_names(name, wish.revision)
    if check_files:
        _demand_unchanged(record, say)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the library is first imported
    token, source = _token()
    _demand_online()
    try:
        load = payload.of(record)
        if base := payload.local_base(record):
            say(
                f"warning: the adapter names {base}, a folder of this machine, as its base: others cannot load it; "
                f"align model merge {run_dir} makes a whole model of it, and training on a Hub model avoids it"
            )
        with hub.library_quiet(say, show_bars=show_bars):
            found = hub.send(
                load.items,
                name=name,
                card_names=_earlier_names(record),
                revision=wish.revision,
                is_private=wish.is_private,
                message=f"Trained with align ({record.task})",
                token=token,
                source=source,
                say=say,
                sleep=sleep,
            )
    except KeyboardInterrupt:
        raise Interrupted(
            "the push was stopped; the run is as it was", hint=f"align model push {run_dir} sends what is missing"
        ) from None
    except OSError as cause:
        raise DataError(f"the run cannot be read: {cause.filename}: {cause.strerror or cause}") from cause
    done = Published(
        repo=found.repo,
        address=found.address,
        revision=wish.revision or "main",
        commit=found.commit,
        is_private=found.is_private,
        sent=sorted(found.sent),
        bytes_sent=sum(found.sent.values()),
        unchanged=[item.name for item in load.items if item.name not in found.sent],
        stays=load.stays,
    )
    _note(run_dir, done, say)
    return done


def demand_finished(record: Record) -> None:
    """Raise unless the run is one that has finished."""
    if record.state == "finished":
        return
    if record.state == "damaged":
        raise DataError(
            f"{record.path} has finished, but its manifest is damaged",
            problems=record.problems,
            hint="restore align/manifest.json: without it nobody knows which files belong to the run",
        )
    hint = "wait for it" if record.state == "running" else "the command that trained it goes on from where it is"
    raise UsageError(f"{record.path} is {record.state}: only a finished run can be pushed", hint=hint)


def _demand_names(repo: str, revision: str | None) -> None:
    from huggingface_hub import utils

    try:
        utils.validate_repo_id(repo)
    except utils.HFValidationError:
        raise UsageError(
            f'"{repo}" is no name of a repository',
            hint="letters, digits, - _ and . with at most one slash, e.g. your-name/your-model",
        ) from None
    if revision is not None and not _REVISION.fullmatch(revision):
        raise UsageError(f'"{revision}" is no name of a branch', hint="letters, digits, - _ . and slashes, e.g. v1.0")


def _demand_unchanged(record: Record, say: Say) -> None:
    found = verify.check(record, digest=lambda path: fingerprints.of_file(path).sha256)
    if any(one.name == payload.CARD and one.verdict == "changed" for one in found):
        say("the model card was changed after training: it goes as it is now")
    wrong = [one for one in found if not one.is_right and (one.name, one.verdict) != (payload.CARD, "changed")]
    if wrong:
        raise DataError(
            f"{record.path} is not as training left it: nothing was pushed",
            problems=[one.as_problem() for one in wrong],
            hint="restore these files; --as-is pushes what is there",
        )


def _token() -> tuple[str, str]:
    """The token in force, and where it is from, in words.

    Raises:
        UsageError: there is none.
    """
    from huggingface_hub import get_token

    token = get_token()
    if not token:
        raise UsageError("there is no token for the Hub", hint="hf auth login stores one; HF_TOKEN may hold one, too")
    named = any(os.environ.get(name, "").strip() for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"))
    return token, "in HF_TOKEN" if named else "that hf auth login has stored"


def _demand_online() -> None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise EndpointError("the Hub is switched off here: HF_HUB_OFFLINE is set", hint="unset HF_HUB_OFFLINE")


def _earlier_names(record: Record) -> list[str]:
    """Addresses that the card may have been written for."""
    told = mapping(record.document.get("values")).get("hub_model_id")
    return [told] if isinstance(told, str) and told else []


def _note(run_dir: Path, done: Published, say: Say) -> None:
    """Write the address into the manifest; a run that may only be read stays as it is."""
    publication = {
        "repo": done.repo,
        "revision": done.revision,
        "commit": done.commit,
        "private": done.is_private,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        manifest.amend(run_dir, published=done.address, publication=publication)
    except (OSError, ValueError) as cause:
        say(f"warning: pushed, but the manifest of {run_dir} could not be changed to say so: {cause}")

"""Talking to the Hub about one repository: who asks, what is there, and one commit with what is missing."""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from align_cli.errors import AlignError, UsageError
from align_cli.runs.push import faults as hub_faults
from align_cli.runs.push.payload import Item, addressed
from align_cli.runs.reading.record import mapping

Say = Callable[[str], None]
_LARGEST_BLOB = 10_000_000  # bytes; what git itself holds is smaller, the rest goes by sha256


class Sent(NamedTuple):
    """What a repository has now, and what was sent for it."""

    repo: str
    address: str
    commit: str
    is_private: bool | None
    """None where the Hub does not say."""
    sent: dict[str, int]
    """Name -> bytes of the files that were not there."""


def send(
    items: list[Item],
    *,
    name: str,
    card_names: list[str],
    revision: str | None,
    is_private: bool,
    message: str,
    token: str,
    source: str,
    say: Say,
    sleep: Callable[[float], None],
) -> Sent:
    """Make the repository `name` (in the token's own namespace, where it names none) hold `items`, in one commit.

    `source` says where the token is from, for messages; `card_names` are addresses that the card may have by mistake.

    Raises:
        AlignError: why not, in words for the user; nothing is half committed.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    user, repo = "", name

    def patiently(action: Callable[[], Any], what: str, **options: Any) -> Any:
        try:
            return hub_faults.patiently(action, say=say, what=what, sleep=sleep, **options)
        except AlignError:
            raise
        except Exception as cause:  # noqa: BLE001 - several libraries raise what they like; each gets its words
            raise hub_faults.explained(cause, repo=repo, user=user) from None

    user = patiently(lambda: _who(api, source), "asking the Hub who you are", knows_the_hub=False)
    repo = name if "/" in name else f"{user}/{name}"
    created = patiently(lambda: api.create_repo(repo_id=repo, private=is_private, exist_ok=True), f"making {repo}")
    repo = str(created.repo_id or repo)
    if revision:
        branch = revision
        patiently(lambda: api.create_branch(repo_id=repo, branch=branch, exist_ok=True), f"making the branch {branch}")
    private = getattr(patiently(lambda: api.repo_info(repo_id=repo), f"asking about {repo}"), "private", None)
    if is_private and private is False:
        say(f"warning: {repo} was there already and is public: everybody can read what is sent")
    say(f"publishing to {repo}" + ("" if private is None else " (private)" if private else " (public)"))
    items = addressed(items, names=card_names, repo=repo)
    sent: dict[str, int] = {}

    def commit() -> str:
        # Asked anew at every try: a commit whose answer was lost has been made all the same.
        missing = _missing(api, repo, revision, items)
        if not missing:
            return str(api.repo_info(repo_id=repo, revision=revision).sha)
        sent.update({item.name: item.num_bytes for item in missing})
        return _commit(api, repo, revision, missing, message)

    made = patiently(commit, f"sending to {repo}")
    address = f"{created}/tree/{revision}" if revision else str(created)
    return Sent(repo, address, made, private, sent)


@contextmanager
def library_quiet(say: Say, *, show_bars: bool) -> Iterator[None]:
    """The Hub's library without its talk; that it waits because the Hub asks it to is said."""
    from huggingface_hub import utils

    class Waits(logging.Handler):
        def emit(self, entry: logging.LogRecord) -> None:
            if waited := re.search(r"Waiting ([\d.]+)s before retry", entry.getMessage()):
                say(f"the Hub asks to wait {float(waited[1]):g} s")

    logger = logging.getLogger("huggingface_hub")
    handlers, propagates = logger.handlers, logger.propagate
    was_quiet = utils.are_progress_bars_disabled()
    logger.handlers, logger.propagate = [Waits(logging.WARNING)], False
    if not show_bars:
        utils.disable_progress_bars()
    try:
        with warnings.catch_warnings(record=True) as raised:
            yield
        for warning in raised:  # what the Hub thinks of the card; the rest is between libraries
            if "validating metadata in README.md" in str(warning.message):
                say(f"warning: {' '.join(str(warning.message).split())}")
    finally:
        logger.handlers, logger.propagate = handlers, propagates
        if not show_bars and not was_quiet:
            utils.enable_progress_bars()


def _who(api: Any, source: str) -> str:
    """The name of the token's owner.

    Raises:
        UsageError: the Hub does not know the token, or it may only read.
    """
    try:
        found = mapping(api.whoami())
    except Exception as cause:
        if getattr(getattr(cause, "response", None), "status_code", None) == 401:
            raise hub_faults.wrong_token(source) from None
        raise
    access = mapping(mapping(found.get("auth")).get("accessToken"))
    if access.get("role") == "read":
        raise UsageError(
            f"the token {source} may only read", hint="make one that may write, and store it with hf auth login"
        )
    return str(found.get("name") or "")


def _missing(api: Any, repo: str, revision: str | None, items: list[Item]) -> list[Item]:
    """Files that the repository does not have in this version, by sha256 or, for small ones, by git's digest."""
    there = {
        entry.path: entry.lfs.sha256 if entry.lfs is not None else entry.blob_id
        for entry in api.list_repo_tree(repo_id=repo, recursive=True, revision=revision)
        if hasattr(entry, "blob_id")
    }
    return [item for item in items if there.get(item.name) not in (item.sha256, _git_digest(item, there))]


def _git_digest(item: Item, there: dict[str, str]) -> str:
    """Git's digest of a file's content; "" where nothing can be compared with it, or it is too large to be a blob."""
    if len(there.get(item.name, "")) != 40 or item.num_bytes > _LARGEST_BLOB:
        return ""
    content = item.path.read_bytes() if item.content is None else item.content
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _commit(api: Any, repo: str, revision: str | None, items: list[Item], message: str) -> str:
    """One commit with all of `items`; large files that an earlier try has sent are not sent again."""
    from huggingface_hub import CommitOperationAdd

    made = api.create_commit(
        repo_id=repo,
        operations=[
            CommitOperationAdd(path_in_repo=item.name, path_or_fileobj=item.content or item.path) for item in items
        ],
        commit_message=message,
        revision=revision,
    )
    return str(made.oid)

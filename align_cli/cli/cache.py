"""`align cache`: what align keeps to use again, and how to get rid of it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from align_cli.cli import documents
from align_cli.cli.text import is_terminal
from align_cli.errors import AlignError, Problem, UsageError

app = typer.Typer(
    help="List and remove what is kept to be used again: mixtures, tokens, models, log-probabilities.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_Kind = Annotated[
    str | None,
    typer.Option("--kind", metavar="KIND", help="Only these: mixture, tokens, model, tokenizer or reference."),
]
_Digest = "The digest, or as much of its beginning as tells it from the others."
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def _digests(incomplete: str) -> list[str]:
    try:
        from align_cli.mix.store import store

        return [entry.digest[:16] for entry in store.entries() if entry.digest.startswith(incomplete)]
    except Exception:  # noqa: BLE001  a traceback in the middle of a command line helps nobody
        return []


@app.command("ls")
def list_entries(kind: _Kind = None, as_json: _Json = False) -> None:
    """List what is kept, newest first, and remains of killed builds."""
    from align_cli.files import cache_root
    from align_cli.mix.store import store

    found = _of_kind(store.entries(), kind)
    left = _of_kind(store.remains(), kind)
    view = {
        "cache": str(cache_root()),
        "bytes": sum(entry.bytes for entry in found),
        "entries": [entry.as_dict() for entry in found],
        "remains": {"count": len(left), "bytes": sum(one.bytes for one in left)},
    }
    if as_json:
        documents.write(view, sys.stdout)
        return
    from align_cli.cli import render

    render.cache(view, sys.stdout, now=time.time())


@app.command("show")
def show(
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help=_Digest, autocompletion=_digests)],
    as_json: _Json = False,
) -> None:
    """Print what one thing in the cache was made of."""
    from align_cli.mix.store import store

    entry = store.matching(digest)
    view: dict[str, Any] = entry.as_dict() | {"report": None}
    if entry.kind == "mixture":
        view["report"] = store.report_of(entry.folder)
    elif (entry.folder / "report.json").is_file():
        from align_cli.files import read_json

        view["report"] = read_json(entry.folder / "report.json")
    view["adapters"] = _adapters_on([entry])
    if as_json:
        documents.write(view, sys.stdout)
        return
    from align_cli.cli import render

    render.cache_entry(view, sys.stdout, now=time.time())


@app.command("rm")
def remove(
    digests: Annotated[
        list[str] | None, typer.Argument(metavar="DIGEST", help=_Digest, autocompletion=_digests)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that the other options leave.")] = False,
    kind: _Kind = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="With --all: made longer ago, e.g. 30d, 12h.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed with --all outside a terminal.")] = False,
    as_json: _Json = False,
) -> None:
    """Remove by digest, or --all; what is being built stays."""
    from align_cli.mix.store import store

    if bool(digests) is everything:
        raise UsageError("name digests, or give --all", hint="align cache ls lists the digests")
    if digests and (kind or older_than):
        raise UsageError("--kind and --older-than go with --all")
    if everything:
        before = time.time() - seconds(older_than) if older_than else None
        chosen = [one for one in _of_kind(store.entries(), kind) if before is None or one.made < before]
    else:
        chosen = _matching(digests or [])
    adapters = _adapters_on(chosen)  # known only while the folders are there
    if everything and not dry_run and not yes and chosen:
        _ask(chosen, adapters)
    gone, failed = [], []
    for entry in chosen:
        try:
            gone.append(entry if dry_run else store.remove(entry.digest))
        except AlignError as error:
            failed.append(Problem(error.message, entry.digest[:16], error.hint))
    left = store.sweep() if everything and not dry_run and not kind and not older_than else []
    freed = sum(entry.bytes for entry in gone) + sum(one.bytes for one in left)
    view = {
        "removed": [entry.as_dict() for entry in gone],
        "bytes": freed,
        "dry_run": dry_run,
        "adapters": [one for one in adapters if any(one["base"] == str(entry.folder) for entry in gone)],
    }
    if as_json:
        documents.write(view, sys.stdout)
    else:
        from align_cli.cli import render

        render.cache_removed(view, sys.stdout, now=time.time())
    if failed:
        raise UsageError("not everything was removed", problems=failed)


def seconds(age: str) -> float:
    """30d -> 2592000.0; m, h, d and w are minutes, hours, days and weeks.

    Raises:
        UsageError: it is no such age.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([mhdw])", age.strip().lower())
    if match is None:
        raise UsageError(f'"{age}" is no age', hint="write a number and m, h, d or w, e.g. 30d")
    return float(match[1]) * _UNITS[match[2]]


def _matching(digests: Sequence[str]) -> list[Any]:
    """The things that are meant, once each; all that mean nothing are said together."""
    from align_cli.mix.store import store

    found, problems = {}, []
    for digest in digests:
        try:
            entry = store.matching(digest)
            found[entry.kind, entry.digest] = entry
        except UsageError as error:
            problems.append(Problem(error.message, "", error.hint))
    if problems:
        raise UsageError("nothing was removed", problems=problems)
    return list(found.values())


def _of_kind(entries: Sequence[Any], kind: str | None) -> list[Any]:
    from align_cli.mix.store import store

    known = tuple(store.PARTS)
    wanted = kind.removesuffix("s") if kind and kind not in known else kind
    if wanted is not None and wanted not in known:
        raise UsageError(f'there is nothing of the kind "{kind}"', hint=f"one of {', '.join(known)}")
    return [entry for entry in entries if wanted in (None, entry.kind)]


def _adapters_on(entries: Sequence[Any]) -> list[dict[str, str]]:
    """Adapters of runs hereabouts that name one of these models' folders as their base."""
    from align_cli.files import read_json
    from align_cli.runs.reading import find

    folders = {entry.folder.resolve(): str(entry.folder) for entry in entries if entry.kind == "model"}
    found = []
    for run in find.below().runs if folders else ():
        try:
            named = Path(read_json(run / "adapter_config.json")["base_model_name_or_path"]).resolve()
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if named in folders:
            found.append({"adapter": str(run), "base": folders[named]})
    return found


def _ask(chosen: Sequence[Any], adapters: Sequence[Any]) -> None:
    """Let a person at a terminal say yes; anybody else has to say so on the command line."""
    from align_cli.cli.size import bytes_as_text

    number, size = len(chosen), sum(entry.bytes for entry in chosen)
    what = f"{number} thing{'' if number == 1 else 's'} of {bytes_as_text(size)}"
    if not is_terminal(sys.stdin) or not is_terminal(sys.stderr):
        raise UsageError(f"this would remove {what}", hint="--yes removes them, --dry-run lists them")
    if adapters:
        sys.stderr.write(f"Adapters stand on it: {', '.join(one['adapter'] for one in adapters)}\n")
    sys.stderr.write(f"Remove {what}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was removed")

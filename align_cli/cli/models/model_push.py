"""`align model push`: a finished run's model and card on the Hub, after the fact."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from align_cli.cli import documents
from align_cli.errors import UsageError


def _names(incomplete: str) -> list[str]:
    try:
        from align_cli.runs.reading import find, summary

        return [name for run in find.below().runs if (name := summary.shown(run)).startswith(incomplete)]
    except Exception:  # noqa: BLE001  a traceback in the middle of a command line helps nobody
        return []


def register(app: typer.Typer) -> None:
    """Add the command to `align model`."""

    @app.command("push")
    def push(
        run: Annotated[
            str,
            typer.Argument(metavar="RUN", help="A finished run: its folder, or its name.", autocompletion=_names),
        ],
        repo: Annotated[
            str | None,
            typer.Argument(
                metavar="REPO", help="e.g. you/your-model; without it hub_model_id, else the folder's name."
            ),
        ] = None,
        revision: Annotated[
            str | None, typer.Option("--revision", metavar="BRANCH", help="Branch; without it hub_revision, else main.")
        ] = None,
        public: Annotated[bool, typer.Option("--public", help="Let everybody read a new repository.")] = False,
        private: Annotated[
            bool, typer.Option("--private", help="Let nobody else read it: so it is, unless hub_private_repo is false.")
        ] = False,
        as_is: Annotated[bool, typer.Option("--as-is", help="Push files that were changed after training.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    ) -> None:
        """Push a finished run to the Hub.

        Its model and card; what is there already is not sent again.
        """
        if public and private:
            raise UsageError("--public and --private contradict each other", hint="keep one of them")
        view = _push(run, repo, revision, public=public if public or private else None, as_is=as_is)
        if as_json:
            documents.write(view, sys.stdout)
            return
        from align_cli.cli import render

        render.published(view, sys.stdout)


def _push(run: str, repo: str | None, revision: str | None, *, public: bool | None, as_is: bool) -> dict[str, Any]:
    from align_cli.cli.errors import without_secrets
    from align_cli.cli.text import is_terminal
    from align_cli.runs.push import publish
    from align_cli.runs.reading import find
    from align_cli.runs.reading.record import Record

    def say(line: str) -> None:
        sys.stderr.write(without_secrets(line) + "\n")
        sys.stderr.flush()

    if repo is not None and not repo.strip():
        raise UsageError("the name of the repository is empty", hint="leave it out, or write you/your-model")
    path: Path = find.named(run)
    record = Record(path)
    publish.demand_finished(record)
    wish = publish.wish_of(record.recipe) if record.recipe else publish.Wish("", None, True)
    wish = publish.Wish(
        repo=repo or wish.repo,
        revision=revision or wish.revision,
        is_private=wish.is_private if public is None else not public,
    )
    done = publish.publish(path, wish, say=say, check_files=not as_is, show_bars=is_terminal(sys.stderr))
    return {"run": str(path), **done._asdict()}

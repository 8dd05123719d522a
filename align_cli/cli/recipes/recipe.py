"""`align recipe`: list, show, copy, check and migrate recipes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from glob import glob
from pathlib import Path
from typing import Annotated, Any

import typer

from align_cli import registry
from align_cli.cli import complete, documents
from align_cli.cli.recipes import task as task_command
from align_cli.errors import AlignError, Problem, RecipeError, UsageError

app = typer.Typer(
    help="List, show, copy, check and migrate recipes.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_Task = Annotated[
    str | None,
    typer.Option("--task", help="The task, where path and keys do not tell.", autocompletion=complete.tasks),
]
_Recipe = Annotated[str, typer.Argument(metavar="RECIPE", help="File or name.", autocompletion=complete.recipes)]
_SUFFIXES = (".yaml", ".yml")


@app.command("ls")
def list_recipes(as_json: _Json = False) -> None:
    """List the recipes that come with align."""
    from align_cli.recipe import shipped

    rows = [_described(name, shipped.find(name)) for name in shipped.names()]
    if as_json:
        documents.write(rows, sys.stdout)
        return
    from align_cli.cli import render

    render.recipes(rows)


@app.command("show", context_settings={"ignore_unknown_options": True})
def show(
    recipe: _Recipe,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides.", autocompletion=complete.words)
    ] = None,
    task: _Task = None,
    profile: Annotated[str | None, typer.Option("--profile", help="As profile=NAME in the recipe.")] = None,
    as_json: _Json = False,
) -> None:
    """Print a recipe resolved, with the origin of every value."""
    from align_cli.cli.training import dry_run
    from align_cli.launch import block
    from align_cli.recipe import load

    chosen = task_command.get(task or task_of(recipe))
    resolved = block.settled(load.load([recipe, *(words or [])], chosen, profile=profile))
    if as_json:
        from align_cli.recipe.decode import encode

        document = encode(resolved) | {"values": dry_run.values(resolved)}
        documents.write(document, sys.stdout)
        return
    from align_cli.cli.recipes import recipe_text

    sys.stdout.write(recipe_text.resolved(resolved))
    for note in resolved.notes:
        sys.stderr.write(f"note: {note}\n")


@app.command("cp")
def copy(
    recipe: _Recipe,
    to: Annotated[str | None, typer.Argument(metavar="TO", help="File or folder to write; empty: here.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Copy a recipe to edit it."""
    from align_cli.files import write_text

    source = _file_of(recipe)
    target = Path(to) if to else Path(source.name)
    if target.is_dir() or (to or "").endswith("/"):
        target = target / source.name
    if target.exists() and not force:
        raise UsageError(f"{target} exists", hint="--force replaces it, or name another file")
    try:
        write_text(target, source.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None
    sys.stdout.write(f"{target}\n")
    sys.stderr.write(f"next: edit it, then align train {task_of(str(source), fallback='sft')} {target} --dry-run\n")


@app.command("check")
def check(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE", help="Files, folders, names, or globs in quotes.", autocompletion=complete.recipes
        ),
    ],
    task: _Task = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="List only the recipes with problems.")] = False,
    as_json: _Json = False,
) -> None:
    """Check many recipes: exit code 2 if any has a problem."""
    from align_cli.recipe import shipped

    paths = _expanded(recipes, shipped.names())
    rows = [_checked(path, task) for path in paths]
    if as_json:
        documents.write(rows, sys.stdout)
    else:
        from align_cli.cli import render

        _write_problems(rows)
        render.checked(rows, quiet=quiet)
    if any(row["problems"] for row in rows):
        raise typer.Exit(UsageError.exit_code)


@app.command("migrate")
def migrate(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="The file.", autocompletion=complete.recipes)],
    task: _Task = None,
    write: Annotated[bool, typer.Option("--write", "-w", help="Rewrite the file instead of printing it.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print only what changes.")] = False,
) -> None:
    """Rewrite an old recipe in today's words; comments and order stay."""
    from align_cli.files import write_text
    from align_cli.recipe import migrate as migration

    path = _file_of(recipe)
    text = path.read_text(encoding="utf-8-sig")
    chosen = task_command.get(task or task_of(str(path)))
    try:
        new, notes = migration.migrate(text, chosen)
    except RecipeError as error:  # it was given text and does not know the file's name
        named = [replace(problem, where=problem.where.replace("recipe", str(path), 1)) for problem in error.problems]
        raise RecipeError(f"{path}: {error.message}", hint=error.hint, problems=named) from None
    for note in notes:
        sys.stderr.write(f"note: {replace(note, where=note.where.replace('recipe', str(path), 1))}\n")
    if diff:
        from difflib import unified_diff

        lines = unified_diff(text.splitlines(True), new.splitlines(True), str(path), f"{path} (migrated)")
        sys.stdout.write("".join(lines))
    elif not write:
        sys.stdout.write(new)
    if write and new != text:
        write_text(path, new)
        sys.stderr.write(f"{path}: rewritten\n")
    elif write:
        sys.stderr.write(f"{path}: nothing to change\n")


def task_of(recipe: str, *, fallback: str | None = None) -> str:
    """The task a recipe is for, from its path and keys.

    Raises:
        UsageError: neither tells, or there is no such recipe.
    """
    from align_cli.recipe import infer, provenance, shipped

    path = shipped.find(recipe) or Path(recipe)
    heads = _heads_of(path)
    plugins = registry.plugins(registry.TASKS)
    name = infer.task_of(str(path), heads, plugins) or infer.task_of(heads.get("extends", ""), (), plugins) or fallback
    if name is None:
        if recipe and not path.is_file():
            provenance.read(path, recipe)  # says that there is none, or what is there instead
        names = ", ".join(registry.names(registry.TASKS))
        raise UsageError(f"neither path nor keys tell which task {recipe} is for", hint=f"add --task, one of {names}")
    return name


def _heads_of(path: Path) -> dict[str, str]:
    """The keys at the top of a file and what follows them, unparsed: enough to tell the task of a broken file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    heads = (line.partition(":") for line in lines if line[:1].isalpha() or line[:1] == "_")
    return {head.strip(): rest.strip(" \"'") for head, colon, rest in heads if colon}


def _file_of(recipe: str) -> Path:
    """The file a name or path means.

    Raises:
        UsageError: there is none; near names are suggested.
    """
    from align_cli.recipe import shipped

    path = Path(recipe) if Path(recipe).is_file() else shipped.find(recipe)
    if path is None:
        problem = "is a folder" if Path(recipe).is_dir() else "there is no such recipe"
        near = get_close_matches(recipe, shipped.names(), n=1)
        raise UsageError(
            f"{recipe}: {problem}", hint=f"did you mean {near[0]}?" if near else "align recipe ls lists them"
        )
    return path


def _expanded(words: Sequence[str], shipped_names: Sequence[str]) -> list[str]:
    """Files for folders, globs and names, in order and once each; what matches nothing is an error."""
    found: dict[str, None] = {}
    empty = []
    for word in words:
        path = Path(word)
        if path.is_dir():
            members = sorted(str(file) for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
        elif path.exists() or word.removesuffix(".yaml") in shipped_names:
            members = [word]
        else:
            members = sorted(name for name in glob(word, recursive=True) if Path(name).is_file())
        if not members:
            empty.append(Problem("matches no recipe", word))
        found.update(dict.fromkeys(members))
    if empty:
        raise UsageError(
            "there is nothing to check under these names", problems=empty, hint="align recipe ls lists names"
        )
    return list(found)


def _checked(path: str, task: str | None) -> dict[str, Any]:
    from align_cli.launch import block
    from align_cli.recipe import load

    row: dict[str, Any] = {"path": path, "task": task, "profile": None, "problems": [], "notes": []}
    try:
        row["task"] = task or task_of(path)
        recipe = block.settled(load.load([path], task_command.get(row["task"])))
    except AlignError as error:
        problems = error.problems or (Problem(error.message, "", error.hint),)
        row["problems"] = [{"where": item.where, "message": item.message, "hint": item.hint} for item in problems]
        return row
    row["profile"] = recipe.profile
    row["notes"] = [{"where": note.where, "key": note.key, "message": note.message} for note in recipe.notes]
    return row


def _write_problems(rows: Sequence[dict[str, Any]]) -> None:
    """Problems on stderr, each in the form `file:line: message` that editors and CI understand."""
    from align_cli.cli.errors import problem_lines

    for row in rows:
        for item in row["problems"]:
            problem = Problem(item["message"], item["where"] or row["path"], item["hint"])
            sys.stderr.write("\n".join(problem_lines(problem, sys.stderr, indent="")) + "\n")
    sys.stderr.flush()


def _described(name: str, path: Path | None) -> dict[str, str]:
    """Name, task and the first comment line of a shipped recipe."""
    text = path.read_text(encoding="utf-8") if path else ""
    comment = next((line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("#")), "")
    parts = name.split("/")
    return {"name": name, "task": parts[-2] if len(parts) > 1 else "", "summary": comment, "path": str(path or "")}

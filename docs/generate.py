"""Write docs/reference/ from the code: `nox -s docs`; with --check, say what would change and exit 1.

Only facts are taken from upstream (names, types, defaults); what a key does in upstream's words is one command away.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import typer
import yaml

from align_cli import errors, registry
from align_cli.cli.app import COMMANDS
from align_cli.cli.evals.steps import STEPS
from align_cli.recipe import profiles
from align_cli.recipe.fields import Field, fields_of, groups

REFERENCE = Path(__file__).parent / "reference"
WRITTEN_BY = "<!-- Written by docs/generate.py; change the code instead. -->\n"


def main(words: list[str]) -> int:
    """Write the pages that differ, or with --check only name them; returns the exit code."""
    stale = [name for name, page in PAGES.items() if _read(REFERENCE / name) != WRITTEN_BY + page()]
    if "--check" in words:
        for name in stale:
            sys.stderr.write(f"docs/reference/{name} is stale; write it anew: nox -s docs\n")
        return 1 if stale else 0
    for name in stale:
        (REFERENCE / name).write_text(WRITTEN_BY + PAGES[name](), encoding="utf-8")
        sys.stderr.write(f"wrote docs/reference/{name}\n")
    return 0


#: The benchmark whose commands stand for those of all.
_SHOWN = "mtbench"


def commands_page() -> str:
    """Help texts, from running the commands."""
    same = f"`align eval {_SHOWN}` stands for every benchmark of `align eval ls`: steps and options are the same."
    parts = [f"# Commands\n\nEvery command's own help, as it prints it.\n{same}\n"]
    parts += [f"## {' '.join(('align', *words))}\n\n```text\n{_help(words)}```\n" for words in _commands()]
    return "\n".join(parts)


def keys_page() -> str:
    """Upstream's keys with type and default; our own with their documentation."""
    task = registry.get(registry.TASKS, "sft")
    fields = fields_of(task.configs)
    parts = [
        "# Keys of a recipe\n",
        f"A recipe for `align train sft` may set the {len(fields)} keys below, and the blocks at the end.\n"
        f"They are those of trl {version('trl')} and transformers {version('transformers')}; "
        "align reads them from whatever is installed.\n"
        "`align task show sft KEY` prints what a key does.\n",
    ]
    for group in groups():
        members = sorted((field for field in fields.values() if field.group == group), key=lambda field: field.name)
        if members:
            parts.append(f"## {group}\n\n{_table(('key', 'type', 'default'), map(_field_row, members))}")
    parts += [_further_keys(name, set(fields)) for name in registry.built_in(registry.TASKS) if name != "sft"]
    parts.append("# Keys of align's own\n")
    for heading, config in OWN.items():
        rows = ((f"`{f.name}`", _code(f.annotation), _default(f), f.help) for f in fields_of([config]).values())
        parts.append(f"## {heading}\n\n{_table(('key', 'type', 'default', 'meaning'), rows)}")
    return "\n".join(parts)


def _further_keys(name: str, known: set[str]) -> str:
    """The keys that a task has beyond those of sft, and what their values mean where each has a line."""
    task = registry.get(registry.TASKS, name)
    further = [
        field for field in fields_of(task.configs).values() if field.name not in known or task.values(field.name)
    ]
    lacking = sorted(known - set(fields_of(task.configs)))
    parts = [f"# Keys of `{name}`\n"]
    if not further and not lacking:
        return "\n".join([*parts, "The keys of `sft`.\n"])
    if further:
        parts.append(_table(("key", "type", "default"), map(_field_row, further)))
    if lacking:
        parts.append(f"Of those of `sft` it does not have {', '.join(f'`{key}`' for key in lacking)}.\n")
    for field in further:
        if meanings := task.values(field.name):
            rows = ((f"`{value}`", meanings.get(value, "")) for value in field.choices)
            parts.append(f"## `{field.name}` of {name}\n\n{_table(('value', 'meaning'), rows)}")
    return "\n".join(parts)


def exit_codes_page() -> str:
    """The table of errors.py, with the error types that carry each code."""
    raised: dict[int, list[str]] = {}
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.AlignError):
            raised.setdefault(value.exit_code, []).append(f"`{name}`")
    rows = ((str(code), text, ", ".join(raised.get(code, []))) for code, text in errors.EXIT_CODES.items())
    return (
        "# Exit codes\n\n"
        f"{_table(('code', 'meaning', 'error types'), rows)}\n"
        "With `--json` an error is one JSON document on stderr:\n"
        "`type`, `message`, `problems` (each with `where`, `message`, `hint`), `hint`, `exit_code`.\n"
    )


def renames_page() -> str:
    """renames.toml and words.toml as tables."""
    document = _toml("renames.toml")
    rows = ((f"`{entry['old']}`", _today(entry)) for entry in sorted(document["rename"], key=lambda e: e["old"]))
    values = (
        (f"`{entry['key']}`", _code(entry["from"]), _code(entry["to"]) if "to" in entry else "unchanged", entry["note"])
        for entry in document["value"]
    )
    words = (
        (f"`{word}`", ", ".join(f"`{key}`" for key in keys)) for word, keys in _toml("words.toml")["words"].items()
    )
    return (
        "# Old and foreign words\n\n"
        "Words of earlier recipes are accepted and translated, with one note each.\n"
        "A word is left alone where the installed trainer still has it.\n\n"
        f"{_table(('word', 'today'), rows)}\n"
        "## Values\n\n"
        f"{_table(('key', 'value', 'today', 'why'), values)}\n"
        "## Words of other tools\n\n"
        "These are never accepted, because they often mean something slightly different; "
        "the error suggests the key.\n\n"
        f"{_table(('word', 'suggested'), words)}"
    )


def profiles_page() -> str:
    """What each profile's file holds."""
    parts = ["# Profiles\n\n[Why they exist, and how one is chosen](../explanation/profiles.md)\n"]
    for name in profiles.names():
        document = _toml(f"profiles/{name}.toml")
        parts.append(f"## {name}\n\n{profiles.summary(name)}\n")
        rows = [
            (task, kind.removesuffix("s"), f"`{key}`", _code(_value(value)))
            for task, block in document.items()
            if isinstance(block, dict)
            for kind, values in block.items()
            for key, value in values.items()
        ]
        if rows:
            parts.append(_table(("task", "kind", "name", "value"), rows))
    parts.append(
        "A *default* is a key's value where the recipe is silent; a *behaviour* has no key; "
        "`@named` means `runs/` and the recipe's name, `@KEY` only where the recipe sets that key.\n"
    )
    return "\n".join(parts)


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "exit-codes.md": exit_codes_page,
    "keys.md": keys_page,
    "profiles.md": profiles_page,
    "renames.md": renames_page,
}

OWN = {
    "Flat keys": "align_cli.recipe.schema:AlignFields",
    "Flat keys of `dpo` and `kto`": "align_cli.recipe.schema:ReferenceFields",
    "`mixture:`": "align_cli.recipe.schema:Mixture",
    "An entry of `mixture.sources` or `mixture.eval`": "align_cli.recipe.schema:Source",
    "`mixture.clean:`": "align_cli.recipe.schema:Clean",
    "`launch:`": "align_cli.recipe.schema:Launch",
}


def _commands() -> Iterator[tuple[str, ...]]:
    yield ()
    for name, (module, _) in COMMANDS.items():
        yield (name,)
        command = typer.main.get_command(import_module(module).app)
        for below, inner in getattr(command, "commands", {}).items():
            if not inner.hidden:
                yield (name, below)
        if name == "eval":
            yield from _evaluations(name)


def _evaluations(name: str) -> Iterator[tuple[str, ...]]:
    """The arena's commands; one benchmark and its steps, which are the same for each."""
    from align_cli.cli.evals.arena import app

    yield (name, "arena")
    yield from ((name, "arena", below) for below in getattr(typer.main.get_command(app), "commands", {}))
    yield (name, _SHOWN)
    yield from ((name, _SHOWN, step) for step in STEPS)


def _help(words: tuple[str, ...]) -> str:
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    argv = [sys.executable, "-m", "align_cli", *words, "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines()) + "\n"


def _today(entry: dict[str, Any]) -> str:
    """What one entry of renames.toml makes of its word."""
    if "ignore" in entry:
        return f"ignored: {entry['ignore']}"
    if "special" in entry:
        return SPECIAL[entry["special"]]
    if "env" in entry:
        return f"environment variable `{entry['env']}`"
    if "into" in entry:
        return f"inside `{entry['into']}`"
    values = entry.get("values", {}).items()
    changed = ", ".join(f"`{old}` → {'left out' if new == '@drop' else _code(new)}" for old, new in values)
    return f"`{entry['new']}`" + (f"; {changed}" if changed else "")


#: The words whose translation is code, not a table.
SPECIAL = {
    "rpo_alpha": "`loss_type: [sigmoid, sft]` with `loss_weights`",
    "reference_free": "an error where it is true in a task with a reference model, else ignored",
    "warmup_ratio": "`warmup_steps`, where a number below 1 is a share of all steps",
}


def _field_row(field: Field) -> tuple[str, str, str]:
    kind = " · ".join(f"`{choice}`" for choice in field.choices) if field.choices else _code(field.annotation)
    return f"`{field.name}`", kind, _default(field)


def _default(field: Field) -> str:
    if field.static:
        return _code(_value(field.default))
    return "required" if field.name == "path" else "(computed)"


def _value(value: object) -> str:
    """`value` as it would be written in a recipe, without quotes that only YAML needs."""
    text = str(yaml.safe_dump(value, default_flow_style=True, width=10_000))
    return text.removesuffix("\n").removesuffix("\n...").strip("'")


def _code(text: object) -> str:
    return f"`{text}`" if str(text) else "(empty)"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((files("align_cli.recipe") / name).read_text(encoding="utf-8"))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

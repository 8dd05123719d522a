"""From the words of a command line to one resolved recipe, or to everything that is wrong with it.

Order: split the words; read the file and what it extends, translating old words in each; lay the overrides on top;
resolve interpolations; bring the data into one form; type every value by its field; add what the profile restores;
check fields against each other. Problems are collected on the way and raised together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from align_cli.errors import Problem, RecipeError
from align_cli.recipe import blocks, checks, mixtures, paths, profiles, provenance, renames, secrets
from align_cli.recipe.decode import WrongType, typed
from align_cli.recipe.fields import Field, fields_of
from align_cli.recipe.layers import Stack, read_stack
from align_cli.recipe.overrides import near_launch_option, split_words, whose
from align_cli.recipe.provenance import Key, dotted
from align_cli.recipe.schema import Clean, Launch, Mixture, Note, Origin, Recipe, Source, Subject

#: Top-level words that are neither fields nor data.
BLOCKS = frozenset({"mixture", "launch", "extends", "profile", "env"})


def load(words: Sequence[str], task: Subject, *, profile: str | None = None) -> Recipe:
    """The recipe that `words` describe: a path or shipped name, and overrides in any spelling.

    `profile` wins over the recipe's own `profile:` and over the one that its keys imply.

    Raises:
        RecipeError: with every problem that was found.
    """
    fields = fields_of(task.configs)
    return _Loader(task, fields).load(words, profile)


def known_words(fields: Mapping[str, Field]) -> frozenset[str]:
    """Every top-level word that is understood, old ones included."""
    return frozenset(fields) | BLOCKS | mixtures.DATA_KEYS | frozenset(renames.table())


class _Loader:
    def __init__(self, task: Subject, fields: Mapping[str, Field]) -> None:
        self.task, self.fields = task, fields
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self.unread: set[str] = set()
        """Keys whose value is wrong; rules across keys leave them alone."""

    def load(self, words: Sequence[str], profile: str | None) -> Recipe:
        split = split_words(words, self.fields, known_words(self.fields) - set(self.fields))
        self.problems += split.problems
        typed = [item.words for item in split.overrides]
        stack = read_stack(split.recipe, split.overrides, self.fields, self.task.name)
        self.problems += stack.problems
        self.notes += [Note(*note) for note in stack.notes]
        if split.recipe is not None and stack.unreadable:
            raise _error(split.recipe, self.problems, (), typed)  # what the rest would lack is no news
        defaults = {name: field.default for name, field in self.fields.items() if field.static}
        failed = _interpolate(stack, defaults, self.problems)
        self.unread |= {"mixture" if word in mixtures.DATA_KEYS else word for word in failed}

        hidden = self._take_secrets(stack)
        chosen = self._profile(stack, profile)
        mixture, launch, said_of_cleaning = self._blocks(stack)
        values = self._values(stack)
        origins = {key: stack.origin((key,)) for key in values}
        self._origins_of_blocks(stack, mixture, launch, origins)

        said: list[Note] = []
        name = Path(split.recipe or "").stem
        restored = profiles.apply(chosen, self.task.name, values, mixture, said, name)
        self.notes += [Note(note.key, note.message, stack.where((note.key,))) for note in said]
        from_profile = Origin("profile", f"profile {chosen}")
        for key, value in restored.values.items():
            if key in self.fields:
                values[key] = value
                origins[key] = from_profile
        cleaning = {word: value for word, value in restored.clean.items() if word not in said_of_cleaning}
        if cleaning and mixture.sources:
            mixture = replace(mixture, clean=replace(mixture.clean, **cleaning))
            origins.update({f"mixture.clean.{word}": from_profile for word in cleaning})
            self.notes += [Note(f"mixture.clean.{word}", profiles.NOTES_OF_CLEANING[word]) for word in cleaning]
        recipe = Recipe(
            task=self.task.name,
            path=split.recipe or "",
            text=secrets.scrub(stack.text, hidden),
            overrides=tuple(secrets.scrub(str(item), hidden) for item in split.overrides),
            values=values,
            defaults=defaults,
            mixture=mixture,
            launch=launch,
            profile=chosen,
            behaviours=restored.behaviours,
            env=stack.env,
            origins={key: _scrubbed(origin, hidden) for key, origin in origins.items()},
            notes=(),
        )
        found, more = checks.check(recipe, self.fields, self.unread)
        self.problems += [*found, *self.task.check(recipe)]
        self.notes += more
        if self.problems:
            raise _error(split.recipe, self.problems, hidden, typed)
        return _with_notes(recipe, self.notes, hidden)

    def _take_secrets(self, stack: Stack) -> tuple[str, ...]:
        """Move tokens from the tree into the environment mapping, and list what must not be shown."""
        hidden = [value for name, value in stack.env.items() if secrets.is_secret(name)]
        for key, name in secrets.SECRET_KEYS.items():
            value = stack.tree.pop(key, None)
            if value is not None:
                where = str(stack.origin((key,)))
                stack.env[name] = str(value)
                hidden.append(str(value))
                self.notes.append(Note(key, f"{key} is kept out of every file; it is passed on as {name}", where))
        return tuple(hidden)

    def _profile(self, stack: Stack, asked: str | None) -> str:
        named = stack.tree.get("profile")
        for name, where in ((asked, "--profile"), (named, stack.where(("profile",)))):
            if name is not None and name not in profiles.names():
                hint = f"known: {', '.join(profiles.names())}"
                self.problems.append(Problem(f'there is no profile "{name}"', where, hint))
                return profiles.infer(stack.tree, stack.old)
        if asked or named:
            return str(asked or named)
        return profiles.infer(stack.tree, stack.old)

    def _blocks(self, stack: Stack) -> tuple[Mixture, Launch, frozenset[str]]:
        """The blocks, and the words of `mixture.clean` that somebody has decided."""
        data = mixtures.translate(stack.tree, self.task.name, stack.where)
        self.problems += data.problems
        if data.problems:
            self.unread.add("mixture")
        self.notes += [Note(dotted(key), message, stack.where(key)) for key, message in data.notes]
        stack.rename(data.came_from)
        tree = data.tree
        if stack.after:
            tree = stack.override_mixture(tree, self.problems)
        mixture = Mixture()
        if tree is not None and not (data.problems and isinstance(tree, dict) and not tree.get("sources")):
            mixture, found = blocks.mixture(tree, stack.where, self.fields)
            self.problems += found
            if found:
                self.unread.add("mixture")
            mixture = paths.of_sources(mixture, stack.folder)
        launch, found, unread = blocks.launch(stack.tree.get("launch"), stack.where, self.fields)
        self.problems += found
        self.unread |= {f"launch.{word}" for word in unread}
        clean = tree.get("clean") if isinstance(tree, dict) else None
        said = [word for word, value in clean.items() if value is not None] if isinstance(clean, dict) else []
        return mixture, launch, frozenset(map(str, said))

    def _values(self, stack: Stack) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in stack.tree.items():
            if key in BLOCKS or key in mixtures.DATA_KEYS:
                continue
            field = self.fields.get(key)
            if field is None:
                self.unread.update(renames.meant(str(key), self.fields))
                self.problems.append(self._unknown(str(key), value, stack))
                continue
            try:
                values[key] = typed(field, value, stack.texts.get((key,)))
            except WrongType as error:
                if value is None:
                    said = f"{key}: null leaves it at its default"
                    self.notes.append(Note(key, said, stack.where((key,))))
                    continue
                self.unread.add(key)
                self.problems.append(Problem(f"{key}: expected {error}", stack.where((key,))))
        return paths.of_values(values, stack.folder)

    def _unknown(self, key: str, value: Any, stack: Stack) -> Problem:
        known = (frozenset(self.fields) | BLOCKS | mixtures.DATA_KEYS) - {"profile"}
        words = renames.meant(key, self.fields)
        if any(word.startswith("ref_model") for word in (key, *words)) and "ref_model_name_or_path" not in known:
            hint = f"{self.task.name} has no reference model"
        else:
            hint = renames.suggestion(key, known)
        if isinstance(value, dict) and any(word in self.fields for word in value):
            return Problem(
                f"unknown block {key}", stack.where((key,)), "a recipe is flat: keys stand at the left margin"
            )
        if not hint and key in Clean.__slots__:
            hint = f"{key} belongs inside mixture: clean:"
        if not hint:
            for block in ("mixture", "launch"):
                if key in blocks.block_keys(block):
                    hint = f"{key} belongs inside {block}:"
        if not hint and stack.where((key,)).startswith("--"):
            hint = near_launch_option(key)
        if not hint:
            hint = _other_tasks(key, self.task.name)
        return Problem(
            f"unknown key {key}", stack.where((key,)), hint or f"align task show {self.task.name} lists them"
        )

    def _origins_of_blocks(self, stack: Stack, mixture: Mixture, launch: Launch, origins: dict[str, Origin]) -> None:
        for role, sources in (("sources", mixture.sources), ("eval", mixture.eval)):
            for index, source in enumerate(sources):
                for name in _given(source, Source(path="")):
                    key: Key = ("mixture", role, index, name)
                    origins[dotted(key)] = stack.origin(key)
        for name in _given(mixture, Mixture()):
            if name not in ("sources", "eval", "clean"):
                origins[f"mixture.{name}"] = stack.origin(("mixture", name))
        for name in _given(mixture.clean, Clean()):
            origins[f"mixture.clean.{name}"] = stack.origin(("mixture", "clean", name))
        block = stack.tree.get("launch")
        for name, value in block.items() if isinstance(block, dict) else ():
            if name in Launch.__slots__ and value is not None:  # also where it says the default: it wins over a preset
                origins[f"launch.{name}"] = stack.origin(("launch", name))


def _given(value: Any, default: Any) -> list[str]:
    return [name for name in value.__slots__ if getattr(value, name) != getattr(default, name)]


_VARIABLE = re.compile(r"\$\{\s*(?:oc\.env:|env\.)\s*([A-Za-z_]\w*)")


def _secret_in(key: Key, stack: Stack) -> str | None:
    """The secret variable that the value of `key` interpolates; None where it may (`env:`, tokens) or does not."""
    if key[0] == "env" or key[0] in secrets.SECRET_KEYS:
        return None
    value: Any = stack.tree
    for part in key:
        value = value[part]
    return next((name for name in _VARIABLE.findall(str(value)) if secrets.is_secret(name)), None)


def _interpolate(stack: Stack, defaults: Mapping[str, Any], problems: list[Problem]) -> set[str]:
    """Resolve `${…}` in place; it may name any key, chosen or not. What fails is left out of the tree and returned.

    OmegaConf is imported only if a recipe asks for it: it costs 0.1 s.
    """
    asking = [
        key
        for key, value in provenance.leaves(stack.tree)
        if isinstance(value, str) and "${" in value and key[0] not in _TEXTS
    ]
    if not asking:
        return set()
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    failed: set[str] = set()

    def fail(key: Key, error: Exception) -> None:
        failed.add(str(key[0]))
        said = _RAISED.sub("", str(error).splitlines()[0] if str(error) else type(error).__name__).strip('"')
        problems.append(Problem(f"{dotted(key)}: {said}", stack.where(key)))

    old = {word: stack.tree[key] for word, key in stack.aliases.items() if key in stack.tree}
    readable = {}
    for word, value in {**defaults, **old, **stack.tree}.items():
        try:
            if word not in _TEXTS:
                OmegaConf.create({word: value})
                readable[word] = value
        except (OmegaConfBaseException, ValueError) as error:
            fail((word,), error)
    config: Any = OmegaConf.create(readable)
    resolved: list[tuple[Key, Any]] = []
    for key in asking:
        if key[0] not in readable:
            continue
        if (name := _secret_in(key, stack)) is not None:
            # The value would go into the run's files, its model card and its trackers.
            failed.add(str(key[0]))
            said = f"{dotted(key)}: {name} looks like a secret, which is never written into a recipe's values"
            hint = f"leave it in the environment, or set env: {{{name}: ${{oc.env:{name}}}}}"
            problems.append(Problem(said, stack.where(key), hint))
            continue
        try:
            value = config
            for part in key:
                value = value[part]
            resolved.append((key, OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value))
        except (OmegaConfBaseException, KeyError, IndexError, TypeError, ValueError) as error:
            fail(key, error)
    for key, value in resolved:
        _put(stack, key, value)
    for word in failed:
        stack.tree.pop(word, None)
    return failed


def _put(stack: Stack, key: Key, value: Any) -> None:
    holder: Any = stack.tree
    for part in key[:-1]:
        holder = holder[part]
    holder[key[-1]] = value
    stack.texts.pop(key, None)
    if key[0] == "env" and len(key) == 2 and value is not None:
        stack.env[str(key[1])] = str(value)


#: What OmegaConf puts before the cause.
_RAISED = re.compile(r"^\w+ raised while resolving interpolation: ")
#: Long texts in which `${` is the author's own.
_TEXTS = frozenset({"chat_template"})


def _other_tasks(key: str, own: str) -> str:
    """`a key of dpo` for a key that another built-in task has; only looked up once something is wrong anyway."""
    from align_cli import registry
    from align_cli.errors import AlignError

    having = []
    for name in registry.built_in(registry.TASKS):
        if name == own:
            continue
        try:
            if key in fields_of(registry.get(registry.TASKS, name).configs):
                having.append(name)
        except (AlignError, ImportError, AttributeError):
            continue
    named = " and ".join(filter(None, (", ".join(having[:-1]), *having[-1:])))
    return f"a key of {named}, not of {own}" if having else ""


def _scrubbed(origin: Origin, hidden: tuple[str, ...]) -> Origin:
    return Origin(origin.kind, secrets.scrub(origin.place, hidden)) if hidden else origin


def _with_notes(recipe: Recipe, notes: list[Note], hidden: tuple[str, ...]) -> Recipe:
    unique = dict.fromkeys(
        Note(note.key, secrets.scrub(note.message, hidden), secrets.scrub(note.where, hidden)) for note in notes
    )
    return replace(recipe, notes=tuple(unique))


def _error(path: str | None, problems: Sequence[Problem], hidden: tuple[str, ...], typed: Sequence[str]) -> RecipeError:
    whom = whose(path, problems, typed)
    unique = dict.fromkeys(
        Problem(secrets.scrub(item.message, hidden), secrets.scrub(item.where, hidden), item.hint) for item in problems
    )
    ordered = sorted(unique, key=_order)
    count = f"{len(ordered)} problems" if len(ordered) > 1 else "a problem"
    return RecipeError(f"{whom} has {count}", problems=ordered)


def _order(problem: Problem) -> tuple[str, int]:
    file, _, line = problem.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else ("~" + problem.where, 0)

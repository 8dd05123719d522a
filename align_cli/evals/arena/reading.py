"""Battles from wherever they are: the arena's folder, its database, files of align's own and of other programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from align_cli.errors import UsageError
from align_cli.evals.arena import logs, store
from align_cli.evals.arena.battles import Battle
from align_cli.evals.arena.logs import Log

TWICE = "they were there twice"


def read(places: Sequence[Path]) -> Log:
    """The battles of all places together. One that stands in two of them counts once.

    Raises:
        UsageError: a place has no battles.
        DataError: one cannot be read.
    """
    found: dict[str, Battle] = {}
    left_out: Counter[str] = Counter()
    for place in places:
        log = _read(place)
        left_out.update(log.left_out)
        for battle in log.battles:
            there = found.get(battle.id)
            if there == battle:
                left_out[TWICE] += 1
            elif there is None:
                found[battle.id] = battle
            else:  # other people's logs number their battles as they like
                name = f"{place}:{battle.id}"
                found[name] = replace(battle, id=name)
    return Log(battles=list(found.values()), left_out=dict(left_out))


def keep(path: Path, battles: Iterable[Battle]) -> int:
    """Add battles to the arena's database; how many of them were new.

    Raises:
        DataError: the file is none of the arena's, or has other battles with the same ids.
    """
    return store.add(path, battles)


def is_database(path: Path) -> bool:
    """Whether a path is, or will be, the arena's database."""
    return path.suffix == ".db"


def _read(place: Path) -> Log:
    if place.is_dir():
        if not (place / store.FILE).is_file():
            raise UsageError(f"{place}: this folder holds no {store.FILE}", hint="name the files of battles themselves")
        place = place / store.FILE
    if not place.is_file():
        raise UsageError(f"{place}: there is no such file")
    if is_database(place):
        return Log(battles=store.battles(place), left_out={})
    if place.suffix.lower() not in logs.SUFFIXES:
        raise UsageError(f"{place}: battles are in files named .db, {', '.join(logs.SUFFIXES)}")
    return logs.read(place)

"""What a run's own folder says of how its model was trained to be spoken to, so that it is served that way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from align_cli.files import read_json
from align_cli.recipe.decode import decode


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What the training data looked like around the user's words."""

    system: str | None = None
    """The system prompt that all of the run's data had from its recipe; None where there was none, or several."""
    inserts_empty_system: bool = False
    """Conversations without a system turn were trained with an empty one."""
    note: str = ""
    """What a person should know about it."""


def of_run(folder: Path) -> Served:
    """For a run's folder or one of its checkpoints; nothing is known of a folder that is no run's."""
    runs = [folder, *([folder.parent] if folder.name.startswith("checkpoint-") else [])]
    place = next((run / "align" / "recipe.json" for run in runs if (run / "align" / "recipe.json").is_file()), None)
    if place is None:
        return Served()
    try:
        recipe = decode(read_json(place))
    except (OSError, ValueError, KeyError, TypeError):
        return Served(note="the run's recipe cannot be read by this version: its system prompt is not known")
    prompts = {source.system for source in recipe.mixture.sources}
    inserts = bool(recipe.get("auto_insert_empty_system_msg"))
    if len(prompts) == 1:
        return Served(system=next(iter(prompts)), inserts_empty_system=inserts)
    note = "the run's sources had different system prompts: none is set (--system sets one)" if prompts else ""
    return Served(inserts_empty_system=inserts, note=note)

"""How the ancestors spelt their data, each turned into a tree for our own `mixture:` block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from align_cli.errors import Problem
from align_cli.recipe.provenance import Key
from align_cli.recipe.renames import shown

#: The columns that the Handbook of 2023 kept, by task.
_KEPT = {
    "sft": ["messages", "chosen", "rejected", "prompt", "completion", "label"],
    "dpo": ["messages", "chosen", "rejected", "prompt", "completion", "label"],
    "orpo": ["prompt", "chosen", "rejected"],
}


@dataclass(slots=True)
class Data:
    """A mixture tree, where its leaves were written, and what there is to say about it."""

    tree: Any = None
    came_from: dict[Key, Key] = field(default_factory=dict)
    notes: list[tuple[Key, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class Translator:
    """Fills `data` from the keys of one spelling."""

    def __init__(self, tree: Mapping[str, Any], task: str, where: Callable[[Key], str], data: Data) -> None:
        self.tree, self.task, self.where, self.data = tree, task, where, data

    def run(self, family: str) -> None:
        """Translate the spelling named `family`."""
        self.data.tree = {"sources": [], "eval": []}
        self.data.came_from[("mixture",)] = (family,)
        {
            "dataset_mixer": self._mixer,
            "dataset_mixture": self._mixture_of_2025,
            "datasets": self._datasets,
            "dataset_name": self._name,
        }[family]()
        if not self.data.tree["eval"]:
            del self.data.tree["eval"]

    # -- the Handbook of 2023 ------------------------------------------------------------------------------------

    def _mixer(self) -> None:
        mixer = self._mapping(("dataset_mixer",))
        splits = self._strings(("dataset_splits",)) or ["train", "test"]
        configs = self._list(("dataset_configs",))
        if configs and len(configs) != len(mixer):
            said = f"{len(configs)} dataset_configs for {len(mixer)} data sets of dataset_mixer"
            self._problem(("dataset_configs",), said, "give one for each, in the same order (null: none)")
            configs = []
        odd = [split for split in splits if "train" not in split and "test" not in split]
        for split in odd:
            said = f'dataset_splits: "{split}" is neither for training nor for testing'
            self._problem(("dataset_splits",), said, "its name must contain train or test; mixture: has no such rule")
        train = [split for split in splits if "train" in split]
        test = [split for split in splits if "test" in split and "train" not in split]
        for index, (name, fraction) in enumerate(mixer.items()):
            source: dict[str, Any] = {"path": str(name)}
            if configs and configs[index] is not None:
                source["config"] = str(configs[index])
            if self.task == "cpt":
                source["keep_columns"] = [str(self.tree.get("dataset_text_field") or "text")]
            elif self.task in _KEPT:
                source["keep_columns"] = list(_KEPT[self.task])
            written: Key = ("dataset_mixer", name)
            number = self._fraction(fraction, written, f"dataset_mixer: {name}")
            for split in train:
                self._add("sources", {**source, "split": split, "fraction": number}, written)
            for split in test:
                self._add("eval", {**source, "split": split}, written)
        if len(train) > 1 and len(mixer) > 1:
            self._note(
                ("dataset_splits",),
                f"{len(train)} training splits: every data set keeps its own fraction in each of them; the Handbook "
                "gave the fractions to the wrong splits and dropped some",
            )
        if not train:
            self._problem(("dataset_splits",), "no split to train on: no name contains train")
        self.data.tree.update(combine="handbook-2023", seed=42)

    # -- the Handbook of 2025 ------------------------------------------------------------------------------------

    def _mixture_of_2025(self) -> None:
        mixture = self._mapping(("dataset_mixture",))
        entries = mixture.get("datasets")
        if not isinstance(entries, list) or not entries:
            self._problem(("dataset_mixture", "datasets"), "dataset_mixture needs datasets: a list of entries")
            entries = []
        known = {"datasets", "seed", "test_split_size"}
        for word in set(mixture) - known:
            self._note(("dataset_mixture", word), f"dataset_mixture.{word} is ignored, as the Handbook ignored it")
        for index, entry in enumerate(entries):
            key: Key = ("dataset_mixture", "datasets", index)
            if not isinstance(entry, dict) or not entry.get("id"):
                self._problem(key, "an entry of dataset_mixture.datasets has no id", "id: the data set's name or path")
                continue
            for word in set(entry) - {"id", "config", "split", "columns", "weight"}:
                self._note((*key, word), f"{word} is ignored, as the Handbook ignored it")
            source: dict[str, Any] = {"path": str(entry["id"]), "split": str(entry.get("split") or "train")}
            if entry.get("config") is not None:
                source["config"] = str(entry["config"])
            if entry.get("columns"):
                source["keep_columns"] = list(entry["columns"])
            weight = entry.get("weight", 1.0)
            if weight is None:
                source["shuffle"] = False
            else:
                source["fraction"] = self._fraction(weight, (*key, "weight"), "weight")
                source["shuffle"] = True
            self._add("sources", source, key)
        self.data.tree.update(combine="handbook-2025", seed=_int(mixture.get("seed"), 0))
        self._held_out(mixture.get("test_split_size"), ("dataset_mixture", "test_split_size"))

    # -- trl -----------------------------------------------------------------------------------------------------

    def _datasets(self) -> None:
        entries = self._list(("datasets",))
        known = {"path", "name", "data_dir", "data_files", "split", "columns", "fraction"}
        for index, entry in enumerate(entries):
            key: Key = ("datasets", index)
            if isinstance(entry, str):
                entry = {"path": entry}
            if not isinstance(entry, dict) or not entry.get("path"):
                self._problem(key, "an entry of datasets has no path", "path: the data set's name or path")
                continue
            for word in sorted(set(entry) - known):
                hint = f"known: {', '.join(sorted(known))}"
                self._problem((*key, word), f"unknown key datasets.{index}.{word}", hint)
            source: dict[str, Any] = {"path": str(entry["path"]), "split": str(entry.get("split") or "train")}
            if entry.get("name") is not None:
                source["config"] = str(entry["name"])
            files = _files(entry.get("data_files"), source["split"])
            if entry.get("data_dir") is not None:
                files = [f"{entry['data_dir']}/{name}" for name in files or ["**"]]
            if files:
                source["data_files"] = files
            if entry.get("columns"):
                source["keep_columns"] = list(entry["columns"])
            if entry.get("fraction") is not None:
                source["fraction"] = self._number(entry["fraction"], (*key, "fraction"), "fraction")
            self._add("sources", source, key)
        given = [source.get("fraction") for source in self.data.tree["sources"]]
        if any(item is not None for item in given) and None in given:
            self._problem(("datasets",), "fraction is given for some data sets and not for others")
        positive = [item for item in given if item is not None]
        if positive and (min(positive) < 0 or sum(positive) <= 0):
            self._problem(("datasets",), "fractions must be positive numbers")
        if self.tree.get("streaming"):
            self._note(("streaming",), "streaming is ignored: rows are read in batches anyway, and kept in a store")
        seed = _int(self.tree.get("seed"), 42)
        self.data.tree.update(combine="trl", seed=seed)
        self._held_out(self.tree.get("test_split_size"), ("test_split_size",))
        if self.data.tree.get("held_out") is not None:
            self._note(
                ("test_split_size",),
                f"the test rows are drawn with seed {seed}: trl draws them anew in every process",
            )

    def _name(self) -> None:
        source: dict[str, Any] = {"path": str(self.tree["dataset_name"])}
        if self.tree.get("dataset_config") is not None:
            source["config"] = str(self.tree["dataset_config"])
        train = str(self.tree.get("dataset_train_split") or "train")
        self._add("sources", {**source, "split": train}, ("dataset_name",))
        if self.tree.get("eval_strategy") not in (None, False, "no"):
            test = str(self.tree.get("dataset_test_split") or "test")
            self._add("eval", {**source, "split": test}, ("dataset_name",))
        if self.tree.get("dataset_streaming"):
            said = "dataset_streaming is ignored: rows are read in batches anyway, and kept in a store"
            self._note(("dataset_streaming",), said)
        self.data.tree.update(combine="trl", seed=42)

    # -- parts ---------------------------------------------------------------------------------------------------

    def _add(self, role: str, source: dict[str, Any], written: Key) -> None:
        self.data.tree[role].append(source)
        index = len(self.data.tree[role]) - 1
        self.data.came_from[("mixture", role, index)] = written

    def _held_out(self, value: Any, written: Key) -> None:
        if value is None:
            return
        number = self._number(value, written, written[-1])
        self.data.tree["held_out"] = int(number) if number >= 1 and float(number).is_integer() else number
        self.data.came_from[("mixture", "held_out")] = written

    def _fraction(self, value: Any, written: Key, called: str) -> float:
        number = self._number(value, written, called)
        if not 0 <= number <= 1:
            said = f"{called} is {shown(value)}: a share of the data set's rows, from 0 to 1"
            self._problem(written, said, "no version of the Handbook repeats rows")
            return 1.0
        return number

    def _number(self, value: Any, written: Key, called: Any) -> float:
        try:
            if isinstance(value, bool):
                raise ValueError
            return float(value)
        except (TypeError, ValueError):
            self._problem(written, f"{called}: expected a number, not {shown(value)}")
            return 1.0

    def _mapping(self, key: Key) -> dict[Any, Any]:
        value = self.tree.get(str(key[0]))
        if isinstance(value, str) and key[0] == "dataset_mixer":
            return {value: 1.0}
        if isinstance(value, list) and key[0] == "dataset_mixer" and all(isinstance(item, str) for item in value):
            return dict.fromkeys(value, 1.0)
        if not isinstance(value, dict):
            self._problem(key, f"{key[0]} must be a mapping")
            return {}
        return value

    def _list(self, key: Key) -> list[Any]:
        value = self.tree.get(str(key[0]))
        if value is None:
            return []
        if isinstance(value, str):
            return [None if part.strip() in {"null", "None", ""} else part.strip() for part in value.split(",")]
        if not isinstance(value, list):
            self._problem(key, f"{key[0]} must be a list")
            return []
        return value

    def _strings(self, key: Key) -> list[str]:
        return [str(item) for item in self._list(key)]

    def _note(self, key: Key, message: str) -> None:
        self.data.notes.append((key, message))

    def _problem(self, key: Key, message: str, hint: str = "") -> None:
        self.data.problems.append(Problem(message, self.where(key), hint))


def _files(value: Any, split: str) -> list[str]:
    """`data_files` as trl takes it: a name, a list, or a mapping from split to either."""
    if isinstance(value, dict):
        value = value.get(split)
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _int(value: Any, otherwise: int) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return otherwise

"""The Alignment Handbook's recipes, written anew from facts: `handbook.yaml` and `handbook_branches.yaml`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from align_cli.models import templates

#: First recipes · chat templates in the recipe · trl's own configs · read by trl's own parser.
ERAS = ("2023-11", "2024-01", "2024-07", "2025-07")

_HERE = Path(__file__).parent
_GONE = "(gone)"
_OF_DATA = ("splits", "configs", "named", "only", "entries", "test_split_size")


@dataclass(frozen=True, kw_only=True)
class Written:
    """One recipe file as it stood there."""

    path: str
    task: str
    profile: str
    tree: dict[str, Any]

    @property
    def text(self) -> str:
        """The file: grouped and commented as theirs were."""
        lines = ["# Model arguments"]
        for line in yaml.safe_dump(self.tree, sort_keys=False, allow_unicode=True, width=10_000).splitlines():
            if line.startswith(("dataset_m", "dataset_name")):
                lines += ["", "# Data training arguments"]
            lines.append(f"{line}  # half of the memory" if line == "torch_dtype: bfloat16" else line)
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, kw_only=True)
class Old:
    """One path of the main line, with the eras it stood there in."""

    path: str
    eras: list[str]
    values: dict[str, Any]
    then: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Era -> what was different in it."""

    def of(self, era: str) -> Written:
        """The file in the words of an era."""
        facts = {**self.values, **self.then.get(era, {})}
        facts = {word: value for word, value in facts.items() if value != _GONE}
        task = self.path.split("/")[1]
        tree: dict[str, Any] = {}
        for word, value in facts.items():
            if word == "data":
                tree |= _data(task, facts, era)
            elif word not in _OF_DATA:
                tree |= _spelt(word, value, era)
        return Written(path=self.path, task=task, profile=_profile(tree), tree=tree)


def main_line() -> list[Old]:
    """Every path of the main line."""
    document = yaml.safe_load((_HERE / "handbook.yaml").read_text(encoding="utf-8"))
    return [Old(**entry) for entry in document["recipes"]]


def branches() -> list[Written]:
    """One recipe of each unusual kind that stood only on a branch."""
    document = yaml.safe_load((_HERE / "handbook_branches.yaml").read_text(encoding="utf-8"))
    found = []
    for entry in document:
        tree = entry.pop("recipe")
        if "chat_template" in tree:
            tree["chat_template"] = _template(tree["chat_template"].strip("{}"))
        found.append(Written(tree=tree, **entry))
    return found


def _profile(tree: dict[str, Any]) -> str:
    """The profile of its era. In 2025 data stood in dataset_mixture, or in dataset_name beside a chat_template."""
    return "handbook-2023" if "dataset_mixer" in tree else "handbook-2025"


def _spelt(word: str, value: Any, era: str) -> dict[str, Any]:
    before = era < "2024-07"
    if word == "attn":
        return {"use_flash_attention_2": True} if before else {"attn_implementation": "flash_attention_2"}
    if word == "evaluate":
        return {"evaluation_strategy" if before else "eval_strategy": value}
    if word == "workers":
        return {"preprocessing_num_workers" if era < "2025-07" else "dataset_num_proc": value}
    if word == "length":
        return {"max_seq_length": value}
    if word == "name":
        return {"hub_model_id": value, "output_dir": f"data/{value}"}
    if word == "template":
        return {"chat_template": _template(value)}
    return {word: value}


def _template(name: str) -> str:
    return (Path(templates.__file__).parent / f"{name}.jinja").read_text(encoding="utf-8")


def _data(task: str, facts: dict[str, Any], era: str) -> dict[str, Any]:
    if "entries" in facts:
        common = {"id": "HuggingFaceTB/smoltalk2", "columns": ["messages"], "weight": 1.0}
        seed = {"seed": 0} if task == "sft" else {}
        return {"dataset_mixture": {"datasets": [{**common, **entry} for entry in facts["entries"]], **seed}}
    data, splits, configs = facts["data"], facts["splits"], facts.get("configs")
    if era < "2025-07":
        return {"dataset_mixer": data, "dataset_splits": splits} | ({"dataset_configs": configs} if configs else {})
    if facts.get("named"):
        (name,) = data
        tests = {"dataset_test_split": "test"} if "test" in splits else {}
        config = {"dataset_config": configs[0]} if configs else {}
        return {"dataset_name": name, **config, "dataset_train_split": splits[0], **tests}
    columns = ["messages"] if task == "sft" else ["chosen", "rejected"]
    pairs = facts.get("only") or [(name, split) for split in splits for name in data]
    entries = [
        {"id": name, "config": "default", "split": split, "columns": columns, "weight": data[name]}
        for name, split in pairs
    ]
    size = facts.get("test_split_size", 1000 if task == "sft" else 2000)
    return {"dataset_mixture": {"datasets": entries, "test_split_size": size, "seed": 0}}

"""Every key that the installed accelerate writes into its file is in our table, read from its source."""

from __future__ import annotations

import ast
import re

from align_cli.launch.accelerate import table
from align_cli.packages import root_of


def _source(*parts: str) -> str:
    root = root_of("accelerate")
    assert root is not None
    return root.joinpath(*parts).read_text(encoding="utf-8")


def test_every_key_of_a_cluster_s_file_is_known() -> None:
    tree = ast.parse(_source("commands", "config", "config_args.py"))
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    keys = [
        item.target.id
        for name in ("BaseConfig", "ClusterConfig")
        for item in classes[name].body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]

    unknown = [key for key in keys if ("", key) not in table.rules() and key not in table.SECTIONS]

    assert len(keys) > 25
    assert unknown == []


def test_every_answer_to_accelerate_config_is_known() -> None:
    text = _source("commands", "config", "cluster.py")
    asked = re.findall(r"(deepspeed_config|fsdp_config)\[\"(\w+)\"\]", text)
    asked += [
        ("parallelism_config", f"parallelism_config_{name}")
        for name in re.findall(r"parallelism_config\[prefix \+ \"(\w+)\"\]", text)
    ]
    asked += [("dynamo_config", f"dynamo_{name}") for name in re.findall(r"dynamo_config\[prefix \+ \"(\w+)\"\]", text)]

    unknown = {pair for pair in asked if pair not in table.rules()}

    assert len(set(asked)) > 30
    assert unknown == set()


def test_every_kind_of_distribution_has_a_strategy_or_a_reason() -> None:
    tree = ast.parse(_source("utils", "dataclasses.py"))
    kinds = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "DistributedType")
    names = {item.targets[0].id for item in kinds.body if isinstance(item, ast.Assign)}  # type: ignore[union-attr]

    assert names <= {*table.strategies(), *table.without_strategy()}
    assert len(names) > 10

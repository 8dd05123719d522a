from __future__ import annotations

import re
from pathlib import Path

from tests.cli.conftest import Align


def test_doctor_names_versions_machine_and_features(align: Align):
    done = align("doctor")

    assert done.code == 0
    for word in ("Versions", "torch", "transformers", "trl", "This machine", "cores", "memory", "Features", "LoRA"):
        assert word in done.out


def test_doctor_as_json_is_one_document(align: Align):
    report = align("doctor", "--json").document

    assert report["host"]["cpus"] >= 1
    assert {item["state"] for item in report["features"]} <= {"ok", "off", "missing"}


def test_doctor_tells_that_a_token_is_set_and_never_its_value(align: Align):
    done = align("doctor", HF_TOKEN="hf_abcdefghijklmnopqrstuvwxyz", HF_HUB_OFFLINE=None)

    assert "a token is set" in done.out
    assert "abcdefgh" not in done.out


def test_every_feature_that_does_not_work_says_what_it_needs(align: Align):
    report = align("doctor", "--json").document

    assert all(item["detail"] for item in report["features"] if item["state"] != "ok")


def test_the_way_to_a_feature_is_the_extra_that_brings_it(align: Align):
    import tomllib

    import align_cli

    project = tomllib.loads((Path(align_cli.__path__[0]).parent / "pyproject.toml").read_text())["project"]
    rows = {item["feature"]: item for item in align("doctor", "--json").document["features"]}

    named = set(re.findall(r"align-cli\[(\w+)\]", " ".join(item["detail"] for item in rows.values())))
    assert named <= set(project["optional-dependencies"])
    assert rows["QLoRA, 8-bit optimisers"]["state"] == "ok" or "quantisation" in named
    assert rows["GGUF export"]["state"] == "ok" or "pip install" in rows["GGUF export"]["detail"]

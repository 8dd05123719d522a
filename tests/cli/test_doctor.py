from __future__ import annotations

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

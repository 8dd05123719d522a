"""`align eval mtbench` with MT-Bench's own files and stored judgments of GPT-4."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.evals.conftest import ROOT
from tests.evals.endpoint import serving

DATA = ROOT.parent / "shared" / "data" / "mtbench"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs MT-Bench's files in ../shared/data/mtbench")
PUBLISHED = {  # github.com/jxiw/MambaInLlama, README
    "mamba_0_5_dpo_ep3": 7.31, "mamba_0_5_dpo_ep1": 7.12, "mamba_0_75_dpo_ep1": 7.03,
    "mamba_0_75_dpo_ep3": 6.58, "mamba_0_875_dpo_ep1": 6.39, "mamba_0_875_dpo_ep3": 6.37,
}  # fmt: skip


@pytest.fixture
def mtbench(align_here):
    def run(*words: str, **env: str | None):
        return align_here("eval", "mtbench", *words, ALIGN_ASSETS=str(DATA), OPENAI_API_KEY=None, **env)

    return run


def test_fastchats_files_give_the_published_scores(mtbench, tmp_path):
    imported = mtbench("import", str(DATA / "model_judgment" / "mamba_zephyr_jxiw"), "--json")

    done = mtbench("report", *imported.document["evaluations"], "--json")

    models = {one["name"]: one["overall"]["value"] for one in done.document["report"]["models"]}
    assert {name: round(value, 2) for name, value in models.items()} == PUBLISHED


def test_an_import_exports_the_same_judgments(mtbench, tmp_path):
    imported = mtbench("import", str(DATA / "model_judgment" / "mamba_zephyr_jxiw"), "--json")

    done = mtbench("export", *imported.document["evaluations"], "--to", "out", "--json")

    written = next(Path(tmp_path / file) for file in done.document["files"] if file.endswith("_single.jsonl"))
    stored = (DATA / "model_judgment" / "mamba_zephyr_jxiw" / "gpt-4_single.jsonl").read_text().splitlines()
    assert sorted(written.read_text().splitlines(), key=str) == sorted(stored, key=str)


def test_a_model_behind_an_endpoint_from_questions_to_report(mtbench, tmp_path):
    with serving() as server:
        there = ["--judge-endpoint", server.base_url]
        done = mtbench("m", "--endpoint", server.base_url, *there, "--first", "1", "--json")
        asked = [one.document for one in server.received if len(one.document["messages"]) > 1]

    document = done.document
    assert document["generate"]["answered"] == 16
    assert document["judge"]["states"] == {"ok": 16}
    assert {one["temperature"] for one in asked if one["messages"][0]["role"] == "system"} == {0}
    assert {one["max_tokens"] for one in asked if one["messages"][0]["role"] == "system"} == {2048}
    prompts = {json.loads(line)["prompt"] for line in (tmp_path / "evals/m/mtbench/judgments.jsonl").open()}
    assert prompts == {"single-v1", "single-v1-multi-turn", "single-math-v1", "single-math-v1-multi-turn"}
    counted = document["report"]["models"][0]
    assert counted["overall"]["n"] == 16


def test_two_models_are_compared_in_both_orders(mtbench, tmp_path):
    with serving() as server:
        for name in ("a", "b"):
            mtbench("generate", name, "--endpoint", server.base_url, "--first", "1")
        judge = ["--judge-endpoint", server.base_url, "--first", "1"]
        judged = mtbench("judge", "b", "--mode", "pairwise-baseline", "--baseline", "a", *judge, "--json")
        every = mtbench("judge", "a", "b", "--mode", "pairwise-all", *judge, "--json")
        reported = mtbench("report", "a", "b", "--json")

    assert judged.document["asked"] == 32
    assert every.document["asked"] + every.document["were_there"] == 32
    (pair,) = reported.document["report"]["pairs"]
    assert pair["battles"] == 16


def test_the_files_are_named_where_they_cannot_be_had(align):
    done = align("eval", "mtbench", "generate", "m", "--endpoint", "http://127.0.0.1:9/v1", "--assets", "nowhere")

    assert done.code == 3
    assert "nowhere is no folder" in done.err

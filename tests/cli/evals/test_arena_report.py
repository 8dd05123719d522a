from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from align_cli.evals.arena import battles, logs
from tests.cli.conftest import Align
from tests.evals.arena.building import battle, drawn, said

STRENGTHS = {"alpha": 0.8, "beta": 0.3, "gamma": -1.1}


def log(tmp_path: Path, number: int = 300) -> str:
    battles.write(tmp_path / "b.jsonl", drawn(STRENGTHS, number))
    return "b.jsonl"


def test_a_report_is_printed_and_written(align: Align, tmp_path: Path) -> None:
    done = align("eval", "arena", "report", log(tmp_path), "--plot", "r.svg", COLUMNS="100")

    assert done.code == 0, done.err
    assert all(name in done.out for name in STRENGTHS)
    assert "evals/arena/report.html" in done.out
    document = json.loads((tmp_path / "evals/arena/report.json").read_text())
    assert [one["model"] for one in document["models"]] == [*STRENGTHS]
    assert (tmp_path / "evals/arena/report.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "r.svg").read_text().startswith("<svg")


def test_json_is_one_document(align: Align, tmp_path: Path) -> None:
    words = ("--interval", "bootstrap", "--rounds", "50", "--anchor", "beta=1114", "--output-dir", "out", "--json")

    done = align("eval", "arena", "report", log(tmp_path), *words)

    report = done.document["report"]
    assert report["method"] == {
        "interval": "bootstrap", "rounds": 50, "seed": 0, "anchor": {"model": "beta", "rating": 1114.0},
        "cluster_by_rater": False,
    }  # fmt: skip
    assert next(one["rating"] for one in report["models"] if one["model"] == "beta") == 1114
    assert done.document["files"] == ["out/report.json", "out/report.html"]


def test_only_what_is_asked_for_is_rated(align: Align, tmp_path: Path) -> None:
    words = ("--model", "alpha", "--model", "gamma", "--json")

    done = align("eval", "arena", "report", log(tmp_path), *words)

    assert [one["model"] for one in done.document["report"]["models"]] == ["alpha", "gamma"]


def test_wrong_words_are_said_with_what_is_near(align: Align, tmp_path: Path) -> None:
    name = log(tmp_path, 30)

    near = align("eval", "arena", "report", name, "--model", "alpa")
    method = align("eval", "arena", "report", name, "--interval", "sandwitch")
    anchor = align("eval", "arena", "report", name, "--anchor", "alpha")

    assert [near.code, method.code, anchor.code] == [2, 2, 2]
    assert "alpha" in near.err
    assert "sandwich" in method.err
    assert "MODEL=RATING" in anchor.err


def test_a_file_that_holds_no_battles_is_an_error_with_its_line(align: Align, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"model_a": "a", "model_b": "b", "winner": "who"}\n')

    done = align("eval", "arena", "report", "x.jsonl")

    assert done.code == 3
    assert "x.jsonl:1" in done.err
    assert "Traceback" not in done.err


def test_a_log_is_imported_and_exported_again(align: Align, tmp_path: Path) -> None:
    given = [battle(turns_a=said("Hi", "A"), turns_b=said("Hi", "B"), rater="ann"), battle(winner="both_bad")]
    logs.write(tmp_path / "theirs.json", given)

    taken = align("eval", "arena", "import", "theirs.json", "--to", "own.jsonl", "--json")
    given_back = align("eval", "arena", "export", "own.jsonl", "--to", "back.json")

    assert taken.document == {"file": "own.jsonl", "battles": 2, "new": 2, "left_out": {}}
    assert battles.read(tmp_path / "own.jsonl") == given
    assert given_back.code == 0
    assert json.loads((tmp_path / "back.json").read_text()) == json.loads((tmp_path / "theirs.json").read_text())


def test_the_arena_is_listed_and_helps(align: Align) -> None:
    listed, helped = align("eval", "--help"), align("eval", "arena", "report", "--help")

    assert "arena" in listed.out
    assert "--anchor" in helped.out
    assert (listed.code, helped.code) == (0, 0)


def test_intervals_by_rater_are_said_to_be(align: Align, tmp_path: Path) -> None:
    given = [replace(one, rater=f"rater {n % 9}") for n, one in enumerate(drawn(STRENGTHS, 300))]
    battles.write(tmp_path / "b.jsonl", given)

    done = align("eval", "arena", "report", "b.jsonl", "--cluster-by-rater")
    mixed = align("eval", "arena", "report", "b.jsonl", "--cluster-by-rater", "--interval", "bootstrap")
    unknown = align("eval", "arena", "report", log(tmp_path), "--cluster-by-rater")

    assert "(sandwich, by rater)" in done.out
    assert "rest on 9 raters" in " ".join(done.out.split())
    assert (mixed.code, "--interval sandwich" in mixed.err) == (2, True)
    assert (unknown.code, "nothing is known of who voted" in unknown.err) == (2, True)

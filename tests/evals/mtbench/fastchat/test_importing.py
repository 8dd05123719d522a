"""Evaluation folders out of FastChat's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.errors import DataError, UsageError
from align_cli.evals.judgments import judgments_of
from align_cli.evals.mtbench.fastchat import import_fastchat
from align_cli.evals.mtbench.published import scores, win_rates
from align_cli.files import digest_of_file
from tests.evals.mtbench.fastchat import rows

DUPLICATE = "gpt-4_single.jsonl: rows for what an earlier row judges: 1; all count, as in FastChat"


@pytest.fixture
def mt_bench(tmp_path: Path) -> Path:
    """FastChat's data/mt_bench: two models answered and judged, and compared."""
    folder = tmp_path / "data" / "mt_bench"
    for model in "ab":
        rows.written(folder / "model_answer" / f"{model}.jsonl", [rows.answer(id_, model=model) for id_ in (81, 82)])
    judged = [rows.single(id_, 7, model=model) for id_ in (81, 82) for model in "ab"]
    rows.written(folder / "model_judgment" / "gpt-4_single.jsonl", [*judged, rows.single(81, 10)])
    rows.written(folder / "model_judgment" / "gpt-4_pair.jsonl", [rows.pair(81, "AB"), rows.pair(82, "BA")])
    rows.written(folder / "question.jsonl", [{"question_id": 81, "category": "writing", "turns": ["x"]}])
    return folder


@pytest.mark.parametrize("above", ["", "..", "../.."])
def test_a_data_folder_makes_an_evaluation_a_model(mt_bench: Path, tmp_path: Path, above: str) -> None:
    one, other = import_fastchat(mt_bench / above, tmp_path / "out")

    assert (one.path, one.model, one.benchmark) == (tmp_path / "out" / "a", "a", "mtbench")
    assert list(one.answers()) == [81, 82]
    assert [answer.text for answer in one.answers()[81]] == ["first", "second"]
    assert (len(one.judgments()), len(other.judgments())) == (3 + 4, 2)
    assert one.facts["imported"] == {
        "format": "fastchat",
        "files": {
            name: digest_of_file(mt_bench / name)
            for name in (
                "model_answer/a.jsonl",
                "model_judgment/gpt-4_pair.jsonl",
                "model_judgment/gpt-4_single.jsonl",
            )
        },
        "notes": [f"model_judgment/{DUPLICATE}"],
    }
    assert other.facts["imported"]["notes"] == []


def test_judgments_of_pairs_go_to_the_model_that_is_not_the_baseline(mt_bench: Path, tmp_path: Path) -> None:
    one, other = import_fastchat(mt_bench, tmp_path / "out")

    assert [record["winner"] for record in one.judgments() if len(record["models"]) == 2] == ["a", "a", "b", "b"]
    assert all(record["models"] == ["b"] for record in other.judgments())


def test_one_model_can_be_taken_alone(mt_bench: Path, tmp_path: Path) -> None:
    (found,) = import_fastchat(mt_bench, tmp_path / "out", model="b")

    assert found.model == "b"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]


def test_a_model_that_is_not_there_is_refused_with_those_that_are(mt_bench: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='nothing about the model "c"') as refused:
        import_fastchat(mt_bench, tmp_path / "out", model="c")

    assert refused.value.hint == "available: a, b"


def test_single_files_can_be_given_and_one_given_twice_counts_once(mt_bench: Path, tmp_path: Path) -> None:
    judged = mt_bench / "model_judgment" / "gpt-4_single.jsonl"
    answers = rows.written(tmp_path / "answers_of_a.jsonl", [rows.answer()])

    (one, other) = import_fastchat([answers, judged, judged], tmp_path / "out")

    assert list(one.facts["imported"]["files"]) == ["answers_of_a.jsonl", "gpt-4_single.jsonl"]
    assert len(one.judgments()) == 3
    assert "gpt-4_single.jsonl: rows that another file has too: 3; they count once" in one.facts["imported"]["notes"]
    assert (other.answers(), len(other.judgments())) == ({}, 2)


def test_a_folder_of_loose_files_is_taken_and_what_is_left_aside_is_noted(tmp_path: Path) -> None:
    place = tmp_path / "loose"
    rows.written(place / "answers_a.jsonl", [rows.answer()])
    rows.written(place / "judged.jsonl", [rows.single()])
    rows.written(place / "question.jsonl", [{"question_id": 81, "turns": ["x"]}])

    (found,) = import_fastchat(place, tmp_path / "out")

    assert (len(found.answers()), len(found.judgments())) == (1, 1)
    assert found.facts["imported"]["notes"] == [
        "left aside, being neither answers nor judgments: question.jsonl",
    ]


def test_a_target_that_is_there_is_refused_and_left_as_it_is(mt_bench: Path, tmp_path: Path) -> None:
    import_fastchat(mt_bench, tmp_path / "out", model="b")
    before = digest_of_file(tmp_path / "out" / "b" / "evaluation.json")

    with pytest.raises(UsageError, match="out/b: already there"):
        import_fastchat(mt_bench, tmp_path / "out")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]
    assert digest_of_file(tmp_path / "out" / "b" / "evaluation.json") == before


def test_a_malformed_row_leaves_nothing_behind(mt_bench: Path, tmp_path: Path) -> None:
    path = mt_bench / "model_judgment" / "gpt-4_single.jsonl"
    rows.written(path, [rows.single(), '{"question_id": 81, "mod'])

    with pytest.raises(DataError, match=r"gpt-4_single\.jsonl:2: this line is no JSON"):
        import_fastchat(mt_bench, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_file_whose_first_row_is_malformed_is_known_by_its_name(mt_bench: Path, tmp_path: Path) -> None:
    rows.written(mt_bench / "model_answer" / "a.jsonl", ["half a li"])

    with pytest.raises(DataError, match=r"a\.jsonl:1: this line is no JSON"):
        import_fastchat(mt_bench, tmp_path / "out")


@pytest.mark.parametrize("model", ["../outside", "org/name", "."])
def test_a_models_name_never_leads_out_of_the_folder(tmp_path: Path, model: str) -> None:
    (found,) = import_fastchat(rows.written(tmp_path / "x.jsonl", [rows.answer(model=model)]), tmp_path / "out")

    assert found.model == model
    assert found.path.parent == tmp_path / "out"


def test_models_that_would_share_a_folder_are_refused(tmp_path: Path) -> None:
    path = rows.written(tmp_path / "x.jsonl", [rows.single(model="org/a"), rows.single(model="org-a")])

    with pytest.raises(UsageError, match="org/a and org-a would share"):
        import_fastchat(path, tmp_path / "out")


def test_different_answers_of_one_model_are_refused(tmp_path: Path) -> None:
    paths = [rows.written(tmp_path / name, [rows.answer(81, name)]) for name in ("x.jsonl", "y.jsonl")]

    with pytest.raises(UsageError, match=r"other answers of a, in x\.jsonl"):
        import_fastchat(paths, tmp_path / "out")


@pytest.mark.parametrize("line", ['{"text": "a row"}', "no JSON", ""])
def test_a_file_of_something_else_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match="no answers or judgments of FastChat"):
        import_fastchat(rows.written(tmp_path / "x.jsonl", [line]), tmp_path / "out")


def test_places_with_nothing_in_them_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(UsageError, match="no answers or judgments of FastChat there"):
        import_fastchat(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(UsageError, match="no such file or folder"):
        import_fastchat(tmp_path / "gone", tmp_path / "out")


def test_a_place_where_nothing_can_be_written_is_refused(mt_bench: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match=r"nothing can be written there: .* is no folder"):
        import_fastchat(mt_bench, tmp_path / "file")


def test_answers_with_any_text_come_through(tmp_path: Path) -> None:
    text = "half a pair \ud83d, a separator \u2028, a zero \x00, 日本"
    path = rows.written(tmp_path / "x.jsonl", [rows.answer(81, text)])

    (found,) = import_fastchat(path, tmp_path / "out")

    assert found.answers()[81][0].text == text


def test_imported_folders_give_the_published_figures(stored: Path, tmp_path: Path) -> None:
    mamba = import_fastchat(stored / "model_judgment" / "mamba_zephyr_jxiw", tmp_path / "mamba")
    phi = import_fastchat(stored / "model_judgment" / "phi3_stefanstud", tmp_path / "phi")
    llama = import_fastchat(stored / "model_judgment" / "llama3_dreamingpanda", tmp_path / "llama")

    averages = {one.model: scores(judgments_of(one.judgments()))[one.model].average for one in mamba}
    assert averages == {
        "mamba_0_5_dpo_ep1": 7.121875,
        "mamba_0_5_dpo_ep3": 7.3125,
        "mamba_0_75_dpo_ep1": 7.034375,
        "mamba_0_75_dpo_ep3": 6.58125,
        "mamba_0_875_dpo_ep1": 6.3875,
        "mamba_0_875_dpo_ep3": 6.36875,
    }
    assert {one.model: len(one.answers()) for one in phi} == {"phi-3-dpo": 80, "phi-3": 80}
    every = judgments_of(record for one in phi for record in one.judgments())
    assert {model: tuple(its) for model, its in win_rates(every).items()} == {
        "phi-3-dpo": (20, 18, 35),
        "phi-3": (18, 20, 35),
    }
    assert [scores(judgments_of(one.judgments()))[one.model].num_scored for one in llama] == [166, 160]
    assert [note for one in llama for note in one.facts["imported"]["notes"]] == [
        "gpt-4_single.jsonl: rows for what an earlier row judges: 10; all count, as in FastChat",
    ]

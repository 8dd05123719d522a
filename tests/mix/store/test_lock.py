from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import DataError, UsageError
from align_cli.mix.build import Build, address, build
from align_cli.mix.store import identity, lock
from align_cli.recipe.schema import Clean, Mixture, Source
from tests.mix.conftest import chats

Jsonl = Callable[[str, Iterable[Any]], str]
KINDS = ("messages",)
LOCK = Path("recipe.mixture.json")


def built(mixture: Mixture) -> Build:
    return build(mixture, KINDS)


def inputs(mixture: Mixture) -> dict[str, Any]:
    return address(mixture, KINDS).inputs


@pytest.fixture
def locked(jsonl: Jsonl) -> Mixture:
    """A mixture with its lock."""
    sources = tuple(Source(path=jsonl(name, chats(10, start))) for name, start in (("a.jsonl", 0), ("b.jsonl", 100)))
    mixture = Mixture(sources=sources, held_out=2)
    lock.write(LOCK, built(mixture), inputs(mixture))
    return mixture


def said(drifts: Iterable[lock.Drift]) -> list[str]:
    return [str(drift) for drift in drifts]


def test_the_lock_lies_beside_the_recipe() -> None:
    assert lock.path_of(Path("configs/sft.v2.yaml")) == Path("configs/sft.v2.mixture.json")


def test_what_did_not_change_has_not_drifted(locked: Mixture) -> None:
    assert lock.drift_of_inputs(LOCK, inputs(locked)) == []
    assert lock.check(LOCK, built(locked).report) == []
    assert lock.refusal(LOCK, [], same_rows=True) is None


def test_the_lock_records_identities_parameters_counts_and_results(locked: Mixture) -> None:
    document = json.loads(LOCK.read_text())
    made = built(locked)

    assert document["digest"] == made.digest
    assert document["result"] == made.report["result"]
    assert document["inputs"]["digest_of"]["parameters"] == {"held_out": 2}
    assert document["inputs"]["shown"]["sources"][0] == {"label": "a.jsonl", "path": "a.jsonl", "files": ["a.jsonl"]}
    assert document["counts"] == {
        "train": 18,
        "eval": 2,
        "sources": [
            {
                **{name: source[name] for name in ("label", "read", "available", "unique", "kept", "held_out")},
                "dropped": {},
            }
            for source in made.report["sources"]
        ],
    }


def test_the_same_mixture_in_another_checkout_writes_the_same_lock(
    locked: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "elsewhere" / "checkout"
    other.mkdir(parents=True)
    for source in locked.sources:
        shutil.copy(source.path, other)
    absolute = tuple(Source(path=str(other / source.path)) for source in locked.sources)
    mixture = replace(locked, sources=absolute)
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "other cache"))

    lock.write(other / LOCK, built(mixture), inputs(mixture))

    assert (other / LOCK).read_bytes() == LOCK.read_bytes()
    assert str(tmp_path) not in LOCK.read_text()


def test_paths_are_those_from_the_folder_of_the_lock(jsonl: Jsonl) -> None:
    jsonl("data/a.jsonl", chats(3))
    mixture = Mixture(sources=(Source(path="data/a.jsonl"), Source(path="data/*.jsonl", name="all")))

    lock.write(Path("recipes/x.mixture.json"), built(mixture), inputs(mixture))

    shown = json.loads(Path("recipes/x.mixture.json").read_text())["inputs"]["shown"]["sources"]
    assert [(entry["label"], entry["path"]) for entry in shown] == [
        ("../data/a.jsonl", "../data/a.jsonl"),
        ("all", "../data/*.jsonl"),
    ]


def test_texts_to_look_for_have_relative_paths_too(jsonl: Jsonl, tmp_path: Path) -> None:
    jsonl("a.jsonl", chats(3))
    held = tmp_path / "held.jsonl"
    held.write_text('{"question": "something that no row says"}\n')
    mixture = Mixture(sources=(Source(path="a.jsonl"),), clean=Clean(decontaminate=(f"{held}:question", str(held))))

    lock.write(LOCK, built(mixture), inputs(mixture))

    shown = json.loads(LOCK.read_text())["inputs"]["shown"]
    assert list(shown["references"]) == ["held.jsonl", "held.jsonl:question"]
    assert str(tmp_path) not in LOCK.read_text()
    held.write_text('{"question": "something else that no row says"}\n')
    assert [drift.what for drift in lock.drift_of_inputs(LOCK, inputs(mixture))] == [
        "clean.decontaminate held.jsonl",
        "clean.decontaminate held.jsonl:question",
    ]


def test_another_name_or_path_is_no_drift(locked: Mixture) -> None:
    Path("a.jsonl").rename("c.jsonl")
    renamed = replace(locked, sources=(Source(path="c.jsonl", name="mine"), locked.sources[1]))

    assert lock.drift_of_inputs(LOCK, inputs(renamed)) == []
    assert lock.check(LOCK, built(renamed).report) == []


def test_a_changed_file_is_told_before_a_build_and_with_counts_and_content_after_it(
    locked: Mixture, jsonl: Jsonl
) -> None:
    jsonl("a.jsonl", chats(11))

    before = lock.drift_of_inputs(LOCK, inputs(locked))
    after = lock.check(LOCK, built(locked).report)

    assert len(before) == 1
    assert str(before[0]).startswith("sources.0 (a.jsonl): file content: ")
    assert after[0] == before[0]
    assert "rows of train: 18 -> 19" in said(after)
    assert "a.jsonl: rows available: 10 -> 11" in said(after)
    assert any(one.startswith("content of train: ") for one in said(after))
    assert not [one for one in said(after) if one.startswith("b.jsonl")]


def test_a_parameter_and_a_source_that_drifted_are_named(locked: Mixture) -> None:
    drifted = replace(locked, seed=1, sources=(locked.sources[0],))

    assert said(lock.drift_of_inputs(LOCK, inputs(drifted)))[1:] == ["seed: 42 -> 1"]
    assert said(lock.drift_of_inputs(LOCK, inputs(drifted)))[0].startswith("sources.1 (b.jsonl): removed")


def test_the_refusal_names_the_lock_every_drift_and_what_to_do(locked: Mixture) -> None:
    drifts = lock.drift_of_inputs(LOCK, inputs(replace(locked, seed=1, held_out=3)))

    refusal = lock.refusal(LOCK, drifts)

    assert isinstance(refusal, DataError)
    assert str(LOCK) in refusal.message
    assert [problem.message for problem in refusal.problems] == ["held_out: 2 -> 3", "seed: 42 -> 1"]
    assert "--lock" in refusal.hint


def test_a_new_code_version_that_gives_the_same_rows_is_said_and_not_refused(
    locked: Mixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = identity.CODE_VERSION
    monkeypatch.setattr(identity, "CODE_VERSION", old + 1)

    report = built(locked).report
    drifts = lock.check(LOCK, report)

    assert said(drifts) == [f"code version: {old} -> {old + 1}"]
    assert lock.same_rows(LOCK, report)
    assert lock.refusal(LOCK, drifts) is None
    assert lock.refusal(LOCK, drifts, same_rows=True) is None
    assert lock.refusal(LOCK, drifts, same_rows=False) is not None


def test_other_inputs_that_give_the_same_rows_are_refused_and_it_is_said_that_the_rows_are_the_same(
    locked: Mixture, jsonl: Jsonl
) -> None:
    whole = replace(locked, on_bad_rows="skip")

    report = built(whole).report
    refusal = lock.refusal(LOCK, lock.check(LOCK, report), same_rows=lock.same_rows(LOCK, report))

    assert refusal is not None
    assert "byte for byte" in refusal.hint


def test_a_missing_lock_says_how_to_write_one() -> None:
    with pytest.raises(UsageError, match="there is no lock yet") as caught:
        lock.read(LOCK)

    assert caught.value.hint == "write one: align mix RECIPE --lock"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b'{"version": "1"}',
        b'{"version": 1}',
        b'{"version": 0}',
        b'{"version": 1, "digest": "", "inputs": {}, "counts": {}, "result": {}}',
        b'{"version": 1, "digest": "", "inputs": {"digest_of": {}, "shown": {}}, '
        b'"counts": {"train": 1, "eval": 0, "sources": [3]}, "result": {}}',
        b'{"version": 1, "digest": "", "inputs": {"digest_of": {"sources": [3]}, "shown": {}}, '
        b'"counts": {"train": 1, "eval": 0, "sources": []}, "result": {}}',
    ],
)
def test_a_damaged_lock_is_an_error_with_its_name_and_no_traceback(locked: Mixture, content: bytes) -> None:
    LOCK.write_bytes(content)

    with pytest.raises(DataError) as caught:
        lock.check(LOCK, built(locked).report)

    assert caught.value.problems[0].where == str(LOCK)
    assert "--lock" in caught.value.problems[0].hint


def test_a_lock_of_a_newer_version_asks_for_an_update(locked: Mixture) -> None:
    LOCK.write_text(json.dumps({**json.loads(LOCK.read_text()), "version": lock.VERSION + 1}))

    with pytest.raises(DataError) as caught:
        lock.read(LOCK)

    assert "a newer align wrote this lock" in caught.value.problems[0].message
    assert "pip install -U align-cli" in caught.value.problems[0].hint

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli import files
from align_cli.mix.build import address, build
from align_cli.mix.store import changes, explain, identity, store
from align_cli.recipe.schema import Clean, Mixture, Source
from tests.mix.conftest import chats

Jsonl = Callable[[str, Iterable[Any]], str]
KINDS = ("messages",)


def built(mixture: Mixture) -> str:
    return build(mixture, KINDS).digest


def explained(mixture: Mixture) -> explain.Explanation:
    return explain.explain(address(mixture, KINDS).inputs)


def sentences(mixture: Mixture) -> list[str]:
    return [str(change) for change in explained(mixture).changes]


@pytest.fixture
def two(jsonl: Jsonl) -> Mixture:
    """A stored mixture of two sources."""
    paths = jsonl("a.jsonl", chats(10)), jsonl("b.jsonl", chats(5, 100))
    mixture = Mixture(sources=tuple(Source(path=path) for path in paths))
    built(mixture)
    return mixture


def test_what_is_stored_is_a_hit_whatever_its_files_are_called(two: Mixture) -> None:
    os.rename("a.jsonl", "c.jsonl")
    os.utime("b.jsonl", (1, 1))

    found = explained(replace(two, sources=(Source(path="c.jsonl"), two.sources[1])))

    assert (found.hit, found.nearest, found.changes) == (True, found.digest, ())


def test_an_empty_store_has_nothing_like_it(jsonl: Jsonl) -> None:
    found = explained(Mixture(sources=(Source(path=jsonl("a.jsonl", chats(3))),)))

    assert (found.hit, found.nearest, found.changes) == (False, None, ())


def test_a_changed_row_is_told_with_its_file_and_both_digests(two: Mixture) -> None:
    before = identity.of(address(two, KINDS).located[0])["files"][0]
    Path("a.jsonl").write_text(Path("a.jsonl").read_text().replace("q3", "q_3", 1))
    now = identity.of(address(two, KINDS).located[0])["files"][0]

    (change,) = explained(two).changes

    assert change.before == {"bytes": before["bytes"], "sha256": before["sha256"]}
    assert change.now == {"bytes": before["bytes"] + 1, "sha256": now["sha256"]}
    assert str(change) == (
        f"sources.0 (a.jsonl): file content: {before['bytes']} bytes sha256 {before['sha256'][:12]}… "
        f"-> {before['bytes'] + 1} bytes sha256 {now['sha256'][:12]}…"
    )


def test_of_several_files_the_changed_the_new_and_the_missing_one_are_named(jsonl: Jsonl) -> None:
    for name in ("x", "y", "z"):
        jsonl(f"data/{name}.jsonl", chats(3, ord(name) * 10))
    mixture = Mixture(sources=(Source(path="data"),))
    built(mixture)
    jsonl("data/x.jsonl", chats(4))
    os.remove("data/y.jsonl")
    jsonl("data/z2.jsonl", chats(1))

    found = {(change.what, change.how) for change in explained(mixture).changes}

    assert found == {
        ("sources.0 (data): content of x.jsonl", "changed"),
        ("sources.0 (data): file y.jsonl", "removed"),
        ("sources.0 (data): file z2.jsonl", "added"),
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 7}, "seed: 42 -> 7"),
        ({"held_out": 0.2}, "held_out: not set -> 0.2"),
        ({"order": "interleaved"}, "order: shuffled -> interleaved"),
        ({"clean": Clean(min_turns=2)}, "clean.min_turns: not set -> 2"),
        ({"clean": Clean(exact=True)}, "clean.exact: false -> true"),
    ],
)
def test_a_parameter_of_the_mixture_is_named_with_both_values(
    two: Mixture, change: Mapping[str, Any], said: str
) -> None:
    assert sentences(replace(two, **change)) == [said]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fraction": 0.5}, "fraction: not set -> 0.5"),
        ({"where": "len(messages) > 1"}, "where: not set -> len(messages) > 1"),
        ({"columns": {"messages": "messages"}}, "columns.messages: not set -> messages"),
        ({"shuffle": False}, "shuffle: not set -> false"),
    ],
)
def test_a_parameter_of_a_source_is_named_with_the_source(two: Mixture, change: Mapping[str, Any], said: str) -> None:
    second = replace(two.sources[1], name="mine", **change)

    assert sentences(replace(two, sources=(two.sources[0], second))) == [f"sources.1 (mine): {said}"]


def test_a_source_that_was_added_removed_or_moved_is_named(two: Mixture, jsonl: Jsonl) -> None:
    a, b = two.sources
    c = Source(path=jsonl("c.jsonl", chats(3, 500)))

    assert [(one.what, one.how) for one in explained(replace(two, sources=(a, b, c))).changes] == [
        ("sources.2 (c.jsonl)", "added")
    ]
    assert [(one.what, one.how) for one in explained(replace(two, sources=(b,))).changes] == [
        ("sources.0 (a.jsonl)", "removed")
    ]
    assert sentences(replace(two, sources=(b, a))) == [
        'order of sources: ["a.jsonl", "b.jsonl"] -> ["b.jsonl", "a.jsonl"]'
    ]
    assert [(one.what, one.how) for one in explained(replace(two, eval=(c,))).changes] == [
        ("eval.0 (c.jsonl)", "added")
    ]


def test_a_new_version_of_the_code_is_named(two: Mixture, monkeypatch: pytest.MonkeyPatch) -> None:
    old = identity.CODE_VERSION
    monkeypatch.setattr(identity, "CODE_VERSION", old + 1)

    (change,) = explained(two).changes

    assert str(change) == f"code version: {old} -> {old + 1}"
    assert change.is_code


def test_a_new_commit_is_told_with_the_revision_that_was_asked_for() -> None:
    def inputs(revision: str, commit: str) -> dict[str, Any]:
        mixture = Mixture(sources=(Source(path="o/n", revision=revision),))
        return identity.inputs(mixture, KINDS, [{"hub": "o/n", "config": None, "commit": commit, "data_files": []}])

    (change,) = changes.between(inputs("v1", "aaa"), inputs("main", "bbb"))

    assert str(change) == "sources.0 (o/n): revision: aaa (v1) -> bbb (main)"


def test_tokenizer_kinds_and_references_are_named() -> None:
    mixture = Mixture(sources=(Source(path="a"),))
    identities = [{"files": [{"name": "a", "bytes": 1, "sha256": "0" * 64}]}]

    def inputs(kinds: Sequence[str], references: dict[str, str], measure: str) -> dict[str, Any]:
        everything = {"references": references, "near": f"version of {measure[0]}"}
        return identity.inputs(mixture, kinds, identities, references=everything, measure=measure)

    found = changes.between(
        inputs(("text",), {"mt_bench": "1" * 64, "old.txt": "2" * 64}, "3" * 64),
        inputs(("messages",), {"mt_bench": "4" * 64, "renamed.txt": "2" * 64, "new.txt": "5" * 64}, "6" * 64),
    )

    assert [str(change) for change in found] == [
        "clean.decontaminate mt_bench: 111111111111… -> 444444444444…",
        "clean.decontaminate new.txt: added (555555555555…)",
        "tokenizer and template that count tokens: 333333333333… -> 666666666666…",
        'kinds of rows that the task takes: ["text"] -> ["messages"]',
        "cleaning.near: version of 3 -> version of 6",
    ]


def test_the_nearest_has_most_sources_in_common_then_the_fewest_changes(two: Mixture) -> None:
    a = two.sources[0]
    only_a = built(Mixture(sources=(a,)))
    seeded = built(replace(two, seed=9))
    os.utime(store.root() / only_a)  # the newest

    found = explained(replace(two, seed=9, held_out=2))

    assert found.nearest == seeded
    assert [change.what for change in found.changes] == ["held_out"]


def test_of_two_alike_the_newest_is_the_nearest(two: Mixture) -> None:
    first, second = (built(replace(two, seed=seed)) for seed in (1, 2))
    os.utime(store.root() / second, (1, 1))
    store.remove(built(two))

    assert explained(replace(two, seed=3)).nearest == first


def test_an_edited_source_is_found_by_its_path_before_a_newer_stranger(two: Mixture, jsonl: Jsonl) -> None:
    nearest = built(two)
    built(Mixture(sources=(Source(path=jsonl("c.jsonl", chats(2, 900))), Source(path=jsonl("d.jsonl", chats(2, 950))))))
    jsonl("a.jsonl", chats(11))
    jsonl("b.jsonl", chats(6, 100))

    assert explained(two).nearest == nearest


def test_mixtures_of_an_older_version_are_counted_and_do_no_harm(two: Mixture) -> None:
    for digest, inputs in (("11", None), ("22", {"digest_of": {"sources": 3}}), ("33", "x")):
        folder = store.root() / digest
        folder.mkdir()
        (folder / "train.arrow").write_bytes((store.stored()[0].folder / "train.arrow").read_bytes())
        files.write_json(folder / store.REPORT, {"sources": []} | ({"inputs": inputs} if inputs else {}))

    found = explained(replace(two, seed=7))

    assert found.unknown == 3
    assert [str(change) for change in found.changes] == ["seed: 42 -> 7"]


def test_an_explanation_is_json() -> None:
    change = changes.Change("seed", 1, 2)
    found = explain.Explanation(hit=False, digest="a", nearest="b", changes=(change,))

    assert json.loads(json.dumps(found.as_dict()))["changes"] == [
        {"what": "seed", "before": 1, "now": 2, "how": "changed", "text": "seed: 1 -> 2"}
    ]


def tokens(digest: str, inputs: Any, made: float = 0) -> None:
    folder = files.cache_root() / "tokens" / digest
    files.write_json(folder / "inputs.json", inputs)
    files.write_json(folder / "report.json", {})
    os.utime(folder, (made, made))


def test_tokens_are_explained_by_the_template_line_and_the_tokenizer_file_that_changed() -> None:
    stored = {
        "mixture": "m" * 64,
        "tokenizer": {"files": {"tokenizer.json": "1" * 64, "merges.txt": "2" * 64}, "digest": "d" * 64},
        "template": "{% for m in messages %}\n{{ m.content }}\n{% endfor %}",
        "settings": {"max_length": 1024},
    }
    tokens("aa" * 16, stored, 1)
    tokens("bb" * 16, {"mixture": "other", "settings": {"max_length": 1024}}, 2)
    wanted = {
        **stored,
        "tokenizer": {"files": {"tokenizer.json": "3" * 64, "merges.txt": "2" * 64}, "digest": "e" * 64},
        "template": "{% for m in messages %}\n{{ m.text }}\n{% endfor %}",
        "settings": {"max_length": 2048},
    }

    found = explain.explain_tokens(wanted, digest="cc" * 32)

    assert found.nearest == "aa" * 16
    assert [str(change) for change in found.changes] == [
        "tokenizer.files.tokenizer.json: 111111111111… -> 333333333333…",
        "template: line 2: {{ m.content }} -> {{ m.text }}",
        "settings.max_length: 1024 -> 2048",
    ]
    assert explain.explain_tokens(wanted, digest="aa" * 32).hit


@given(
    st.lists(st.integers(0, 3), max_size=6),
    st.lists(st.integers(0, 3), max_size=6),
)
def test_pairing_uses_every_item_once(before: list[int], now: list[int]) -> None:
    pairs = changes.paired(before, now, (lambda one: one, lambda one: one % 2))

    assert [new for _, new in pairs if new is not None] == list(range(len(now)))
    assert sorted(old for old, _ in pairs if old is not None) == list(range(len(before)))
    same = sum(old is not None and new is not None and before[old] == now[new] for old, new in pairs)
    assert same == sum(min(before.count(one), now.count(one)) for one in set(before))

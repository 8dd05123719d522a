from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from align_cli.cli.cache import seconds
from align_cli.cli.render.stored import age
from align_cli.cli.size import bytes_as_text
from align_cli.errors import UsageError
from tests.cli.conftest import Align

pytestmark = pytest.mark.slow  # real mixtures are built


@pytest.fixture
def own(tmp_path: Path, align: Align, recipe: Path):
    """`own(*words)` with a cache of its own that holds two mixtures, the first 40 days old."""
    env = {"ALIGN_CACHE": str(tmp_path / "own")}
    digests = []
    for seed in ("1", "2"):
        words = ("r.yaml", "--task", "sft", "--no-tokens", f"mixture.seed={seed}", "--json")
        digests.append(align("mix", *words, **env).document["digest"])
    old = time.time() - 40 * 86400
    for path in (tmp_path / "own" / "mixtures" / digests[0], *(tmp_path / "own" / "mixtures" / digests[0]).iterdir()):
        os.utime(path, (old, old))

    def run(*words: str):
        return align("cache", *words, **env)

    run.digests = digests
    run.folder = tmp_path / "own" / "mixtures"
    return run


def kept(own) -> list[str]:
    return [digest for digest in own.digests if (own.folder / digest).is_dir()]


def test_everything_is_listed_newest_first(own):
    page = own("ls")
    view = own("ls", "--json").document

    assert [entry["digest"] for entry in view["entries"]] == own.digests[::-1]
    assert view["bytes"] == sum(entry["bytes"] for entry in view["entries"])
    lines = [line.split() for line in page.out.splitlines() if line.strip().startswith(own.digests[0][:12])]
    assert lines[0][1] == "mixture"
    assert lines[0][-1] == "rows.jsonl"
    assert "40 d" in page.out


def test_show_says_what_a_mixture_is_made_of(own):
    page = own("show", own.digests[0][:12])
    view = own("show", own.digests[0], "--json").document

    assert "rows.jsonl" in page.out
    assert "10 to train on, 2 to evaluate on" in page.out
    assert view["report"]["num_train"] == 10


def test_rm_takes_named_digests_without_asking(own):
    done = own("rm", own.digests[1][:12])

    assert done.code == 0
    assert "1 thing removed" in done.out
    assert kept(own) == own.digests[:1]


def test_rm_of_an_unknown_digest_removes_nothing_at_all(own):
    done = own("rm", own.digests[0], "feedbeef")

    assert done.code == 2
    assert "feedbeef" in done.err
    assert kept(own) == own.digests


def test_rm_all_outside_a_terminal_wants_a_yes(own):
    refused = own("rm", "--all")
    tried = own("rm", "--all", "--dry-run")

    assert refused.code == 2
    assert "--yes" in refused.err
    assert "2 things would be removed" in tried.out
    assert kept(own) == own.digests

    done = own("rm", "--all", "--yes", "--json")

    assert len(done.document["removed"]) == 2
    assert kept(own) == []


def test_rm_takes_only_what_is_old_or_of_a_kind(own):
    own("rm", "--all", "--yes", "--kind", "tokens")
    assert kept(own) == own.digests

    own("rm", "--all", "--yes", "--older-than", "30d")
    assert kept(own) == own.digests[1:]


@pytest.mark.parametrize(
    "words", [["rm"], ["rm", "--all", "abcd"], ["rm", "abcd", "--kind", "tokens"], ["ls", "--kind", "x"]]
)
def test_contradictory_wishes_are_usage_errors(align: Align, words: list[str]):
    done = align("cache", *words)

    assert done.code == 2
    assert "Traceback" not in done.err


def test_an_empty_cache_says_where_it_would_be(align: Align, tmp_path: Path):
    done = align("cache", "ls", ALIGN_CACHE=str(tmp_path / "none"))

    assert done.code == 0
    assert f"nothing is kept in {tmp_path / 'none'}" in done.out
    assert not (tmp_path / "none").exists()


def test_what_a_killed_process_left_is_swept(own):
    left = own.folder / f".{'a' * 64}.x1"
    left.mkdir()
    (left / "part").write_text("x" * 5000)

    assert json.loads(own("ls", "--json").out)["remains"]["count"] == 1
    own("rm", "--all", "--yes")

    assert not left.exists()


@pytest.mark.parametrize(("text", "expected"), [("30d", 2592000), ("12h", 43200), ("1.5w", 907200), ("5m", 300)])
def test_ages_are_read(text: str, expected: float):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1y"])
def test_what_is_no_age_is_refused(text: str):
    with pytest.raises(UsageError):
        seconds(text)


def test_sizes_and_ages_are_short():
    assert [bytes_as_text(size) for size in (0, 1, 999, 1000, 99_950, 999_600, 2_500_000_000)] == [
        "0 bytes", "1 byte", "999 bytes", "1.0 KB", "100 KB", "1.0 MB", "2.5 GB",
    ]  # fmt: skip
    assert [age(value) for value in (-1, 59, 60, 3599, 7300, 90_000)] == [
        "0 s",
        "59 s",
        "1 min",
        "59 min",
        "2 h",
        "1 d",
    ]


def test_who_stands_on_a_model_is_said_before_and_when_it_goes(align: Align, tmp_path: Path):
    from tests.runs import folders

    env = {"ALIGN_CACHE": str(tmp_path / "own")}
    model = tmp_path / "own" / "models" / ("ab" * 16)
    (model / "align").mkdir(parents=True)
    (model / "config.json").write_text('{"model_type": "llama"}')
    (model / "align" / "made_of.json").write_text('{"gguf": "pkg://some_models/small.gguf"}')
    run = folders.finished(tmp_path / "runs" / "lora")
    (run / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(model)}))

    listed = align("cache", "ls", **env)
    shown = align("cache", "show", "abab", **env)
    gone = align("cache", "rm", "abab", "--json", "--dry-run", **env).document
    page = align("cache", "rm", "abab", **env)

    assert "pkg://some_models/small.gguf" in listed.out
    assert "pkg://some_models/small.gguf" in shown.out
    assert "(here: runs/lora): align makes it again" in shown.out
    assert gone["adapters"] == [{"adapter": "runs/lora", "base": str(model)}]
    assert "(here: runs/lora): align makes it again" in page.out
    assert not model.exists()


def test_a_merged_model_is_listed_by_its_adapter_and_base(align: Align, tmp_path: Path):
    model = tmp_path / "own" / "models" / ("ab" * 16)
    (model / "align").mkdir(parents=True)
    (model / "config.json").write_text('{"model_type": "llama"}')
    chain = {"base": {"name": "org/base"}, "adapters": [{"name": "runs/sft"}]}
    (model / "align" / "merged.json").write_text(json.dumps({"chain": chain}))

    done = align("cache", "ls", ALIGN_CACHE=str(tmp_path / "own"))

    assert "runs/sft on org/base" in done.out

"""What fits, what `auto` makes of it, and what helps where it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from align_cli.launch import plan
from align_cli.launch.host import Gpu, Host
from align_cli.launch.memory.remedies import remedies
from align_cli.launch.memory.shape import Shape
from align_cli.launch.memory.verdict import Question
from align_cli.launch.memory.work import Work, work_of
from align_cli.recipe.schema import Recipe

EIGHT = Host(
    cpus=64,
    memory_bytes=1 << 40,
    gpus=(Gpu("Card", 80 << 30, (9, 0)),) * 8,
    torch_cuda="13.0",
    packages=frozenset({"deepspeed"}),
)


def question(shape: Shape, work: Work, host: Host = EIGHT) -> Question:
    return Question(shape=shape, work=work, host=host, machines=1)


def test_auto_shares_out_what_does_not_fit_whole_and_gives_the_numbers(
    recipe: Callable[..., Recipe], shape: Shape
) -> None:
    chosen = recipe(bf16=True, gradient_checkpointing=True)
    asked = question(shape, work_of(chosen, shape, device="cuda"))

    made = plan.make(chosen, EIGHT, Path("out"), fits=asked.fit)

    assert made.strategy == "zero2"
    assert "does not fit" in made.reasons[0]
    assert "of 85.9 GB" in made.reasons[0]


def test_auto_without_deepspeed_takes_fsdp(recipe: Callable[..., Recipe], shape: Shape) -> None:
    host = replace(EIGHT, packages=frozenset())
    chosen = recipe(bf16=True, gradient_checkpointing=True)
    asked = question(shape, work_of(chosen, shape, device="cuda"), host)

    assert plan.make(chosen, host, Path("out"), fits=asked.fit).strategy == "fsdp"


def test_auto_keeps_whole_copies_that_fit(recipe: Callable[..., Recipe], shape: Shape) -> None:
    chosen = recipe(bf16=True, gradient_checkpointing=True)
    small = replace(shape, parameters=500_000_000)
    asked = question(small, work_of(chosen, small, device="cuda"))

    made = plan.make(chosen, EIGHT, Path("out"), fits=asked.fit)

    assert made.strategy == "ddp"
    assert "a whole copy fits each" in made.reasons[0]


def test_processes_without_gpus_divide_the_machines_memory(recipe: Callable[..., Recipe], shape: Shape) -> None:
    host = Host(cpus=8, memory_bytes=64 << 30)
    asked = question(shape, work_of(recipe(), shape, device="cpu"), host)

    assert asked.fit("ddp", "none", 4).available == 16 << 30


def test_a_table_says_what_the_single_answers_say(shape: Shape, work: Work) -> None:
    asked = question(shape, work)

    rows = asked.table(8)

    assert [row.strategy for row in rows][:5] == ["ddp", "zero1", "zero2", "fsdp", "zero3"]
    assert all(row == asked.fit(row.strategy, row.offload, 8) for row in rows)


def test_what_is_nearly_full_is_tight(shape: Shape, work: Work) -> None:
    need = question(shape, work).fit("single", "none", 1).parts.total
    host = replace(EIGHT, gpus=(Gpu("Card", round(need * 1.05), (9, 0)),))

    fit = question(shape, work, host).fit("single", "none", 1)

    assert fit.verdict == "is tight"
    assert not fit


def test_remedies_come_cheapest_first_and_each_needs_less(shape: Shape, work: Work) -> None:
    large = replace(work, rows=8, checkpointing=False, weight_bytes=4.0)
    asked = question(shape, large)
    fit = asked.fit("ddp", "none", 8)

    found = remedies(asked, fit, 8, batch=8, accumulation=1)

    assert [one.words.split("=")[0] for one in found[:2]] == ["per_device_train_batch_size", "gradient_checkpointing"]
    assert {"use_peft=true", "optim=adamw_8bit"} <= {one.words for one in found}
    assert any(one.words.startswith("--strategy ") for one in found)
    assert all(one.fit.parts.total < fit.parts.total for one in found)


def test_a_smaller_batch_keeps_the_rows_of_a_step(shape: Shape, work: Work) -> None:
    asked = question(shape, replace(work, rows=8))

    found = remedies(asked, asked.fit("ddp", "none", 8), 8, batch=8, accumulation=3)

    first = dict(word.split("=") for word in found[0].words.split())
    assert int(first["per_device_train_batch_size"]) * int(first["gradient_accumulation_steps"]) == 24


def test_a_preference_row_is_two_answers(recipe: Callable[..., Recipe], shape: Shape) -> None:
    found = work_of(recipe(per_device_train_batch_size=3), shape, device="cpu", answers=2)

    assert found.rows == 6

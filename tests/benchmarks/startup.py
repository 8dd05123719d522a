"""What a user waits for before any work: help, version, a dry run, the error for a misspelt key."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks import data
from tests.benchmarks.measure import Row, align, median, trl


def rows(scratch: Path) -> list[Row]:
    """CPU seconds, median of five, warm."""
    recipe = data.recipe(scratch, data.chat_rows(scratch, 200))
    typo = scratch / "typo.yaml"
    typo.write_text(recipe.read_text() + "lerning_rate: 1.0e-5\n")
    trl_help = median(trl("--help"))
    trl_sft_help = median(trl("sft", "--help"), times=3)
    trl_typo = median(trl("sft", "--config", str(typo)), times=3)
    cases = [
        ("align --version", align("--version"), 0, 0.15, trl_help, "trl --help"),
        ("align --help", align("--help"), 0, 0.35, trl_help, "trl --help"),
        ("align train sft --help", align("train", "sft", "--help"), 0, 0.4, trl_sft_help, "trl sft --help"),
        ("align train sft R --dry-run", align("train", "sft", str(recipe), "--dry-run"), 0, 0.6, None, ""),
        ("a misspelt key until the error", align("train", "sft", str(typo)), 2, 0.5, trl_typo, "trl sft, same typo"),
    ]
    table = []
    for what, command, code, bar, peer, peer_name in cases:
        ours = median(command)
        if ours.code != code:
            raise RuntimeError(f"{what} ended with {ours.code}, expected {code}:\n{ours.output[-2000:]}")
        table.append(
            Row(
                what,
                f"{ours.cpu_s:.2f} s",
                f"{peer.cpu_s:.2f} s ({peer_name})" if peer else "-",
                f"{ours.cpu_s / peer.cpu_s:.2f}" if peer else "-",
                f"<= {bar} s CPU",
                ours.cpu_s <= bar,
            )
        )
    return table

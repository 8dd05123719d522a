"""The page in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from align_cli.evals.report.page import page
from tests.evals.report.building import alone, answers, battle, evaluation, questions, report
from tests.evals.report.test_page import HOSTILE, hostile

pytestmark = pytest.mark.slow


def dom(place: Path, tmp_path: Path, address: str = "") -> str:
    """What the page has become after its script ran."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
    if browser is None:
        pytest.skip("needs chromium")
    flags = [
        "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
        "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}",
    ]  # fmt: skip
    if os.geteuid() == 0:
        flags.append("--no-sandbox")
    done = subprocess.run(
        [browser, *flags, "--dump-dom", f"{place.as_uri()}{address}"], capture_output=True, check=True, timeout=120
    )
    return done.stdout.decode("utf-8", "replace")


def shown(text: str) -> str:
    """Without the data and the scripts."""
    return re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


def test_answers_that_hold_markup_are_shown_and_not_run(tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    # Half a pair of surrogates is shown as a replacement sign, but --dump-dom dies of it.
    texts = [text for text in HOSTILE if text.encode("utf-8", "ignore").decode() == text]
    place.write_text(page(hostile(tmp_path / "held", texts)), encoding="utf-8")

    found = shown(dom(place, tmp_path, "#all=1"))

    assert found.count('class="question"') == len(texts) == len(HOSTILE) - 1
    assert "<img" not in found
    assert re.search(r"<title>[^<]*</title>", found)[0] != "<title>run</title>"
    assert "&lt;/script&gt;&lt;img src=x onerror=" in found


def test_an_address_shows_its_question_its_models_and_its_filter(tmp_path: Path) -> None:
    asked = questions(6)
    held = [
        evaluation(
            tmp_path / name,
            name,
            [alone(name, one.id, turn, score, text=f"**judged** {one.id}") for one in asked for turn in (1, 2)]
            + battle("a", "b", 2, "a", "b"),
            answers(asked),
        )
        for name, score in (("a", 9.0), ("b", 3.0))
    ]
    place = tmp_path / "report.html"
    place.write_text(page(report(held, asked)), encoding="utf-8")

    found = shown(dom(place, tmp_path, "#q=2&category=writing&models=1"))

    assert re.findall(r"<h3>Question (\d+)</h3>", found) == ["2"]
    assert re.findall(r'<span class="what"><span>(\d+)</span>', found) == ["0", "2", "4"]
    assert found.count('class="answer"') == 2
    assert "<strong>judged</strong> 2" in found
    assert "the games contradict each other: the answer shown first fares better" in found
    assert ">3 of 6 questions<" in found

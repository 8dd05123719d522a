from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from align_simpo.task import loss

from align_cli.plugins import Answers

RECIPE = Path(__file__).parents[1] / "simpo.yaml"


def test_the_loss_is_what_its_formula_says():
    recipe = SimpleNamespace(get={"beta": 2.0, "simpo_gamma": 1.0}.get)
    answers = Answers(
        chosen=torch.tensor([-4.0]),
        rejected=torch.tensor([-9.0]),
        chosen_tokens=torch.tensor([4]),
        rejected_tokens=torch.tensor([3]),
    )

    found = loss(answers, recipe)

    # r_w = 2 * -4 / 4 = -2, r_l = 2 * -9 / 3 = -6, r_w - r_l - gamma = 3
    assert found.losses.item() == pytest.approx(math.log(1 + math.exp(-3)))


def test_the_task_is_installed_and_its_recipe_is_right():
    argv = [sys.executable, "-m", "align_cli", "recipe", "check", str(RECIPE), "--task", "simpo"]

    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr

"""DPO's, KTO's and ORPO's losses against their papers' formulas, by hand in float64, on fixed log-probabilities."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.slow

BETA = 0.3
#: Summed log-probabilities of three answers each, and their lengths in tokens.
CHOSEN, REJECTED = (-12.5, -3.25, -40.0), (-11.0, -9.5, -38.0)
REF_CHOSEN, REF_REJECTED = (-13.0, -3.0, -44.0), (-10.0, -9.75, -37.0)
CHOSEN_TOKENS, REJECTED_TOKENS = (5, 2, 9), (4, 6, 9)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def mean(values: Any) -> float:
    values = list(values)
    return sum(values) / len(values)


RATIOS = (
    [c - r for c, r in zip(CHOSEN, REF_CHOSEN, strict=True)],
    [c - r for c, r in zip(REJECTED, REF_REJECTED, strict=True)],
)
MARGINS = [c - r for c, r in zip(*RATIOS, strict=True)]

#: Each from its paper; see `tasks/losses.toml` for which.
DPO = {
    "sigmoid": lambda: mean(-math.log(sigmoid(BETA * m)) for m in MARGINS),
    "hinge": lambda: mean(max(0.0, 1 - BETA * m) for m in MARGINS),
    "ipo": lambda: mean(
        (c / n - r / k - 1 / (2 * BETA)) ** 2
        for c, r, n, k in zip(*RATIOS, CHOSEN_TOKENS, REJECTED_TOKENS, strict=True)
    ),
    "sigmoid_norm": lambda: mean(
        -math.log(sigmoid(BETA * (c / n - r / k)))
        for c, r, n, k in zip(*RATIOS, CHOSEN_TOKENS, REJECTED_TOKENS, strict=True)
    ),
    "apo_zero": lambda: mean((1 - sigmoid(BETA * c)) + sigmoid(BETA * r) for c, r in zip(*RATIOS, strict=True)),
    "apo_down": lambda: mean(
        sigmoid(BETA * c) + 1 - sigmoid(BETA * (c - r)) for c, r in zip(*RATIOS, strict=True)
    ),
    "sppo_hard": lambda: mean(
        (c - 0.5 / BETA) ** 2 + (r + 0.5 / BETA) ** 2 for c, r in zip(*RATIOS, strict=True)
    ),
    "nca_pair": lambda: mean(
        -math.log(sigmoid(BETA * c)) - 0.5 * math.log(sigmoid(-BETA * c)) - 0.5 * math.log(sigmoid(-BETA * r))
        for c, r in zip(*RATIOS, strict=True)
    ),
    "kto_pair": lambda: mean(
        [1 - sigmoid(BETA * (c - max(0.0, mean(RATIOS[1])))) for c in RATIOS[0]]
        + [1 - sigmoid(BETA * (max(0.0, mean(RATIOS[0])) - r)) for r in RATIOS[1]]
    ),
}  # fmt: skip


class Scores:
    """Stands in for a model: spreads the fixed sums evenly over each answer's tokens."""

    def __init__(self, sums: tuple[float, ...]) -> None:
        self.sums = sums

    def __call__(self, *, labels: Any, **given: Any) -> Any:
        import torch

        wanted = labels[:, 1:] != -100
        per_token = torch.tensor(self.sums, dtype=torch.float64)[:, None] / wanted.sum(dim=1, keepdim=True)
        values = torch.where(wanted, per_token, 0.0)
        nothing = torch.zeros_like(values)
        return SimpleNamespace(
            log_probs=values, entropy=nothing, mean_logits=nothing, is_top1=wanted, log_sum_sq_probs=None, aux_loss=None
        )


def pairs_batch() -> dict[str, Any]:
    """One prompt token before each answer; three chosen, then three rejected."""
    import torch

    counts = (*CHOSEN_TOKENS, *REJECTED_TOKENS)
    width = 1 + max(counts)
    mask = torch.tensor([[1] * (1 + n) + [0] * (width - 1 - n) for n in counts])
    answers = mask.clone()
    answers[:, 0] = 0
    return {"input_ids": mask.clone(), "attention_mask": mask, "completion_mask": answers}


@pytest.fixture(scope="module")
def trainers(tiny_folder: Any) -> dict[str, Any]:
    """One trainer of each kind on a tiny model; only their losses are used."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from align_cli import registry
    from align_cli.tasks import dpo, kto, orpo

    ids = {"prompt_ids": [[1, 2]] * 4, "chosen_ids": [[3]] * 4, "rejected_ids": [[4]] * 4}
    judged = {"prompt_ids": [[1, 2]] * 4, "completion_ids": [[3]] * 4, "label": [True, False] * 2}
    made = {}
    for name, module, rows in (("dpo", dpo, ids), ("kto", kto, judged), ("orpo", orpo, ids)):
        assert registry.get(registry.TASKS, name) is module.TASK
        torch.manual_seed(0)
        extra = {"precompute_ref_log_probs": True} if name != "orpo" else {"remove_unused_columns": False}
        config = module._config()(
            output_dir=str(tiny_folder / "out"), beta=BETA, bf16=False, report_to="none", use_cpu=True,
            dataloader_pin_memory=False, per_device_train_batch_size=4, **extra,
        )  # fmt: skip
        tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
        tokenizer.pad_token = tokenizer.eos_token
        made[name] = module._trainer()(
            model=AutoModelForCausalLM.from_pretrained(tiny_folder), args=config,
            train_dataset=Dataset.from_dict(rows), processing_class=tokenizer,
        )  # fmt: skip
    return made


@pytest.mark.parametrize("loss", DPO)
def test_a_dpo_loss_is_its_papers(loss: str, trainers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    trainer = trainers["dpo"]
    monkeypatch.setattr(trainer, "loss_types", [loss])
    monkeypatch.setattr(trainer, "loss_weights", [1.0])
    monkeypatch.setattr(trainer, "looked", True)
    batch = pairs_batch()
    batch["ref_chosen_logps"] = torch.tensor(REF_CHOSEN, dtype=torch.float64)
    batch["ref_rejected_logps"] = torch.tensor(REF_REJECTED, dtype=torch.float64)

    found = trainer._compute_loss(Scores((*CHOSEN, *REJECTED)), batch, return_outputs=False)

    assert float(found) == pytest.approx(DPO[loss](), abs=1e-12)


def test_losses_add_up_with_their_weights(trainers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    trainer = trainers["dpo"]
    monkeypatch.setattr(trainer, "loss_types", ["hinge", "kto_pair"])
    monkeypatch.setattr(trainer, "loss_weights", [0.5, 2.0])
    monkeypatch.setattr(trainer, "looked", True)
    batch = pairs_batch()
    batch["ref_chosen_logps"] = torch.tensor(REF_CHOSEN, dtype=torch.float64)
    batch["ref_rejected_logps"] = torch.tensor(REF_REJECTED, dtype=torch.float64)

    found = trainer._compute_loss(Scores((*CHOSEN, *REJECTED)), batch, return_outputs=False)

    assert float(found) == pytest.approx(0.5 * DPO["hinge"]() + 2 * DPO["kto_pair"](), abs=1e-12)


def test_the_kto_loss_is_its_papers(trainers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Eq. 7 of arXiv:2402.01306, its divergence the mean log-ratio of exchanged answers, not below 0."""
    import torch

    trainer = trainers["kto"]
    monkeypatch.setattr(trainer, "desirable_weight", 1.5)
    monkeypatch.setattr(trainer, "undesirable_weight", 0.5)
    labels = (True, True, True, False, False, False)
    exchanged, ref_exchanged = (-20.0,) * 6, (-20.25, -20.5, -20.0, -21.0, -19.0, -20.75)
    batch = pairs_batch()
    for key in ("input_ids", "attention_mask", "completion_mask"):
        batch[f"KL_{key}"] = batch[key]
    batch["label"] = torch.tensor(labels)
    batch["ref_logps"] = torch.tensor((*REF_CHOSEN, *REF_REJECTED), dtype=torch.float64)
    batch["ref_KL_logps"] = torch.tensor(ref_exchanged, dtype=torch.float64)
    calls = iter((exchanged, (*CHOSEN, *REJECTED)))  # upstream asks for the exchanged answers first

    found = trainer._compute_loss(lambda **given: Scores(next(calls))(**given), batch, return_outputs=False)

    divergence = max(0.0, mean(a - b for a, b in zip(exchanged, ref_exchanged, strict=True)))
    good = [1.5 * (1 - sigmoid(BETA * (ratio - divergence))) for ratio in RATIOS[0]]
    bad = [0.5 * (1 - sigmoid(BETA * (divergence - ratio))) for ratio in RATIOS[1]]
    assert float(found) == pytest.approx(mean(good + bad), abs=1e-12)


def test_the_orpo_loss_is_its_papers(trainers: dict[str, Any]) -> None:
    """Eqs. 4 to 7 of arXiv:2403.07691, likelihoods averaged over an answer's tokens."""
    trainer = trainers["orpo"]

    loss, _ = trainer.get_batch_loss_metrics(Scores((*CHOSEN, *REJECTED)), pairs_batch())

    # In this batch the chosen wholes are scored with their prompts' one token, which nothing precedes.
    def log_odds(log_p: float) -> float:
        return log_p - math.log(1 - math.exp(log_p))

    chosen = [total / n for total, n in zip(CHOSEN, CHOSEN_TOKENS, strict=True)]
    rejected = [total / n for total, n in zip(REJECTED, REJECTED_TOKENS, strict=True)]
    likelihood = -sum(CHOSEN) / sum(CHOSEN_TOKENS)
    ratio = mean(math.log(sigmoid(log_odds(c) - log_odds(r))) for c, r in zip(chosen, rejected, strict=True))
    assert float(loss) == pytest.approx(likelihood - BETA * ratio, abs=1e-6)  # upstream: float32

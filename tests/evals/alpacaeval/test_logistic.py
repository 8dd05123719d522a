from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest

from align_cli.evals.alpacaeval.logistic import Sample, bounded, choose_c, fit, solver_seeds, twister

SKLEARN = "compares with scikit-learn: pip install scikit-learn"


def made(seed: int, kind: str) -> tuple[Sample, float]:
    """A random problem, and a C."""
    random = np.random.RandomState(seed)
    rows, size = random.randint(6, 500), random.randint(1, 6)
    features = random.normal(size=(rows, size)) * random.choice([0.01, 1, 5], size=size)
    if seed % 2:
        features[:, -1] = 1
    target = 1 / (1 + np.exp(-features @ random.normal(size=size) - random.normal(size=rows)))
    if kind == "hard":
        target = (target > np.median(target)).astype(float)
    elif kind == "draws":
        target[random.uniform(size=rows) < 0.3] = 0.5
    elif kind == "lost":
        target[random.uniform(size=rows) < 0.4] = 0
    sample = Sample(features=features, target=target, weight=random.choice([0.1, 1.0], size=rows))
    return sample, float(10 ** random.uniform(-4, 4))


def twice(sample: Sample) -> tuple[Any, Any, Any]:
    """Features, labels and weights: each row with label 1, then each with label 0."""
    features = np.concatenate([sample.features] * 2)
    labels = np.repeat([1, 0], len(sample.target))
    weights = np.concatenate([sample.target * sample.weight, (1 - sample.target) * sample.weight])
    return features, labels, weights


@pytest.mark.parametrize("kind", ["soft", "hard", "draws", "lost"])
@pytest.mark.parametrize("seed", range(25))
def test_the_search_stops_where_liblinear_stops(kind: str, seed: int) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason=SKLEARN)
    sample, C = made(seed, kind)  # noqa: N806
    features, labels, weights = twice(sample)
    theirs = linear_model.LogisticRegression(
        C=C, l1_ratio=1, solver="liblinear", fit_intercept=False, random_state=123
    ).fit(features, labels, sample_weight=weights)

    ours = fit(sample, C=C, seed=solver_seeds(1)[0])

    assert ours.coefficients == pytest.approx(theirs.coef_[0], abs=1e-8)
    assert ours.num_steps == theirs.n_iter_[0]


@pytest.mark.parametrize("kind", ["soft", "hard", "draws"])
@pytest.mark.parametrize("seed", range(4))
def test_c_is_chosen_as_by_logistic_regression_cv(kind: str, seed: int) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason=SKLEARN)
    sklearn = pytest.importorskip("sklearn", reason=SKLEARN)
    sample, _ = made(seed, kind)
    features, labels, weights = twice(sample)
    with sklearn.config_context(enable_metadata_routing=True):
        theirs = linear_model.LogisticRegressionCV(
            Cs=10,
            cv=pytest.importorskip("sklearn.model_selection").GroupKFold(5),
            l1_ratios=(1,),
            solver="liblinear",
            fit_intercept=False,
            random_state=123,
            scoring=pytest.importorskip("sklearn.metrics")
            .make_scorer(soft_log_likelihood, response_method="predict_proba")
            .set_score_request(target=True, weight=True),
            use_legacy_attributes=False,
        ).set_fit_request(sample_weight=True)
        theirs.fit(
            features,
            labels,
            sample_weight=weights,
            groups=np.tile(np.arange(len(sample.target)), 2),
            target=np.tile(sample.target, 2),
            weight=np.tile(sample.weight, 2),
        )

    ours = choose_c(sample)

    assert ours == theirs.C_
    assert fit(sample, C=ours, seed=solver_seeds(1)[0]).coefficients == pytest.approx(theirs.coef_[0], abs=1e-8)


def soft_log_likelihood(label: Any, said: Any, *, target: Any, weight: Any) -> float:
    """AlpacaEval's score, in other words: labels do not matter, as both copies of a row have the row's target."""
    said = np.clip(said, 1e-15, 1 - 1e-15)
    return float(np.mean(weight * (target * np.log(said) + (1 - target) * np.log1p(-said))))


@pytest.mark.parametrize("preference", [0.0, 1.0])
def test_rows_that_all_say_the_same_are_followed(preference: float) -> None:
    sample = Sample(features=np.ones((20, 1)), target=np.full(20, preference), weight=np.ones(20))

    found = fit(sample, C=1.0, seed=1)

    # 1 = 20 (1 - sigma(b)) at the optimum
    assert found.coefficients[0] == pytest.approx((2 * preference - 1) * np.log(19), rel=1e-3)


def test_a_heavy_penalty_leaves_only_zeros() -> None:
    sample, _ = made(1, "soft")

    assert set(fit(sample, C=1e-6, seed=1).coefficients) == {0.0}


def test_among_equal_scores_the_smallest_c_is_taken() -> None:
    sample = Sample(features=np.ones((10, 1)), target=np.full(10, 0.5), weight=np.ones(10))

    assert choose_c(sample) == pytest.approx(1e-4)


def test_random_words_are_those_of_cpp() -> None:
    # ISO C++ [rand.predef]: the 10000th word of a default-seeded mt19937
    assert next(islice(twister(5489), 9999, None)) == 4123659995


def test_bounded_numbers_refuse_words_that_would_favour_some() -> None:
    # 2^32 = 3 * 1431655765 + 1: word 0 is the one too many
    assert bounded(3, iter([0, 5])) == 0
    assert [bounded(3, iter([word])) for word in (1, 1431655766, 2863311531, 2**32 - 1)] == [0, 1, 2, 2]

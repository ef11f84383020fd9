import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo.language.sampler import LogUniformSampler, Negatives

# 5 standard deviations of a mean of so many yes-or-no draws, whatever their probability.
N_DRAWS = 4000
TOLERANCE = 5 * 0.5 / math.sqrt(N_DRAWS)


def draws(n_classes: int, n_negatives: int, n: int = N_DRAWS) -> list[Negatives]:
    sampler, rng = LogUniformSampler(n_classes, n_negatives), np.random.default_rng(0)
    return [sampler.draw(rng) for _ in range(n)]


def draw_one_by_one(n_classes: int, n_negatives: int, seed: int) -> tuple[list[int], int]:
    """The first distinct classes of a stream of draws, and how many draws they took."""
    rng = np.random.default_rng(seed)
    classes: list[int] = []
    n_draws = 0
    while len(classes) < n_negatives:
        drawn = min(int(math.exp(rng.random() * math.log(n_classes + 1)) - 1), n_classes - 1)
        n_draws += 1
        if drawn not in classes:
            classes.append(drawn)
    return classes, n_draws


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    n_classes = draw(st.integers(2, 60))
    return n_classes, draw(st.integers(1, n_classes - 1))


@settings(max_examples=100, deadline=None)
@given(sizes=sizes(), seed=st.integers(0, 2**32))
def test_a_draw_is_that_of_drawing_one_by_one(sizes: tuple[int, int], seed: int) -> None:
    n_classes, n_negatives = sizes
    found = LogUniformSampler(n_classes, n_negatives).draw(np.random.default_rng(seed))
    classes, n_draws = draw_one_by_one(n_classes, n_negatives, seed)
    assert found.classes.tolist() == classes
    assert found.classes.dtype == np.int64
    assert found.expected_counts.dtype == np.float32
    absent = [(1 - math.log((k + 2) / (k + 1)) / math.log(n_classes + 1)) ** n_draws for k in range(n_classes)]
    np.testing.assert_allclose(found.expected_counts, 1 - np.array(absent), rtol=1e-5)


def test_the_first_draw_follows_the_log_uniform_law() -> None:
    n_classes = 12
    counts = np.bincount([int(negatives.classes[0]) for negatives in draws(n_classes, 1)], minlength=n_classes)
    # Class k is where exp(uniform(0, log(n_classes + 1))) lies between k + 1 and k + 2.
    bounds = np.log(np.arange(1, n_classes + 2)) / np.log(n_classes + 1)
    wanted = N_DRAWS * np.diff(bounds)
    assert ((counts - wanted) ** 2 / wanted).sum() < 31.3  # 99.9 % of chi-squared with 11 degrees of freedom


def test_the_probabilities_add_up() -> None:
    assert LogUniformSampler(1000, 10).probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize(("n_classes", "n_negatives"), [(30, 3), (30, 10), (30, 15), (2, 1)])
def test_expected_counts_are_how_often_a_class_is_among_the_negatives(n_classes: int, n_negatives: int) -> None:
    many = draws(n_classes, n_negatives)
    measured = np.bincount(np.concatenate([one.classes for one in many]), minlength=n_classes) / len(many)
    expected = np.mean([one.expected_counts for one in many], axis=0)
    np.testing.assert_allclose(expected, measured, atol=TOLERANCE)


def test_expected_counts_fall_with_the_rank_and_are_those_of_all_classes() -> None:
    for negatives in draws(50, 10, n=20):
        counts = negatives.expected_counts
        assert counts.shape == (50,)
        assert (np.diff(counts) < 0).all()
        assert (counts > 0).all()
        assert (counts < 1).all()


@pytest.mark.parametrize(("n_classes", "n_negatives"), [(2, 1), (10, 9), (3000, 2999), (100_000, 8192)])
def test_classes_are_distinct_up_to_all_but_one(n_classes: int, n_negatives: int) -> None:
    for negatives in draws(n_classes, n_negatives, n=3):
        assert negatives.classes.shape == (n_negatives,)
        assert len(set(negatives.classes.tolist())) == n_negatives
        assert negatives.classes.min() >= 0
        assert negatives.classes.max() < n_classes


def test_draws_go_on_from_the_generator() -> None:
    first, second = draws(1000, 50, n=2)
    again, _ = draws(1000, 50, n=2)
    assert np.array_equal(first.classes, again.classes)
    assert not np.array_equal(first.classes, second.classes)


@pytest.mark.parametrize(("n_classes", "n_negatives"), [(10, 0), (10, -1), (10, 10), (10, 11), (1, 1), (0, 0)])
def test_numbers_that_make_no_draw_are_refused(n_classes: int, n_negatives: int) -> None:
    with pytest.raises(ValueError, match=f"Cannot draw {n_negatives} distinct negatives from {n_classes} classes"):
        LogUniformSampler(n_classes, n_negatives)

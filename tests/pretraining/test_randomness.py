from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo.pretraining.randomness import Purpose, dropout_factors, generator


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    step=st.integers(0, 2**40),
    n_lanes=st.integers(2, 9),
    cut=st.integers(1, 8),
    unroll=st.integers(1, 5),
    size=st.integers(1, 40),
)
def test_lanes_of_two_ranks_are_the_lanes_of_one(
    seed: int, step: int, n_lanes: int, cut: int, unroll: int, size: int
) -> None:
    cut = min(cut, n_lanes - 1)

    def factors(lanes: range) -> np.ndarray:
        return dropout_factors(seed, step, lanes, unroll, size, 0.3).reshape(unroll, len(lanes), size)

    parts = [factors(range(cut)), factors(range(cut, n_lanes))]
    assert np.array_equal(factors(range(n_lanes)), np.concatenate(parts, axis=1))


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_factors_are_zero_at_their_rate_and_keep_the_mean(probability: float) -> None:
    factors = dropout_factors(1, 2, range(16), 20, 300, probability)
    assert factors.shape == (20 * 16, 300)
    assert factors.dtype == np.float32
    np.testing.assert_allclose(np.unique(factors), [0, 1 / (1 - probability)], rtol=1e-4)
    n = factors.size
    deviation = np.sqrt(probability * (1 - probability) / n)
    assert abs((factors == 0).mean() - probability) < 5 * deviation
    assert abs(factors.mean() - 1) < 5 * deviation / (1 - probability)


def test_no_dropout_is_ones() -> None:
    assert (dropout_factors(0, 0, range(4), 5, 6, 0.0) == 1).all()


def test_no_part_of_a_mask_comes_twice() -> None:
    """Not even shifted: lanes, steps and seeds draw from places of the generator that do not overlap."""
    length = 64
    seen: set[bytes] = set()
    n = 0
    for seed, step, lane in product((0, 1, 2**40), (0, 1, 2), range(3)):
        bits = (dropout_factors(seed, step, range(lane, lane + 1), 4, 100, 0.5) > 0).ravel().astype(np.uint8).tobytes()
        parts = [bits[i : i + length] for i in range(len(bits) - length + 1)]
        seen.update(parts)
        n += len(parts)
    assert len(seen) == n


def test_a_generator_depends_on_seed_number_and_purpose_alone() -> None:
    cases = list(product((0, 1, 2**63 - 1), (0, 1, 1000), Purpose))
    drawn = [generator(*case).integers(2**62, size=8) for case in cases]
    again = [generator(*case).integers(2**62, size=8) for case in cases]
    assert all(np.array_equal(one, other) for one, other in zip(drawn, again, strict=True))
    assert not any(np.isin(one, other).any() for one, other in combinations(drawn, 2))

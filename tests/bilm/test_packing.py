import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo.bilm import packing
from spacy_elmo.bilm.packing import Packing

some_lengths = st.lists(st.integers(1, 12), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(lengths=some_lengths)
def test_rows_are_those_of_a_loop_over_steps_and_sequences(lengths: list[int]) -> None:
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    sizes, forward, backward = [], [], []
    for step in range(max(lengths)):
        alive = [i for i in order if lengths[i] > step]
        sizes.append(len(alive))
        forward += [starts[i] + step for i in alive]
        backward += [starts[i] + lengths[i] - 1 - step for i in alive]
    packed = Packing.of(lengths)
    assert packed.order.tolist() == order
    assert packed.batch_sizes.tolist() == sizes
    assert packed.forward.tolist() == forward
    assert packed.backward.tolist() == backward
    assert packed.directions == (packed.forward, packed.backward)


@settings(max_examples=100, deadline=None)
@given(lengths=some_lengths)
def test_unpacking_gives_back_the_flat_rows(lengths: list[int]) -> None:
    packed = Packing.of(lengths)
    flat = np.random.default_rng(0).normal(size=(sum(lengths), 3))
    for rows in packed.directions:
        assert sorted(rows.tolist()) == list(range(sum(lengths)))
        unpacked = np.full_like(flat, np.nan)
        unpacked[rows] = flat[rows]
        np.testing.assert_array_equal(unpacked, flat)
        np.testing.assert_array_equal(flat[rows][np.argsort(rows)], flat)


@settings(max_examples=100, deadline=None)
@given(lengths=some_lengths)
def test_batch_sizes_never_increase_and_sum_to_the_rows(lengths: list[int]) -> None:
    sizes = Packing.of(lengths).batch_sizes.tolist()
    assert all(a >= b for a, b in itertools.pairwise(sizes))
    assert sizes[0] == len(lengths)
    assert sizes[-1] >= 1
    assert len(sizes) == max(lengths)
    assert sum(sizes) == sum(lengths)


def test_the_drawing_in_the_docstring() -> None:
    packed = Packing.of([2, 3])
    flat = ["a0", "a1", "b0", "b1", "b2"]

    def draw(rows: np.ndarray) -> str:
        names = iter([flat[i] for i in rows])
        return " | ".join(" ".join(itertools.islice(names, int(size))) for size in packed.batch_sizes)

    assert draw(packed.forward) == "b0 a0 | b1 a1 | b2"
    assert draw(packed.backward) == "b2 a1 | b1 a0 | b0"
    drawing = " ".join((packing.__doc__ or "").split())
    assert f"flat {' '.join(flat)} forward {draw(packed.forward)} backward {draw(packed.backward)}" in drawing


def test_sequences_of_one_length_keep_their_order() -> None:
    assert Packing.of([2, 3, 2, 3, 2]).order.tolist() == [1, 3, 0, 2, 4]


@settings(max_examples=150, deadline=None)
@given(lengths=some_lengths, max_rows=st.integers(1, 40))
def test_chunks_cover_each_step_once(lengths: list[int], max_rows: int) -> None:
    packed = Packing.of(lengths)
    chunks = packed.chunks(max_rows)
    n_steps, n_rows = len(packed.batch_sizes), sum(lengths)
    assert [i for steps, _ in chunks for i in range(n_steps)[steps]] == list(range(n_steps))
    assert [i for _, rows in chunks for i in range(n_rows)[rows]] == list(range(n_rows))
    counts = [rows.stop - rows.start for _, rows in chunks]
    for (steps, _), count in zip(chunks, counts, strict=True):
        assert count == packed.batch_sizes[steps].sum()
        assert count <= max_rows or steps.stop - steps.start == 1
    # None is smaller than it has to be: the first step of the next chunk would not have fitted.
    for count, (steps, _) in zip(counts, chunks[1:], strict=False):
        assert count + packed.batch_sizes[steps.start] > max_rows


@pytest.mark.parametrize("lengths", [[], [0], [3, 0, 2], [2, -1]])
def test_a_sequence_needs_a_row(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one row") as error:
        Packing.of(lengths)
    assert str(lengths) in str(error.value)

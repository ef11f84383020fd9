from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo.layers.cache import LayerCache

Array = npt.NDArray[np.float32]
FLOAT = np.dtype(np.float32).itemsize


class Texts:
    """Stands for the biLM: the array of the key (name, size) holds `size` floats; asks are noted."""

    def __init__(self) -> None:
        self.computed: list[tuple[str, int]] = []

    def get(self, cache: LayerCache, keys: Sequence[tuple[str, int]], version: int = 1) -> list[Array]:
        def compute(positions: list[int]) -> list[Array]:
            self.computed += [keys[i] for i in positions]
            return [np.full(keys[i][1], sum(map(ord, keys[i][0])), dtype=np.float32) for i in positions]

        return cache.get(keys, version, compute)


A, B, C = ("a", 10), ("b", 10), ("c", 10)


def test_what_is_held_is_not_computed_again() -> None:
    cache, texts = LayerCache(1000), Texts()
    first = texts.get(cache, [A, B])
    second = texts.get(cache, [B, C, A])
    assert texts.computed == [A, B, C]
    np.testing.assert_array_equal(second[0], first[1])
    np.testing.assert_array_equal(second[2], first[0])
    np.testing.assert_array_equal(second[1], np.full(10, ord("c")))


def test_least_recently_used_is_dropped_first() -> None:
    cache, texts = LayerCache(2 * 10 * FLOAT), Texts()
    texts.get(cache, [A, B])
    texts.get(cache, [A])
    texts.get(cache, [C])
    assert len(cache) == 2
    texts.computed.clear()
    texts.get(cache, [A])
    texts.get(cache, [C])
    assert texts.computed == []
    texts.get(cache, [B])
    assert texts.computed == [B]


def test_bytes_are_counted_and_not_arrays() -> None:
    cache, texts = LayerCache(100 * FLOAT), Texts()
    texts.get(cache, [("small", 1), ("middle", 40), ("large", 90)])
    assert len(cache) == 1
    assert cache.n_bytes == 90 * FLOAT
    texts.computed.clear()
    texts.get(cache, [("large", 90)])
    assert texts.computed == []


def test_array_larger_than_the_budget_drops_nothing() -> None:
    cache, texts = LayerCache(20 * FLOAT), Texts()
    texts.get(cache, [A, ("huge", 1000)])
    texts.computed.clear()
    (array,) = texts.get(cache, [A])
    assert texts.computed == []
    np.testing.assert_array_equal(array, np.full(10, ord("a")))


def test_another_version_drops_everything() -> None:
    cache, texts = LayerCache(1000), Texts()
    texts.get(cache, [A, B], version=1)
    texts.get(cache, [A], version=2)
    assert texts.computed == [A, B, A]
    assert cache.n_bytes == 10 * FLOAT
    texts.get(cache, [A], version=1)
    assert texts.computed == [A, B, A, A]


def test_arrays_are_read_only() -> None:
    """They are handed out again, so nobody may change them."""
    cache, texts = LayerCache(1000), Texts()
    for _ in range(2):
        (array,) = texts.get(cache, [A])
        with pytest.raises(ValueError, match="read-only"):
            array += 1


def test_budget_0_keeps_nothing() -> None:
    cache, texts = LayerCache(0), Texts()
    for _ in range(2):
        np.testing.assert_array_equal(texts.get(cache, [A])[0], np.full(10, ord("a")))
    assert texts.computed == [A, A]
    assert len(cache) == 0
    assert cache.n_bytes == 0


def test_negative_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        LayerCache(-1)


@pytest.mark.parametrize("max_bytes", [0, 1000])
def test_duplicates_in_one_call_are_computed_once(max_bytes: int) -> None:
    cache, texts = LayerCache(max_bytes), Texts()
    arrays = texts.get(cache, [A, B, A, A])
    assert sorted(texts.computed) == [A, B]
    for array, value in zip(arrays, "abaa", strict=True):
        np.testing.assert_array_equal(array, np.full(10, ord(value)))


def test_no_keys_compute_nothing() -> None:
    texts = Texts()
    assert texts.get(LayerCache(10), []) == []
    assert texts.computed == []


def test_clear_forgets_all() -> None:
    cache, texts = LayerCache(1000), Texts()
    texts.get(cache, [A])
    cache.clear()
    assert (len(cache), cache.n_bytes) == (0, 0)
    texts.get(cache, [A])
    assert texts.computed == [A, A]


@settings(deadline=None)
@given(
    max_bytes=st.integers(0, 40).map(lambda n: n * FLOAT),
    calls=st.lists(st.tuples(st.lists(st.sampled_from("abcdefgh"), max_size=6), st.integers(1, 2)), max_size=12),
)
def test_any_calls_give_the_right_arrays_within_the_budget(max_bytes: int, calls: list[tuple[list[str], int]]) -> None:
    """Sizes of the arrays run from 0 to 14 floats."""
    cache, texts = LayerCache(max_bytes), Texts()
    for names, version in calls:
        keys = [(name, 2 * (ord(name) - ord("a"))) for name in names]
        texts.computed.clear()
        arrays = texts.get(cache, keys, version)
        assert len(texts.computed) == len(set(texts.computed))
        assert cache.n_bytes <= max_bytes
        assert cache.n_bytes == sum(array.nbytes for array in cache._arrays.values())
        for array, (name, size) in zip(arrays, keys, strict=True):
            np.testing.assert_array_equal(array, np.full(size, ord(name)))

import copy
import pickle
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

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

    def get(
        self, cache: LayerCache, keys: Sequence[tuple[str, int]], weights: int = 1, *, is_train: bool = True
    ) -> list[Array]:
        def compute(positions: list[int]) -> list[Array]:
            self.computed += [keys[i] for i in positions]
            return [np.full(keys[i][1], sum(map(ord, keys[i][0])), dtype=np.float32) for i in positions]

        return cache.get(keys, weights, compute, is_train=is_train)


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


def test_other_weights_drop_everything() -> None:
    cache, texts = LayerCache(1000), Texts()
    texts.get(cache, [A, B], weights=1)
    texts.get(cache, [A], weights=2)
    assert texts.computed == [A, B, A]
    assert cache.n_bytes == 10 * FLOAT
    texts.get(cache, [A], weights=1)
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


def test_a_text_that_is_predicted_is_not_kept() -> None:
    cache, texts = LayerCache(1000), Texts()
    texts.get(cache, [A])
    for _ in range(3):
        texts.get(cache, [B], is_train=False)
    assert texts.computed == [A, B, B, B]
    assert len(cache) == 1


def test_a_text_of_an_evaluation_is_kept_when_it_comes_again_after_more_training() -> None:
    cache, texts = LayerCache(1000), Texts()
    for _ in range(4):
        texts.get(cache, [A])
        texts.get(cache, [B], is_train=False)
    assert texts.computed == [A, B, B]
    texts.get(cache, [B, C], is_train=False)
    assert texts.computed == [A, B, B, C]


def test_what_is_held_serves_prediction() -> None:
    cache, texts = LayerCache(1000), Texts()
    texts.get(cache, [A])
    texts.get(cache, [A], is_train=False)
    assert texts.computed == [A]


def test_only_so_many_predicted_texts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spacy_elmo.layers.cache.MAX_PREDICTED", 5)
    cache, texts = LayerCache(1000), Texts()
    texts.get(cache, [A])
    for i in range(100):
        texts.get(cache, [(f"text {i}", 1)], is_train=False)
    assert len(cache._predicted) == 5
    texts.get(cache, [A])
    texts.get(cache, [("text 0", 1), ("text 99", 1)], is_train=False)
    assert len(cache) == 2


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))])
def test_a_copy_begins_empty(duplicate: Callable[[LayerCache], LayerCache]) -> None:
    cache, texts = LayerCache(1000), Texts()
    texts.get(cache, [A])
    copied = duplicate(cache)
    assert (copied.max_bytes, len(copied), copied.n_bytes) == (1000, 0, 0)
    assert len(pickle.dumps(cache)) < 200


def test_threads_share_it_within_the_budget() -> None:
    """Arrays are dropped all the time: two of four fit."""
    cache = LayerCache(2 * 10 * FLOAT)
    names = "abcd"

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(300):
            keys = [(names[i], 10) for i in rng.integers(len(names), size=3)]
            for array, (name, _) in zip(Texts().get(cache, keys), keys, strict=True):
                np.testing.assert_array_equal(array, np.full(10, ord(name)))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(read, range(8)))
    finally:
        sys.setswitchinterval(before)
    assert cache.n_bytes == sum(array.nbytes for array in cache._arrays.values()) <= cache.max_bytes
    assert len(cache) == 2


def test_two_threads_that_compute_the_same_text_count_it_once() -> None:
    cache = LayerCache(1000)
    both = threading.Barrier(2, timeout=10)

    def compute(positions: list[int]) -> list[Array]:
        both.wait()
        return [np.zeros(10, dtype=np.float32) for _ in positions]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: cache.get([A], 1, compute, is_train=True), range(2)))
    assert (len(cache), cache.n_bytes) == (1, 10 * FLOAT)


def test_layers_of_weights_that_another_thread_has_left_behind_are_not_kept() -> None:
    cache, texts = LayerCache(1000), Texts()

    def compute(positions: list[int]) -> list[Array]:
        texts.get(cache, [B], weights=2)
        return [np.zeros(10, dtype=np.float32)]

    cache.get([A], 1, compute, is_train=True)
    assert list(cache._arrays) == [B]


@settings(deadline=None)
@given(
    max_bytes=st.integers(0, 40).map(lambda n: n * FLOAT),
    calls=st.lists(
        st.tuples(st.lists(st.sampled_from("abcdefgh"), max_size=6), st.integers(1, 2), st.booleans()), max_size=12
    ),
)
def test_any_calls_give_the_right_arrays_within_the_budget(
    max_bytes: int, calls: list[tuple[list[str], int, bool]]
) -> None:
    """Sizes of the arrays run from 0 to 14 floats."""
    cache, texts = LayerCache(max_bytes), Texts()
    for names, weights, is_train in calls:
        keys = [(name, 2 * (ord(name) - ord("a"))) for name in names]
        texts.computed.clear()
        arrays = texts.get(cache, keys, weights, is_train=is_train)
        assert len(texts.computed) == len(set(texts.computed))
        assert cache.n_bytes <= max_bytes
        assert cache.n_bytes == sum(array.nbytes for array in cache._arrays.values())
        for array, (name, size) in zip(arrays, keys, strict=True):
            np.testing.assert_array_equal(array, np.full(size, ord(name)))

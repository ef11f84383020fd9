import threading
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spacy_elmo.bilm.inference import word_table
from spacy_elmo.bilm.inference.word_table import Ids, WordTable

N_CHARACTERS, WIDTH = 5, 3


def ids_of(words: Sequence[int]) -> Ids:
    """A word's number is in its last character, the one before it, and both."""
    ids = np.full((len(words), N_CHARACTERS), 261, dtype=np.int64)
    ids[:, -2:] = np.stack(np.divmod(np.asarray(words, dtype=np.int64), 4), axis=1)
    return ids


class Compute:
    """Gives each word a vector of its own, and keeps a list of the words that it was asked for."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def __call__(self, ids: Ids) -> Tensor:
        numbers = ids[:, -2] * 4 + ids[:, -1]
        self.calls.append(numbers.tolist())
        return torch.from_numpy(numbers).float()[:, None] + torch.tensor([0.0, 0.25, 0.5])


def never(ids: Ids) -> Tensor:
    raise AssertionError(f"{len(ids)} kept words are computed again")


def vectors_of(words: Sequence[int]) -> Tensor:
    return Compute()(ids_of(words))


def table_of(capacity: int) -> WordTable:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_table, "CACHE_BYTES", capacity * 4 * WIDTH + 1)
        return WordTable(WIDTH)


different_words = st.lists(st.integers(0, 15), max_size=10, unique=True)


@settings(max_examples=200, deadline=None)
@given(capacity=st.integers(1, 12), lookups=st.lists(different_words, max_size=12))
def test_any_lookups_one_after_another(capacity: int, lookups: list[list[int]]) -> None:
    """Right vectors, of which those alone are computed that a list of the words used last does not hold."""
    table, compute, kept = table_of(capacity), Compute(), list[int]()
    for words in lookups:
        compute.calls.clear()
        assert torch.equal(table.lookup(ids_of(words), compute), vectors_of(words))
        missing = [word for word in words if word not in kept]
        assert compute.calls == ([missing] if missing else [])
        known = [word for word in words if word in kept]
        kept = [word for word in kept if word not in words] + known + missing[:capacity]
        kept = kept[-capacity:]
        assert len(table._rows) == len(kept)
        assert sorted(table._rows.values()) == sorted(set(table._rows.values()))
        assert max(table._rows.values(), default=0) < capacity


def test_the_word_used_longest_ago_leaves_first() -> None:
    table, compute = table_of(3), Compute()
    for words in ([1], [2], [3], [1], [4], [1, 3], [2]):
        table.lookup(ids_of(words), compute)
    assert compute.calls == [[1], [2], [3], [4], [2]]


@pytest.mark.parametrize("cache_bytes", [0, 1, 4 * WIDTH - 1, 4 * WIDTH, 64 * 2**10])
def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch, cache_bytes: int) -> None:
    """By its bytes, if they are enough for a word at all."""
    monkeypatch.setattr(word_table, "CACHE_BYTES", cache_bytes)
    table = WordTable(WIDTH)
    size = table._table.untyped_storage().nbytes()
    assert size <= max(cache_bytes, 4 * WIDTH)
    for start in range(0, 300, 7):
        words = list(range(start, start + 20))
        assert torch.equal(table.lookup(ids_of(words), Compute()), vectors_of(words))
    assert table._table.untyped_storage().nbytes() == size
    assert len(table._rows) <= len(table._table)


def test_more_words_than_fit_at_once() -> None:
    table, compute = table_of(4), Compute()
    words = list(range(10))
    assert torch.equal(table.lookup(ids_of(words), compute), vectors_of(words))
    assert torch.equal(table.lookup(ids_of(words), compute), vectors_of(words))
    assert compute.calls == [words, words[4:]]


def test_words_that_differ_in_one_place_are_told_apart() -> None:
    for place in range(N_CHARACTERS):
        ids = np.full((262, N_CHARACTERS), 7, dtype=np.int64)
        ids[:, place] = np.arange(262)
        table, vectors = WordTable(1), torch.arange(262.0)[:, None]
        table.lookup(ids, lambda asked, vectors=vectors: vectors[: len(asked)])
        assert torch.equal(table.lookup(ids[::-1], never), vectors.flip(0))


def test_no_words() -> None:
    assert table_of(2).lookup(ids_of([]), Compute()).shape == (0, WIDTH)


def test_the_vectors_are_the_callers_own() -> None:
    table, computed = table_of(4), vectors_of([1, 2])
    table.lookup(ids_of([1, 2]), lambda ids: computed).zero_()
    computed.zero_()
    table.lookup(ids_of([2, 1]), Compute()).zero_()
    assert torch.equal(table.lookup(ids_of([1, 2]), Compute()), vectors_of([1, 2]))


def test_a_computation_that_fails_leaves_the_table_as_it_was() -> None:
    table, compute = table_of(3), Compute()

    def fail(ids: Ids) -> Tensor:
        raise MemoryError("no room")

    table.lookup(ids_of([1, 2]), compute)
    with pytest.raises(MemoryError, match="no room"):
        table.lookup(ids_of([1, 3, 4]), fail)
    assert torch.equal(table.lookup(ids_of([2, 3, 1]), compute), vectors_of([2, 3, 1]))
    assert compute.calls == [[1, 2], [3]]


def test_who_comes_during_a_computation_does_not_wait() -> None:
    table, found = table_of(3), list[Tensor]()

    def compute(ids: Ids) -> Tensor:
        other = threading.Thread(target=lambda: found.append(table.lookup(ids_of([2, 3]), Compute())))
        other.start()
        other.join(timeout=30)
        assert not other.is_alive()
        return Compute()(ids)

    assert torch.equal(table.lookup(ids_of([1, 2]), compute), vectors_of([1, 2]))
    assert torch.equal(found[0], vectors_of([2, 3]))
    assert torch.equal(table.lookup(ids_of([2, 1]), never), vectors_of([2, 1]))


def test_threads_at_once_get_right_vectors() -> None:
    table, start, wrong = table_of(6), threading.Barrier(4), list[int]()

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        start.wait()
        for _ in range(200):
            words = rng.choice(16, size=rng.integers(1, 10), replace=False).tolist()
            if not torch.equal(table.lookup(ids_of(words), Compute()), vectors_of(words)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(table._rows) == 6

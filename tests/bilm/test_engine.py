"""What the engine promises whatever the sizes of its batches and chunks, which are made tiny here."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo import BiLM, BiLMState, load_bilm
from spacy_elmo.bilm import char_cnn, engine
from tests.conftest import TINY

TOLERANCE = 1e-5

Arrays = list[npt.NDArray[np.float32]]

some_sentences = st.lists(st.lists(st.text(max_size=6), max_size=9), min_size=1, max_size=7)
# From a row, or a step, at a time, over sizes that cut sentences anywhere, to everything at once.
row_counts = st.sampled_from([1, 2, 3, 5, 8, 13, 40, 8192])
byte_counts = st.sampled_from([1, 4 * 4 * TINY.cell_dim * 2, 4 * 4 * TINY.cell_dim * 7, 3000, 10_000, 2**26])


def assert_same(found: Arrays, wanted: Arrays) -> None:
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


def alone(bilm: BiLM, sentences: Sequence[Sequence[str]]) -> Arrays:
    return [array for sentence in sentences for array in bilm.embed([sentence])]


@settings(max_examples=50, deadline=None)
@given(sentences=some_sentences, batch_rows=row_counts, working_bytes=byte_counts)
def test_neither_batches_nor_chunks_matter(
    tiny_bilm: BiLM, sentences: list[list[str]], batch_rows: int, working_bytes: int
) -> None:
    wanted = alone(tiny_bilm, sentences)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "BATCH_ROWS", batch_rows)
        patch.setattr(engine, "WORKING_BYTES", working_bytes)
        patch.setattr(char_cnn, "WORKING_BYTES", working_bytes)
        found = tiny_bilm.embed(sentences)
    assert_same(found, wanted)


@settings(max_examples=40, deadline=None)
@given(sentences=some_sentences, working_bytes=byte_counts, seed=st.integers(0, 2**31))
def test_chunks_do_not_matter_to_the_state(
    tiny_bilm: BiLM, sentences: list[list[str]], working_bytes: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, TINY.n_layers, len(sentences))
    before = BiLMState(
        torch.randn(*shape, TINY.projection_dim, generator=generator),
        torch.randn(*shape, TINY.cell_dim, generator=generator),
    )
    wanted, wanted_state = tiny_bilm.embed_stateful(sentences, before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "WORKING_BYTES", working_bytes)
        patch.setattr(char_cnn, "WORKING_BYTES", working_bytes)
        found, found_state = tiny_bilm.embed_stateful(sentences, before)
    assert_same(found, wanted)
    torch.testing.assert_close(found_state.hidden, wanted_state.hidden, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(found_state.cell, wanted_state.cell, rtol=0, atol=TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), sentences=some_sentences)
def test_order_does_not_matter(tiny_bilm: BiLM, data: st.DataObject, sentences: list[list[str]]) -> None:
    order = data.draw(st.permutations(range(len(sentences))))
    wanted = tiny_bilm.embed(sentences)
    assert_same(tiny_bilm.embed([sentences[i] for i in order]), [wanted[i] for i in order])


@settings(max_examples=40, deadline=None)
@given(data=st.data(), sentences=some_sentences)
def test_calls_do_not_matter(tiny_bilm: BiLM, data: st.DataObject, sentences: list[list[str]]) -> None:
    cut = data.draw(st.integers(0, len(sentences)))
    wanted = tiny_bilm.embed(sentences)
    assert_same(tiny_bilm.embed(sentences[:cut]) + tiny_bilm.embed(sentences[cut:]), wanted)
    # Nothing of the calls before is left behind.
    for ours, theirs in zip(tiny_bilm.embed(sentences), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=40, deadline=None)
@given(sentence=st.lists(st.text(max_size=6), min_size=1, max_size=6), neighbours=some_sentences)
def test_neighbours_do_not_matter(tiny_bilm: BiLM, sentence: list[str], neighbours: list[list[str]]) -> None:
    wanted = tiny_bilm.embed([sentence])
    assert_same(tiny_bilm.embed([sentence, *neighbours])[:1], wanted)
    assert_same(tiny_bilm.embed([*neighbours, sentence])[-1:], wanted)


def test_a_long_document_is_exact_in_chunks(tiny_bilm: BiLM) -> None:
    """Chunks of 100 steps, against one chunk of all."""
    rng = np.random.default_rng(0)
    document = [f"w{i}" for i in rng.integers(0, 300, size=1000)]
    (wanted,) = tiny_bilm.embed([document])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "WORKING_BYTES", 100 * 4 * 4 * TINY.cell_dim)
        patch.setattr(char_cnn, "WORKING_BYTES", 100 * 4 * 4 * TINY.cell_dim)
        (found,) = tiny_bilm.embed([document])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("batch_rows", [1, 10, 50, 8192])
def test_batches_hold_at_most_their_rows_and_every_sentence_once(batch_rows: int) -> None:
    lengths = np.random.default_rng(0).integers(0, 30, size=60).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "BATCH_ROWS", batch_rows)
        batches = list(engine.batches(lengths))
    assert sorted(i for batch in batches for i in batch) == [i for i, length in enumerate(lengths) if length]
    for batch in batches:
        assert sum(lengths[i] + 2 for i in batch) <= batch_rows or len(batch) == 1


def test_one_kept_sentence_does_not_keep_its_batch(tiny_bilm: BiLM) -> None:
    arrays = tiny_bilm.embed([["a"], ["b", "c"], ["d"] * 500])
    assert arrays[0].base is None
    assert not np.shares_memory(arrays[0], arrays[1])


def test_the_number_of_threads_does_not_matter() -> None:
    bilm = load_bilm("en_elmo_sm", device="cpu")
    sentences = [["The", "cat", "sat", "on", "the", "naïve", "mat", "."] * 6, ["Hello", "world"], ["x"]]
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        wanted = bilm.embed(sentences)
        torch.set_num_threads(2)
        found = bilm.embed(sentences)
    finally:
        torch.set_num_threads(n_threads)
    for ours, theirs in zip(found, wanted, strict=True):
        # Relative to the largest number of the vectors, about 8.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())

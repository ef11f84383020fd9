"""What the engine promises whatever the sizes of its batches and chunks, which are made tiny here."""

import copy
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spacy_elmo import BiLM, BiLMConfig, BiLMState, load_bilm
from spacy_elmo.bilm import char_features
from spacy_elmo.bilm.inference import engine, word_table
from spacy_elmo.bilm.inference.products import MANY_ROWS
from tests.conftest import TINY, random_bilm

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
        patch.setattr(char_features, "WORKING_BYTES", working_bytes)
        found = tiny_bilm.embed(sentences)
    assert_same(found, wanted)


LAYERS_AVERAGED = [(0, 1, 2), (0, 2), (1,), (2,)]


@pytest.mark.parametrize("native", ["", "0"])
def test_average_is_that_of_the_layers_to_the_last_bit(native: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACY_ELMO_NATIVE", native)
    bilm, sentences = random_bilm(), [["a", "b", "c"], [], ["d"], ["a", "longer", "one"] * 30]
    layers = bilm.embed(sentences)
    for numbers in LAYERS_AVERAGED:
        for found, array in zip(bilm.embed_average(sentences, numbers), layers, strict=True):
            np.testing.assert_array_equal(found, array[list(numbers)].mean(axis=0))


@pytest.mark.parametrize("layers", [(), (3,), (-1,), (1, 0), (1, 1)])
def test_average_of_what_are_no_layers_is_refused(tiny_bilm: BiLM, layers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="are not some of 0 to 2"):
        tiny_bilm.embed_average([["a"]], layers)


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
        patch.setattr(char_features, "WORKING_BYTES", working_bytes)
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
        patch.setattr(char_features, "WORKING_BYTES", 100 * 4 * 4 * TINY.cell_dim)
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


@pytest.fixture(scope="session")
def embedded_bilm() -> BiLM:
    return load_bilm("en_elmo_sm", device="cpu")


@pytest.fixture(params=["tiny", "embedded"])
def bilm(request: pytest.FixtureRequest, tiny_bilm: BiLM, embedded_bilm: BiLM) -> BiLM:
    return tiny_bilm if request.param == "tiny" else embedded_bilm


@contextmanager
def threads(n_threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fresh(bilm: BiLM) -> BiLM:
    """The same biLM, which has seen nothing yet."""
    return copy.deepcopy(bilm)


def by_forward(bilm: BiLM, sentences: Sequence[Sequence[str]]) -> Arrays:
    """By the differentiable way, which keeps nothing."""
    return [tensor.detach().numpy() for tensor in bilm(sentences)]


def largest_difference(some: Arrays, others: Arrays) -> float:
    return max(float(np.abs(one - other).max()) for one, other in zip(some, others, strict=True))


LENGTHS = [1, 2, 3, 5, 8, 13, 21, 34, 60]


def sentences_of(lengths: Sequence[int], seed: int = 0) -> list[list[str]]:
    """Of words that come again, in their sentence and in others, and of some that do not."""
    rng = np.random.default_rng(seed)
    return [[f"word{i}" for i in np.minimum(rng.geometric(0.05, size=length), 99)] for length in lengths]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_embed_equals_forward_at_any_length(bilm: BiLM, n_threads: int) -> None:
    """A sentence alone, which has weights laid out for one row, and all of them."""
    sentences = sentences_of(LENGTHS)
    wanted = by_forward(bilm, sentences)
    with threads(n_threads):
        assert_same(alone(bilm, sentences), wanted)
        assert_same(bilm.embed(sentences), wanted)


def test_embed_equals_forward_with_rows_of_every_kind(tiny_bilm: BiLM) -> None:
    """Of steps that have one sentence, some, and many, and in a batch that goes from many down to one."""
    for n_sentences in (1, 2, MANY_ROWS - 1, MANY_ROWS, MANY_ROWS + 50):
        sentences = sentences_of([1 + i % 7 for i in range(n_sentences)] + [30])
        assert_same(tiny_bilm.embed(sentences), by_forward(tiny_bilm, sentences))


def test_the_boundaries_that_are_not_computed_play_their_part(bilm: BiLM) -> None:
    """`embed_stateful` runs through them."""
    sentences = sentences_of(LENGTHS)
    wanted, _ = bilm.embed_stateful(sentences)
    assert_same(bilm.embed(sentences), wanted)
    assert_same(alone(bilm, sentences), wanted)


# "ab" twice, and words that are too long and are cut to the same: words with the same ids are not the same string.
SAME_IDS = ["ab", "a\udcffb", "x" * (TINY.max_characters - 2), "x" * (TINY.max_characters - 1), "x" * 30]


@settings(max_examples=40, deadline=None)
@given(calls=st.lists(st.lists(st.sampled_from([*SAME_IDS, "a", "b", "c"]), max_size=6), max_size=6))
def test_words_that_look_alike_to_the_char_cnn(tiny_bilm: BiLM, calls: list[list[str]]) -> None:
    bilm = fresh(tiny_bilm)
    for sentence in calls:
        assert_same(bilm.embed([sentence]), by_forward(bilm, [sentence]))


@settings(max_examples=20, deadline=None)
@given(calls=st.lists(some_sentences, max_size=5), cache_words=st.integers(0, 12), working_bytes=byte_counts)
def test_words_that_leave_the_table_and_come_back(
    tiny_bilm: BiLM, calls: list[list[list[str]]], cache_words: int, working_bytes: int
) -> None:
    bilm = fresh(tiny_bilm)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_table, "CACHE_BYTES", cache_words * 4 * TINY.projection_dim)
        patch.setattr(engine, "WORKING_BYTES", working_bytes)
        for sentences in calls:
            assert_same(bilm.embed(sentences), by_forward(bilm, sentences))


Change = Callable[[BiLM, nn.Parameter], None]


def by_other_data(bilm: BiLM, parameter: nn.Parameter) -> None:
    parameter.data = parameter.data * 1.5 + 0.1


def in_place(bilm: BiLM, parameter: nn.Parameter) -> None:
    with torch.no_grad():
        parameter.mul_(1.5).add_(0.1)


def as_thinc(bilm: BiLM, parameter: nn.Parameter) -> None:
    """Through an array of its memory, without torch's knowledge, as Thinc's optimizer updates it."""
    array = parameter.data.numpy()
    array *= 1.5
    array += 0.1
    bilm.changed()


CHANGES: list[Change] = [by_other_data, in_place, as_thinc]
CHANGED_SENTENCES = [["A", "change", "of", "weights"], ["shows", "at", "once"], ["A"]]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("change", CHANGES)
def test_each_parameter_that_changes_is_seen_at_once(change: Change, precision: str) -> None:
    bilm = BiLM(TINY, precision)
    bilm.load_state_dict(random_bilm().state_dict())
    found = bilm.embed(CHANGED_SENTENCES) + bilm.embed(CHANGED_SENTENCES[:1])
    for name, parameter in bilm.named_parameters():
        kept = parameter.detach().clone()
        change(bilm, parameter)
        after = bilm.embed(CHANGED_SENTENCES) + bilm.embed(CHANGED_SENTENCES[:1])
        assert largest_difference(after, found) > 1e-3, name
        if precision == "float32":
            assert_same(after[:3], by_forward(bilm, CHANGED_SENTENCES))
        parameter.data = kept
        assert largest_difference(bilm.embed(CHANGED_SENTENCES), found[:3]) == 0, name


def test_loaded_weights_are_seen_at_once(tiny_bilm: BiLM) -> None:
    bilm, other = fresh(tiny_bilm), random_bilm(seed=1)
    before = bilm.embed(CHANGED_SENTENCES)
    bilm.load_state_dict(other.state_dict())
    assert largest_difference(bilm.embed(CHANGED_SENTENCES), other.embed(CHANGED_SENTENCES)) == 0
    bilm.load_state_dict(tiny_bilm.state_dict(), assign=True)
    assert largest_difference(bilm.embed(CHANGED_SENTENCES), before) == 0


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.Adagrad])
def test_training_is_seen_at_every_step(tiny_bilm: BiLM, optimizer: type[torch.optim.Optimizer]) -> None:
    bilm = fresh(tiny_bilm)
    steps = optimizer(bilm.parameters(), lr=1e-3)  # type: ignore[call-arg]
    for _ in range(3):
        before = bilm.embed(CHANGED_SENTENCES)
        steps.zero_grad()
        torch.cat([layers.flatten() for layers in bilm(CHANGED_SENTENCES)]).square().sum().backward()
        steps.step()
        after = bilm.embed(CHANGED_SENTENCES)
        assert largest_difference(after, before) > 1e-3
        assert_same(after, by_forward(bilm, CHANGED_SENTENCES))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_inference_mode_changes_nothing(tiny_bilm: BiLM, n_threads: int) -> None:
    """Not what is kept, either: it is there to be changed outside of it."""
    bilm, sentences = fresh(tiny_bilm), sentences_of([40, 3])
    with threads(n_threads):
        with torch.inference_mode():
            assert_same(bilm.embed(sentences), by_forward(tiny_bilm, sentences))
            bilm.embed_stateful(sentences)
        sentences = sentences_of([50, 5], seed=1)
        assert_same(bilm.embed(sentences), by_forward(tiny_bilm, sentences))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_autocast_is_none_of_its_business(tiny_bilm: BiLM, n_threads: int) -> None:
    """Precision is the biLM's own."""
    bilm, sentences = fresh(tiny_bilm), sentences_of([40, 3])
    with threads(n_threads):
        with torch.autocast("cpu", torch.bfloat16):
            found = bilm.embed(sentences)
        assert_same(found, by_forward(tiny_bilm, sentences))


def test_calls_at_once_from_two_threads(embedded_bilm: BiLM) -> None:
    bilm, n_calls = fresh(embedded_bilm), 4
    inputs = [[sentences_of([40, 9, 1], seed=10 * i + j) for j in range(n_calls)] for i in range(2)]
    wanted = [[embedded_bilm.embed(sentences) for sentences in mine] for mine in inputs]
    start, found = threading.Barrier(2), [list[Arrays](), list[Arrays]()]

    def work(number: int) -> None:
        start.wait()
        found[number] += [bilm.embed(sentences) for sentences in inputs[number]]

    with threads(2):
        workers = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    for mine, theirs in zip(found, wanted, strict=True):
        assert len(mine) == n_calls
        for some, others in zip(mine, theirs, strict=True):
            assert_same(some, others)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_calls_give_the_same_bits(n_threads: int, precision: str) -> None:
    sentences = sentences_of(LENGTHS)
    results = []
    with threads(n_threads):
        for _ in range(2):
            bilm = load_bilm("en_elmo_sm", device="cpu", precision=precision)
            results += [bilm.embed(sentences) for _ in range(2)]
    assert all(largest_difference(result, results[0]) == 0 for result in results[1:])


def relative_error(found: Arrays, wanted: Arrays) -> float:
    """The largest of a vector, against its length."""
    some, others = np.concatenate(found, axis=1), np.concatenate(wanted, axis=1)
    return float((np.linalg.norm(some - others, axis=2) / np.linalg.norm(others, axis=2)).max())


# Twice what rounding to bfloat16 does to a number. Another order of summation, as shapes and threads may bring it with
# them, changes float32 in its last bits, of which few decide how a number is rounded: in the embedded model a vector
# moves by up to 0.003.
BFLOAT16_TOLERANCE = 2 * 2.0**-8


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 2e-6), ("bfloat16", BFLOAT16_TOLERANCE)])
def test_the_number_of_threads_does_not_matter(precision: str, tolerance: float) -> None:
    """Each with a biLM that starts afresh."""
    sentences, results = sentences_of(LENGTHS), []
    for n_threads in (1, 2, 3, 4):
        with threads(n_threads):
            results.append(load_bilm("en_elmo_sm", device="cpu", precision=precision).embed(sentences))
    for result in results[1:]:
        assert relative_error(result, results[0]) < tolerance


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", BFLOAT16_TOLERANCE)])
@settings(max_examples=20, deadline=None)
@given(
    data=st.data(),
    sentences=some_sentences,
    batch_rows=row_counts,
    working_bytes=byte_counts,
    few_words=st.sampled_from([1, 2, 5, 32]),
    n_threads=st.integers(1, 4),
)
def test_no_way_to_compute_matters(
    tiny_bilm: BiLM,
    precision: str,
    tolerance: float,
    data: st.DataObject,
    sentences: list[list[str]],
    batch_rows: int,
    working_bytes: int,
    few_words: int,
    n_threads: int,
) -> None:
    """Any order, in any number of calls, on any number of threads."""
    bilm = BiLM(TINY, precision)
    bilm.load_state_dict(tiny_bilm.state_dict())
    sentences = [sentence or ["a"] for sentence in sentences]
    wanted = alone(bilm, sentences)
    order = data.draw(st.permutations(range(len(sentences))))
    cut = data.draw(st.integers(0, len(sentences)))
    shuffled, bilm = [sentences[i] for i in order], fresh(bilm)
    with pytest.MonkeyPatch.context() as patch, threads(n_threads):
        patch.setattr(engine, "BATCH_ROWS", batch_rows)
        patch.setattr(engine, "WORKING_BYTES", working_bytes)
        patch.setattr(engine, "FEW_WORDS", few_words)
        patch.setattr(char_features, "WORKING_BYTES", working_bytes)
        found = bilm.embed(shuffled[:cut]) + bilm.embed(shuffled[cut:])
    assert relative_error(found, [wanted[i] for i in order]) < tolerance


@pytest.mark.parametrize("n_words", [1, 2, 3, 31, 32, 33, 64])
def test_words_are_shared_out_between_threads_without_a_loss(tiny_bilm: BiLM, n_words: int) -> None:
    sentence = [f"w{i}" for i in range(n_words)]
    with pytest.MonkeyPatch.context() as patch, threads(2):
        for few_words in (1, 32, 1000):
            patch.setattr(engine, "FEW_WORDS", few_words)
            assert_same(fresh(tiny_bilm).embed([sentence]), by_forward(tiny_bilm, [sentence]))


def test_another_precision_is_seen_at_once() -> None:
    bilm, other = random_bilm(), random_bilm()
    bilm.embed([["a", "b"]])
    bilm.precision = other.precision = "bfloat16"
    np.testing.assert_array_equal(bilm.embed([["a", "b"]])[0], other.embed([["a", "b"]])[0])


def tensors_in(value: object, seen: set[int]) -> Iterator[torch.Tensor]:
    """Of an object, its attributes, and theirs."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, np.ndarray):
        yield torch.from_numpy(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item, seen)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item, seen)
    elif not isinstance(value, nn.Module):
        for item in vars(value).values() if hasattr(value, "__dict__") else ():
            yield from tensors_in(item, seen)


def bytes_kept(bilm: BiLM, value: object) -> int:
    """Of weights in other layouts: beside the parameters' own memory, and without the table of words."""
    own = {parameter.untyped_storage().data_ptr() for parameter in bilm.parameters()}
    total = 0
    for tensor in tensors_in(value, set()):
        dense = tensor.layout == torch.strided
        if not dense or tensor.untyped_storage().data_ptr() not in own:
            total += tensor.numel() * tensor.element_size()
    return total


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_are_laid_out_once_and_those_of_steps_at_most_twice(precision: str) -> None:
    """Whatever the batches: the inputs' once, the state's for one row and for more, the projection's once."""
    config = BiLMConfig(**{**TINY.to_dict(), "cell_dim": 64, "projection_dim": 64})
    bilm = BiLM(config, precision)
    for n_sentences in (1, 20, 200, 1, 7):
        bilm.embed([["a", "few", "words"]] * n_sentences)
    gates, projections = 2 * 2 * 4 * 64 * 64, 2 * 2 * 64 * 64
    allowed = 4 * (gates + 2 * gates + projections) if precision == "float32" else 2 * (2 * gates + projections)
    biases = 2 * 2 * 4 * 4 * 64
    found = bytes_kept(bilm, bilm.engine._loop)
    assert 0 < found <= allowed + biases


def test_an_engine_is_copied_and_pickled_without_what_it_keeps(tiny_bilm: BiLM) -> None:
    engine = fresh(tiny_bilm).engine
    new = len(pickle.dumps(engine))
    wanted = engine.embed(CHANGED_SENTENCES)
    assert len(pickle.dumps(engine)) == new
    for other in (copy.deepcopy(engine), pickle.loads(pickle.dumps(engine))):
        assert len(list(tensors_in(other._words._rows, set()))) == 0
        assert not other._starts
        assert largest_difference(other.embed(CHANGED_SENTENCES), wanted) == 0


def test_old_weights_and_all_that_was_made_of_them_are_gone_at_once(tiny_bilm: BiLM) -> None:
    bilm = fresh(tiny_bilm)
    bilm.embed(CHANGED_SENTENCES)
    old = weakref.ref(bilm.engine)
    in_place(bilm, bilm.stacks[0][0].bias)
    bilm.weights_token()
    assert old() is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_another_type_give_float32(tiny_bilm: BiLM, dtype: torch.dtype) -> None:
    bilm = fresh(tiny_bilm).to(dtype)
    rounded = fresh(bilm).float()
    found, wanted = bilm.embed(CHANGED_SENTENCES), rounded.embed(CHANGED_SENTENCES)
    assert {array.dtype for array in found} == {np.dtype(np.float32)}
    assert largest_difference(found, wanted) < {torch.float64: 1e-5, torch.float16: 0.02, torch.bfloat16: 0.2}[dtype]


SETTINGS: dict[str, tuple[Callable[[Any], None], Any, Any]] = {
    "default type": (torch.set_default_dtype, torch.float64, torch.float32),
    "default device": (torch.set_default_device, "meta", None),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_defaults_of_torch_are_none_of_its_business(tiny_bilm: BiLM, tiny_source: str, setting: str) -> None:
    """Neither while it embeds, nor while it trains, nor while it loads."""
    wanted, stateful = tiny_bilm.embed(CHANGED_SENTENCES), tiny_bilm.embed_stateful(CHANGED_SENTENCES)[0]
    change, value, before = SETTINGS[setting]
    change(value)
    try:
        for bilm in (fresh(tiny_bilm), load_bilm(tiny_source, device="cpu")):
            assert_same(bilm.embed(CHANGED_SENTENCES), wanted)
            assert_same(bilm.embed_stateful(CHANGED_SENTENCES)[0], stateful)
            assert_same(by_forward(bilm, CHANGED_SENTENCES), wanted)
            assert [tensor.dtype for tensor in bilm([[]])] == [torch.float32]
        if setting == "default type":
            assert {parameter.dtype for parameter in BiLM(TINY).parameters()} == {torch.float32}
    finally:
        change(before)

"""Which words the biLM reads together, and where their vectors go."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from thinc.api import NumpyOps

from spacy_elmo.layers.spans import DocWords, doc_words, sentences_or_doc

Array = npt.NDArray[np.float32]

OPS = NumpyOps()
VOCAB = spacy.blank("xx").vocab
N_LAYERS, WIDTH = 2, 3

# Words of a Doc, some of them whitespace, and pairs of numbers that become its spans.
any_words = st.lists(st.sampled_from(["a", "b", "c", " ", "\n"]), max_size=8)
any_pairs = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=5)


def make_doc(words: list[str], sent_starts: list[bool] | None = None) -> Doc:
    return Doc(VOCAB, words=words, spaces=[False] * len(words), sent_starts=sent_starts)


def make_spans(doc: Doc, pairs: list[tuple[int, int]]) -> list[Span]:
    bounds = [sorted((min(a, len(doc)), min(b, len(doc)))) for a, b in pairs]
    return [doc[start:end] for start, end in bounds if start < end]


def random_vectors(words: DocWords, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(N_LAYERS, len(rows), WIDTH)).astype(np.float32) for rows in words.rows]


def texts(spans: list[list[Span]]) -> list[list[str]]:
    return [[span.text for span in doc_spans] for doc_spans in spans]


def test_doc_without_sentences_is_one_span() -> None:
    assert texts(sentences_or_doc([make_doc(["a", "b", "c"])])) == [["abc"]]


def test_sentences_are_the_spans_where_they_are_set() -> None:
    docs = [make_doc(["a", "b", "c"], [True, False, True]), make_doc(["d", "e"])]
    assert texts(sentences_or_doc(docs)) == [["ab", "c"], ["de"]]


def test_whitespace_is_not_read() -> None:
    doc = make_doc([" ", "a", "\n\n", "b", "\t"])
    assert DocWords.of(doc, [doc[:]]) == DocWords(5, (("a", "b"),), ((1, 3),))


def test_spans_without_words_are_left_out() -> None:
    doc = make_doc(["a", " ", "\n", "b"])
    assert DocWords.of(doc, [doc[0:1], doc[1:3], doc[3:4]]) == DocWords(4, (("a",), ("b",)), ((0,), (3,)))


def test_overlaps_are_averaged_and_the_rest_is_zero() -> None:
    doc = make_doc(["a", "b", "c", "d", "e", " "])
    words = DocWords.of(doc, [doc[0:2], doc[1:3], doc[1:2], doc[4:6]])
    one, two, three, four = vectors = random_vectors(words)
    layers = words.place(OPS, vectors, N_LAYERS, WIDTH)
    assert layers.shape == (N_LAYERS, 6, WIDTH)
    assert layers.dtype == np.float32
    np.testing.assert_allclose(layers[:, 0], one[:, 0], atol=1e-6)
    np.testing.assert_allclose(layers[:, 1], (one[:, 1] + two[:, 0] + three[:, 0]) / 3, atol=1e-6)
    np.testing.assert_allclose(layers[:, 2], two[:, 1], atol=1e-6)
    np.testing.assert_array_equal(layers[:, 3], 0)
    np.testing.assert_allclose(layers[:, 4], four[:, 0], atol=1e-6)
    np.testing.assert_array_equal(layers[:, 5], 0)


@pytest.mark.parametrize("words", [[], [" "], [" ", "\n"]])
def test_doc_without_words_has_zeros(words: list[str]) -> None:
    doc = make_doc(words)
    read = DocWords.of(doc, [doc[:]] if words else [])
    assert read.sequences == ()
    layers = read.place(OPS, [], N_LAYERS, WIDTH)
    np.testing.assert_array_equal(layers, np.zeros((N_LAYERS, len(words), WIDTH)))
    assert read.pick(OPS, layers) == []


@settings(deadline=None)
@given(words=any_words, pairs=any_pairs)
def test_pick_is_the_adjoint_of_place(words: list[str], pairs: list[tuple[int, int]]) -> None:
    doc = make_doc(words)
    read = DocWords.of(doc, make_spans(doc, pairs))
    vectors = random_vectors(read)
    d_layers = np.random.default_rng(1).normal(size=(N_LAYERS, len(doc), WIDTH)).astype(np.float32)
    placed = read.place(OPS, vectors, N_LAYERS, WIDTH)
    picked = read.pick(OPS, d_layers)
    assert [array.shape for array in picked] == [array.shape for array in vectors]
    left = float((placed * d_layers).sum())
    right = sum(float((v * d).sum()) for v, d in zip(vectors, picked, strict=True))
    assert left == pytest.approx(right, abs=1e-4)


@settings(deadline=None)
@given(words=any_words, pairs=any_pairs)
def test_words_that_read_the_same_everywhere_keep_their_vectors(words: list[str], pairs: list[tuple[int, int]]) -> None:
    """However the spans overlap, an average of equal vectors is that vector; and only words in spans have one."""
    doc = make_doc(words)
    spans = make_spans(doc, pairs)
    read = DocWords.of(doc, spans)
    table = np.random.default_rng(2).normal(size=(N_LAYERS, len(doc), WIDTH)).astype(np.float32)
    placed = read.place(OPS, [table[:, list(rows)] for rows in read.rows], N_LAYERS, WIDTH)
    covered = {token.i for span in spans for token in span if not token.is_space}
    expected = np.where([[i in covered] for i in range(len(doc))], table, 0) if len(doc) else table
    np.testing.assert_allclose(placed, expected, atol=1e-6)


def test_docs_without_tokens_never_reach_the_span_getter() -> None:
    """Span getters of others need not know what to do with them."""
    docs = [make_doc([]), make_doc(["a"]), make_doc([]), make_doc(["b", "c"])]
    seen: list[Doc] = []

    def get_spans(docs: Iterable[Doc]) -> list[list[Span]]:
        seen.extend(docs)
        return [[doc[:]] for doc in seen]

    words = doc_words(docs, get_spans)
    assert seen == [docs[1], docs[3]]
    assert [doc.sequences for doc in words] == [(), (("a",),), (), (("b", "c"),)]


def test_only_docs_without_tokens_do_not_call_the_span_getter() -> None:
    def get_spans(docs: Iterable[Doc]) -> list[list[Span]]:
        raise AssertionError("called")

    assert doc_words([make_doc([]), make_doc([])], get_spans) == [DocWords(0, (), ())] * 2
    assert doc_words([], get_spans) == []

"""What the component writes to Docs, on texts of all kinds."""

from collections.abc import Callable

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc

from spacy_elmo import BiLM, load_bilm

from .helpers import Array, blank

ATOL = 1e-6
ODD_TEXTS = [
    "x",
    " ",
    "\n\n",
    "a  b",
    " lead and trail \n",
    "x" * 100,
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft fährt",
    "emoji 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 done",
    "我喜欢吃苹果。日本語のテキスト 한국어",
    "zero\u200bwidth \u200b \ufeff joiner\u200d",
    "control \x00 \x07 \x1b[0m \x7f \x85 end",
    "e\u0301 combining \u0301 alone",
    "العربية עברית",
]


@pytest.fixture(scope="module")
def nlp(tiny_source: str) -> Language:
    return blank(tiny_source, keep_layers=True)


def by_hand(bilm: BiLM, doc: Doc) -> Array:
    """The layers of a Doc without sentences: those of its words, and zeros for whitespace."""
    config = bilm.config
    layers = np.zeros((config.n_layers + 1, len(doc), config.width), dtype=np.float32)
    words = [token.i for token in doc if not token.is_space]
    layers[:, words] = bilm.embed([[doc[i].text for i in words]])[0]
    return layers


def assert_as_by_hand(bilm: BiLM, doc: Doc) -> None:
    layers = by_hand(bilm, doc)
    assert doc.tensor.dtype == np.float32
    assert doc.tensor.shape == (len(doc), bilm.config.width)
    np.testing.assert_allclose(doc.tensor, layers.mean(axis=0), atol=ATOL)
    np.testing.assert_allclose(doc._.elmo_layers, layers, atol=ATOL)


def test_works_at_once_with_the_embedded_model() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo")
    doc = nlp("The cat sat on the mat. It slept.")
    bilm = load_bilm("en_elmo_sm", "cpu")
    layers = bilm.embed([[token.text for token in doc]])[0]
    assert isinstance(doc.tensor, np.ndarray)
    assert doc.tensor.dtype == np.float32
    np.testing.assert_allclose(doc.tensor, layers.mean(axis=0), atol=1e-5)
    assert doc.has_annotation("SENT_START") is False
    assert doc._.elmo_layers is None


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_odd_texts_are_embedded_as_their_words(nlp: Language, tiny_bilm: BiLM, text: str) -> None:
    assert_as_by_hand(tiny_bilm, nlp(text))


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=30))
def test_any_text_has_a_row_for_each_token(nlp: Language, tiny_bilm: BiLM, text: str) -> None:
    doc = nlp(text)
    assert_as_by_hand(tiny_bilm, doc)
    for token in doc:
        np.testing.assert_array_equal(token._.elmo, doc.tensor[token.i])


def test_words_may_hold_anything(nlp: Language, tiny_bilm: BiLM) -> None:
    """Docs can be made without a tokenizer: words with spaces in them, and words of whitespace."""
    words = ["New York", " ", "\t\n", "a\u00a0b", "\u3000", "\u200b"]
    doc = nlp(Doc(nlp.vocab, words=words, spaces=[True] * len(words)))
    assert [token.is_space for token in doc] == [False, True, True, False, True, False]
    assert_as_by_hand(tiny_bilm, doc)


def test_whitespace_is_neither_seen_nor_given_a_vector(nlp: Language) -> None:
    spaced, plain = nlp("a  b \n c"), nlp("a b c")
    words = [not token.is_space for token in spaced]
    assert not all(words)
    np.testing.assert_allclose(spaced.tensor[words], plain.tensor, atol=ATOL)
    np.testing.assert_allclose(spaced._.elmo_layers[:, words], plain._.elmo_layers, atol=ATOL)
    np.testing.assert_array_equal(spaced.tensor[~np.array(words)], 0)
    np.testing.assert_array_equal(spaced._.elmo_layers[:, ~np.array(words)], 0)


def test_words_past_the_character_limit_are_cut(nlp: Language) -> None:
    """The tiny model reads 18 bytes of a word."""
    doc = nlp(Doc(nlp.vocab, words=["a" * 18]))
    longer = nlp(Doc(nlp.vocab, words=["a" * 18 + "bc"]))
    shorter = nlp(Doc(nlp.vocab, words=["a" * 17]))
    np.testing.assert_array_equal(longer.tensor, doc.tensor)
    assert not np.allclose(shorter.tensor, doc.tensor, atol=1e-3)


def test_context_counts(nlp: Language) -> None:
    one, other = nlp("river bank here"), nlp("money bank here")
    np.testing.assert_allclose(one._.elmo_layers[0, 1], other._.elmo_layers[0, 1], atol=ATOL)
    assert not np.allclose(one.tensor[1], other.tensor[1], atol=1e-3)


def test_sentences_are_embedded_apart_where_they_are_set(nlp: Language, tiny_bilm: BiLM) -> None:
    words = ["a", "b", "c", "d", "e"]
    doc = nlp(Doc(nlp.vocab, words=words, sent_starts=[True, False, True, False, False]))
    expected = np.concatenate(tiny_bilm.embed([words[:2], words[2:]]), axis=1)
    np.testing.assert_allclose(doc._.elmo_layers, expected, atol=ATOL)
    np.testing.assert_allclose(doc.tensor, expected.mean(axis=0), atol=ATOL)


def test_sentences_set_by_the_pipeline_count(tiny_source: str, tiny_bilm: BiLM) -> None:
    nlp = blank(tiny_source)
    nlp.add_pipe("sentencizer", first=True)
    doc = nlp("One two . Three four five .")
    expected = np.concatenate(tiny_bilm.embed([["One", "two", "."], ["Three", "four", "five", "."]]), axis=1)
    np.testing.assert_allclose(doc.tensor, expected.mean(axis=0), atol=ATOL)


def test_empty_doc(nlp: Language) -> None:
    doc = nlp("")
    assert doc.tensor.shape == (0, 12)
    assert doc.tensor.dtype == np.float32
    assert doc._.elmo_layers.shape == (3, 0, 12)
    np.testing.assert_array_equal(doc._.elmo, np.zeros(12))


def test_empty_doc_as_the_very_first(tiny_source: str) -> None:
    """The width is known from the biLM, and not from the data."""
    assert blank(tiny_source)("").tensor.shape == (0, 12)


def test_only_empty_docs(nlp: Language) -> None:
    docs = list(nlp.pipe(["", "", ""]))
    assert [doc.tensor.shape for doc in docs] == [(0, 12)] * 3


def test_empty_docs_among_others(nlp: Language) -> None:
    docs = list(nlp.pipe(["", "a b", "", " ", "c"]))
    assert [doc.tensor.shape for doc in docs] == [(0, 12), (2, 12), (0, 12), (1, 12), (1, 12)]
    np.testing.assert_allclose(docs[1].tensor, nlp("a b").tensor, atol=ATOL)
    np.testing.assert_allclose(docs[4].tensor, nlp("c").tensor, atol=ATOL)


def test_no_docs(nlp: Language) -> None:
    assert list(nlp.pipe([])) == []
    assert list(nlp.get_pipe("elmo").pipe([])) == []


@pytest.mark.parametrize(
    ("output", "choose"),
    [
        ("average", lambda layers: layers.mean(axis=0)),
        ("top", lambda layers: layers[2]),
        (0, lambda layers: layers[0]),
        (1, lambda layers: layers[1]),
        (-1, lambda layers: layers[2]),
        ("concat", lambda layers: np.concatenate(list(layers), axis=1)),
        ("mix", lambda layers: layers.mean(axis=0)),
    ],
)
def test_output_chooses_layers(
    tiny_source: str, tiny_bilm: BiLM, output: str | int, choose: Callable[[Array], Array]
) -> None:
    nlp = blank(tiny_source, output=output)
    doc = nlp("a  b c")
    expected = choose(by_hand(tiny_bilm, doc))
    np.testing.assert_allclose(doc.tensor, expected, atol=ATOL)
    np.testing.assert_allclose(doc[3]._.elmo, expected[3], atol=ATOL)
    assert nlp("").tensor.shape == (0, expected.shape[1])


def test_bfloat16_is_near(tiny_source: str, tiny_bilm: BiLM) -> None:
    doc = blank(tiny_source, precision="bfloat16", keep_layers=True)("some words to read")
    layers = by_hand(tiny_bilm, doc)
    assert doc._.elmo_layers.dtype == np.float32
    difference = np.abs(doc._.elmo_layers - layers).max()
    assert 1e-5 < difference < 0.05 * np.abs(layers).max()


def test_layer_norm_and_dropout_of_the_component(tiny_source: str, tiny_bilm: BiLM) -> None:
    """Dropout is for training, so that prediction does not know of it."""
    doc = blank(tiny_source, output="top", layer_norm=True, dropout=0.9)("a b c")
    top = by_hand(tiny_bilm, doc)[2]
    expected = (top - top.mean(axis=1, keepdims=True)) / top.std(axis=1, keepdims=True)
    np.testing.assert_allclose(doc.tensor, expected, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_vectors_do_not_depend_on_batch_mates(nlp: Language, batch_size: int) -> None:
    alone = [nlp(text).tensor for text in ODD_TEXTS]
    together = [doc.tensor for doc in nlp.pipe(ODD_TEXTS, batch_size=batch_size)]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a, b, atol=ATOL)
    backwards = [doc.tensor for doc in nlp.pipe(ODD_TEXTS[::-1], batch_size=batch_size)]
    for a, b in zip(backwards[::-1], alone, strict=True):
        np.testing.assert_allclose(a, b, atol=ATOL)


def test_vectors_do_not_depend_on_earlier_calls(nlp: Language) -> None:
    first = nlp("the same text").tensor.copy()
    list(nlp.pipe(ODD_TEXTS))
    np.testing.assert_array_equal(nlp("the same text").tensor, first)


def test_running_again_writes_the_same(nlp: Language) -> None:
    doc = nlp("once and again")
    before = doc.tensor.copy()
    doc = nlp.get_pipe("elmo")(doc)
    np.testing.assert_array_equal(doc.tensor, before)


def test_docs_do_not_share_memory_that_one_of_them_may_change(nlp: Language) -> None:
    one, other = nlp.pipe(["a b", "a b"])
    before = other.tensor.copy()
    one.tensor[:] = 7
    np.testing.assert_array_equal(other.tensor, before)
    np.testing.assert_array_equal(other[0]._.elmo, before[0])


def test_a_kept_doc_does_not_keep_its_batch(nlp: Language) -> None:
    """Which may be a thousand times as large."""
    docs = list(nlp.pipe([f"this is text number {i}" for i in range(50)]))
    for array in (docs[7].tensor, docs[7]._.elmo_layers):
        owner = array
        while owner.base is not None:
            owner = owner.base
        assert owner.nbytes < 3 * array.nbytes

"""Vectors travel with Docs: bytes, DocBin, copies, memory zones, and `doc_cleaner`."""

from typing import Any

import numpy as np
import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.tokens import Doc, DocBin

from spacy_elmo.augment import with_words

from .helpers import TEXTS, annotated, assert_same_predictions, blank, elmo_of, pipeline, train

WITH_WHITESPACE = [*TEXTS, "", "a  b", " "]


@pytest.fixture(scope="module")
def nlp(tiny_source: str) -> Language:
    return blank(tiny_source, keep_layers=True)


def assert_same_vectors(found: Doc, wanted: Doc) -> None:
    assert found.tensor.dtype == np.float32
    np.testing.assert_array_equal(found.tensor, wanted.tensor)
    np.testing.assert_array_equal(found._.elmo_layers, wanted._.elmo_layers)
    np.testing.assert_array_equal(found._.elmo, wanted._.elmo)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a._.elmo, b._.elmo)


@pytest.mark.parametrize("text", WITH_WHITESPACE)
def test_bytes_of_a_doc(nlp: Language, text: str) -> None:
    doc = nlp(text)
    assert_same_vectors(Doc(spacy.blank("xx").vocab).from_bytes(doc.to_bytes()), doc)


def test_docbin_with_user_data(nlp: Language) -> None:
    docs = list(nlp.pipe(WITH_WHITESPACE))
    data = DocBin(store_user_data=True, docs=docs).to_bytes()
    loaded = list(DocBin().from_bytes(data).get_docs(nlp.vocab))
    for found, wanted in zip(loaded, docs, strict=True):
        np.testing.assert_array_equal(found._.elmo_layers, wanted._.elmo_layers)
        np.testing.assert_array_equal(found._.elmo, wanted._.elmo)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a._.elmo, b._.elmo)


def test_docbin_carries_all_but_the_tensor(nlp: Language) -> None:
    data = DocBin(store_user_data=True, docs=[nlp("a b")]).to_bytes()
    (doc,) = DocBin().from_bytes(data).get_docs(nlp.vocab)
    assert doc.tensor.size == 0
    assert doc[0]._.elmo.shape == (12,)


def test_bytes_without_the_tensor_hold_the_vectors_once(tiny_source: str) -> None:
    nlp = blank(tiny_source)
    doc = nlp("word " * 500)
    with_tensor, without = (len(doc.to_bytes(exclude=exclude)) for exclude in ([], ["tensor"]))
    assert with_tensor - without == pytest.approx(doc.tensor.nbytes, abs=200)
    loaded = Doc(nlp.vocab).from_bytes(doc.to_bytes(exclude=["tensor"]))
    np.testing.assert_array_equal(loaded[7]._.elmo, doc[7]._.elmo)


def test_docbin_without_user_data_has_no_vectors(nlp: Language) -> None:
    data = DocBin(store_user_data=False, docs=[nlp("a b")]).to_bytes()
    (doc,) = DocBin().from_bytes(data).get_docs(nlp.vocab)
    assert doc._.elmo is None
    assert doc._.elmo_layers is None


def test_user_data_holds_plain_arrays_alone(nlp: Language) -> None:
    """No classes of ours and no device memory, which would not come back elsewhere."""

    def leaves(value: object) -> list[object]:
        if not isinstance(value, dict):
            return [value]
        return [leaf for key, member in value.items() for leaf in (key, *leaves(member))]

    found = leaves(nlp("a b").user_data)
    assert {type(leaf) for leaf in found} == {str, np.ndarray}
    srsly.msgpack_dumps(nlp("a b").user_data)


def test_copy_of_a_doc(nlp: Language) -> None:
    doc = nlp("a b c")
    copied = doc.copy()
    assert_same_vectors(copied, doc)
    copied._.elmo_layers = None
    copied._.elmo = None
    assert doc._.elmo is not None
    assert doc._.elmo_layers is not None


def test_span_as_doc_reads_its_own_rows_or_none(nlp: Language) -> None:
    doc = nlp("a b c d")
    part = doc[1:3].as_doc()
    np.testing.assert_array_equal(part.tensor, doc.tensor[1:3])
    assert part._.elmo is None
    with pytest.raises(ValueError, match="cut out"):
        _ = doc[1:3].as_doc(copy_user_data=True)._.elmo
    from_docs: Any = Doc.from_docs  # whose stub has no `exclude`
    assert from_docs([doc, part], exclude=["user_data"])._.elmo is None
    whole = nlp.get_pipe("elmo")(part)
    np.testing.assert_allclose(whole[0]._.elmo, nlp("b c").tensor[0], atol=1e-6)


def test_what_happens_to_a_copy_leaves_the_vectors_of_the_doc(tiny_source: str) -> None:
    """Copies of user data are shallow: those of spaCy's spans and those of the augmenter."""
    nlp = blank(tiny_source, keep_layers=True)
    doc = nlp("the cat sat on the mat")
    copies = [doc[1:3].as_doc(copy_user_data=True), with_words(doc, ["a", "cat", "sat", "in", "a", "hat"])]
    vectors, layers = doc._.elmo.copy(), doc._.elmo_layers.copy()
    for other in copies:
        nlp.get_pipe("elmo")(other)
        assert other._.elmo_layers.shape[1] == len(other)
        other._.elmo = None
        assert other._.elmo is None
    np.testing.assert_array_equal(doc._.elmo, vectors)
    np.testing.assert_array_equal(doc._.elmo_layers, layers)


def test_listeners_read_docs_that_came_from_bytes(tiny_source: str) -> None:
    """Predicting with one component on stored Docs needs no second pass of the biLM."""
    nlp = pipeline(tiny_source, "tagger", "ner", "textcat")
    train(nlp, 15)
    with nlp.select_pipes(enable="elmo"):
        stored = DocBin(store_user_data=True, docs=nlp.pipe(TEXTS)).to_bytes()
    expected = [annotated(doc) for doc in nlp.pipe(TEXTS)]
    with nlp.select_pipes(disable="elmo"):
        docs = list(nlp.pipe(DocBin().from_bytes(stored).get_docs(nlp.vocab)))
    assert_same_predictions([annotated(doc) for doc in docs], expected)


def test_doc_cleaner_frees_tensor_and_layers(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "ner")
    train(nlp, 15)
    expected = [annotated(doc) for doc in nlp.pipe(TEXTS)]
    size = len(nlp(TEXTS[0]).to_bytes())
    nlp.add_pipe("doc_cleaner", config={"attrs": {"tensor": None, "_.elmo_layers": None}})
    docs = list(nlp.pipe(TEXTS))
    assert_same_predictions([annotated(doc) for doc in docs], expected)
    for doc in docs:
        assert doc.tensor is None
        assert doc._.elmo_layers is None
        assert doc[0]._.elmo is not None
    kept = 4 * len(docs[0]) * 12
    assert len(docs[0].to_bytes()) < size - 3 * kept


def test_doc_cleaner_frees_the_vectors(tiny_source: str) -> None:
    nlp = blank(tiny_source)
    nlp.add_pipe("doc_cleaner", config={"attrs": {"tensor": None, "_.elmo": None}})
    doc = nlp("a b")
    assert doc._.elmo is None
    assert doc[0]._.elmo is None


def test_memory_zones_give_the_same_vectors_each_time(tiny_source: str) -> None:
    """Twice, with the cache in use: what it keeps must not belong to the zone that is gone."""
    nlp = pipeline(tiny_source, "tagger", "ner")
    train(nlp, 15)
    elmo = elmo_of(nlp)
    texts = [*TEXTS, "unseen words zzyzx qwxyt here", "unseen  words again"]
    # No zone ran yet, so that the words of the last texts are new to the vocabulary in each zone.
    wanted = [np.array(doc.tensor) for doc in blank(tiny_source).pipe(texts)]
    answers = []
    for _ in range(2):
        with nlp.memory_zone():
            docs = list(nlp.pipe(texts))
            elmo.layers_of(docs, is_train=True)
            for doc in docs:
                doc._.elmo_layers = None
            again = elmo.layers_of(docs, is_train=True)
            for doc, layers, vectors in zip(docs, again, wanted, strict=True):
                np.testing.assert_allclose(doc.tensor, vectors, atol=1e-6)
                np.testing.assert_allclose(layers.mean(axis=0), vectors, atol=1e-6)
            answers.append([annotated(doc) for doc in docs])
    assert_same_predictions(*answers)
    assert len(elmo._cache) == len(texts)

"""Vectors of sentences: by hand on tiny models, and what they are good for on the embedded one."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from spacy_elmo.similarity import (
    SentenceVectors,
    SimilarityError,
    WordFrequencies,
    cosine,
    max_vector,
    mean_vector,
)


def blank(source: str, **settings: bool) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo", config={"model": {"source": source}, **settings})
    return nlp


@pytest.fixture(scope="module")
def nlp(tiny_source: str) -> Language:
    return blank(tiny_source)


@pytest.fixture(scope="module")
def texts(nlp: Language) -> list[Doc]:
    return list(nlp.pipe(["the cat sat", "The dog ran", "the sun", "we ran home."]))


def test_the_mean_is_of_words_and_not_of_punctuation_or_whitespace(nlp: Language) -> None:
    doc = nlp("well ,  we ran .")
    assert [token.i for token in doc if token.is_punct or token.is_space] == [1, 2, 5]
    np.testing.assert_allclose(mean_vector(doc), doc.tensor[[0, 3, 4]].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(mean_vector(doc[1:4]), doc.tensor[3], atol=1e-6)
    assert mean_vector(doc).dtype == np.float32


def test_punctuation_counts_where_there_is_nothing_else(nlp: Language) -> None:
    doc = nlp("? \n !")
    np.testing.assert_allclose(mean_vector(doc), doc.tensor[[0, 2]].mean(axis=0), atol=1e-6)


def test_the_largest_values_are_those_of_words_alone(nlp: Language) -> None:
    doc = nlp("well ,  we ran .")
    np.testing.assert_array_equal(max_vector(doc), doc.tensor[[0, 3, 4]].max(axis=0))
    assert max_vector(nlp("  ")).tolist() == [0] * 12


def test_a_word_counts_the_less_the_more_frequent_it_is(nlp: Language) -> None:
    frequencies = WordFrequencies.of([nlp("The the  cat ,")])
    assert frequencies.shares == {"the": 0.5, "cat": 0.25, ",": 0.25}
    expected = [1e-3 / (1e-3 + p) for p in (0.5, 0.25, 0)]
    np.testing.assert_allclose(frequencies.weights(["The", "cat", "ran"]), expected, rtol=1e-6)
    doc = nlp("The cat ran.")
    np.testing.assert_allclose(
        frequencies.vector(doc), (doc.tensor[:3] * np.array(expected)[:, None]).sum(axis=0) / sum(expected), rtol=1e-5
    )
    with pytest.raises(SimilarityError, match="no words"):
        WordFrequencies.of([nlp(" ")])


def test_a_vocabulary_tells_frequencies_by_zipfs_law() -> None:
    shares = WordFrequencies.of_vocabulary(["the", "of", "The", "and"]).shares
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["the"] == pytest.approx(np.log(2) / np.log(5) + np.log(4 / 3) / np.log(5))
    assert shares["of"] > shares["and"]


def test_each_layer_has_its_vectors(tiny_source: str, nlp: Language) -> None:
    doc = blank(tiny_source, keep_layers=True)("we ran .")
    for layer, row in ((0, 0), (-1, 2)):
        np.testing.assert_allclose(mean_vector(doc, layer), doc._.elmo_layers[row, :2].mean(axis=0), rtol=1e-6)
        np.testing.assert_array_equal(max_vector(doc, layer), doc._.elmo_layers[row, :2].max(axis=0))
    same = WordFrequencies({}).vector
    np.testing.assert_allclose(same(doc[:2], 1), mean_vector(doc[:2], 1), rtol=1e-6)
    with pytest.raises(SimilarityError, match=r"no layer 3 .* but 0 to 2.*keep_layers"):
        mean_vector(doc, 3)
    with pytest.raises(SimilarityError, match="but none at all"):
        mean_vector(nlp("we ran"), 0)


def test_there_is_no_mean_where_elmo_has_not_run(nlp: Language) -> None:
    unread = nlp.make_doc("a b")
    assert (mean_vector(unread), max_vector(unread, 1), WordFrequencies({}).vector(unread)) == (None, None, None)


def test_a_cosine_of_nothing_is_zero() -> None:
    assert cosine(np.zeros(3, "f"), np.ones(3, "f")) == 0.0
    assert cosine(np.array([1, 0, 0], "f"), np.array([1, 1, 0], "f")) == pytest.approx(2**-0.5)


def test_sentence_vectors_leave_out_what_texts_share(nlp: Language, texts: list[Doc]) -> None:
    vectors = SentenceVectors.fit(iter(texts))
    new = nlp("The cat flew.")
    shared = sum(doc._.elmo for doc in texts) / len(texts)
    np.testing.assert_allclose(vectors.vector(new), new.tensor[:3].mean(axis=0) - shared, atol=1e-6)
    np.testing.assert_allclose(sum(vectors.vector(doc) for doc in texts), 0, atol=1e-5)


def test_similarity_is_the_cosine_of_the_vectors(nlp: Language, texts: list[Doc]) -> None:
    vectors = SentenceVectors.fit(texts)
    one, other = texts[:2]
    assert vectors.similarity(one, other) == pytest.approx(cosine(vectors.vector(one), vectors.vector(other)))
    assert vectors.similarity(one, nlp(one.text)) == pytest.approx(1.0)


def test_what_texts_share_is_taken_out_of_any_pooling(tiny_source: str) -> None:
    nlp = blank(tiny_source, keep_layers=True)
    docs = [nlp("the cat sat"), nlp("we ran home.")]
    pool = partial(max_vector, layer=1)
    vectors = SentenceVectors.fit(docs, pool)
    np.testing.assert_allclose(vectors.vector(docs[0]), (pool(docs[0]) - pool(docs[1])) / 2, atol=1e-6)


def test_spans_are_texts(texts: list[Doc]) -> None:
    parts = [doc[:2] for doc in texts]
    vectors = SentenceVectors.fit(parts)
    np.testing.assert_allclose(sum(vectors.vector(part) for part in parts), 0, atol=1e-5)


def test_no_texts_are_refused(nlp: Language) -> None:
    for none in ([], [nlp(""), nlp(" ")]):
        with pytest.raises(SimilarityError, match="no texts to learn from"):
            SentenceVectors.fit(none)


def test_texts_without_words_do_not_count(nlp: Language, texts: list[Doc]) -> None:
    blanks = [nlp(""), nlp(" ")]
    vectors = SentenceVectors.fit([*texts, *blanks])
    np.testing.assert_array_equal(vectors.mean, SentenceVectors.fit(texts).mean)
    for text in blanks:
        assert vectors.similarity(text, texts[0]) == 0.0


def test_strings_are_refused(texts: list[Doc]) -> None:
    strings: Any = ["a b"]
    with pytest.raises(SimilarityError, match=r"Doc or a Span, and not 'a b'.*nlp\.pipe"):
        SentenceVectors.fit(strings)
    with pytest.raises(SimilarityError, match="Doc or a Span, and not 'a b'"):
        SentenceVectors.fit(texts).similarity(texts[0], strings[0])
    with pytest.raises(SimilarityError, match="Doc or a Span, and not 'a b'"):
        WordFrequencies.of(strings)
    with pytest.raises(SimilarityError, match="Doc or a Span, and not 'a b'"):
        max_vector(strings[0])


def test_texts_that_elmo_has_not_read_are_refused(nlp: Language, texts: list[Doc]) -> None:
    unread = nlp.make_doc("a b")
    with pytest.raises(SimilarityError, match="'a b' has no ELMo vectors"):
        SentenceVectors.fit([*texts, unread])
    with pytest.raises(SimilarityError, match="'a b' has no ELMo vectors"):
        SentenceVectors.fit(texts).vector(unread)


def test_another_models_vectors_are_refused(texts: list[Doc], other_source: str) -> None:
    doc = blank(other_source)("a b")
    with pytest.raises(SimilarityError, match="width 12, and those of 'a b' are 8 wide"):
        SentenceVectors.fit(texts).vector(doc)
    with pytest.raises(SimilarityError, match="widths are 12 and 8"):
        cosine(mean_vector(texts[0]), mean_vector(doc))


def test_unrelated_sentences_are_as_like_as_chance() -> None:
    """What the mean alone does not tell: it calls them half alike."""
    nlp = blank("en_elmo_sm")
    unrelated = [
        "The stock market fell sharply on Monday.",
        "My aunt grows tomatoes in her garden.",
        "He broke his leg while skiing.",
        "The violin is slightly out of tune.",
        "Penguins cannot fly.",
        "Please sign here.",
    ]
    docs = list(nlp.pipe(unrelated))
    vectors = SentenceVectors.fit(docs)
    pairs = [(one, other) for i, one in enumerate(docs) for other in docs[:i]]
    raw = np.mean([one._.elmo_similarity(other) for one, other in pairs])
    assert raw > 0.3
    assert abs(np.mean([vectors.similarity(one, other) for one, other in pairs])) < 0.25

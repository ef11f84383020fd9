"""Vectors of sentences: by hand on tiny models, and what they are good for on the embedded one."""

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from spacy_elmo.similarity import SentenceVectors, SimilarityError, cosine, mean_vector


def blank(source: str) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo", config={"model": {"source": source}})
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


def test_there_is_no_mean_where_elmo_has_not_run(nlp: Language) -> None:
    assert mean_vector(nlp.make_doc("a b")) is None


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


def test_spans_are_texts(texts: list[Doc]) -> None:
    parts = [doc[:2] for doc in texts]
    vectors = SentenceVectors.fit(parts)
    np.testing.assert_allclose(sum(vectors.vector(part) for part in parts), 0, atol=1e-5)


def test_no_texts_are_refused() -> None:
    with pytest.raises(SimilarityError, match="no texts to learn from"):
        SentenceVectors.fit([])


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

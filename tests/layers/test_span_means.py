"""Means over sentences, and their gradients."""

from typing import Any

import numpy as np
import spacy
from spacy.tokens import Doc
from thinc.api import Model

from spacy_elmo.layers.samples import FirstSentences
from spacy_elmo.layers.span_means import SpanMeans
from spacy_elmo.layers.types import SpanGetter


def rows_of_docs() -> Model:
    """A tok2vec that gives each token its number and the number's square, and keeps the gradient."""

    def forward(model: Model, docs: list[Doc], is_train: bool) -> Any:
        def backprop(gradient: Any) -> list[Doc]:
            model.attrs["gradient"] = gradient
            return []

        return [np.array([[t.i, t.i**2] for t in doc], dtype="float32").reshape(-1, 2) for doc in docs], backprop

    return Model("rows", forward, dims={"nO": 2})


def docs() -> list[Doc]:
    vocab = spacy.blank("xx").vocab
    starts = [True, False, False, True, False]
    return [Doc(vocab, words=["w"] * 5, sent_starts=starts), Doc(vocab), Doc(vocab, words=["w"] * 2)]


def means(get_spans: SpanGetter | None = None) -> Model:
    model = SpanMeans(rows_of_docs(), get_spans)
    model.initialize(X=docs())
    return model


def test_a_row_is_the_mean_of_a_sentence() -> None:
    split, empty, whole = means().predict(docs())
    np.testing.assert_array_equal(split, [[1, np.float32(5 / 3)], [3.5, 12.5]])
    np.testing.assert_array_equal(empty, [[0, 0]])
    np.testing.assert_array_equal(whole, [[0.5, 0.5]])
    assert means().get_dim("nO") == 2


def test_a_getter_says_which() -> None:
    (first,) = means(FirstSentences(1)).predict(docs()[:1])
    np.testing.assert_array_equal(first, [[1, np.float32(5 / 3)]])


def test_gradients_are_shared_among_a_sentences_tokens() -> None:
    model = means()
    ys, backprop = model.begin_update(docs())
    backprop([np.full_like(y, 6) for y in ys])
    split, empty, whole = model.layers[0].attrs["gradient"]
    np.testing.assert_array_equal(split[:, 0], [2, 2, 2, 3, 3])
    assert empty.shape == (0, 2)
    np.testing.assert_array_equal(whole, np.full((2, 2), 3))

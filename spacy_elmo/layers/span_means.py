"""Vectors of tokens to vectors of sentences, so that what pools tokens can pool the sentences of long texts."""

from collections.abc import Callable
from typing import Any

from spacy.tokens import Doc
from thinc.api import Model

from .spans import sentences_or_doc
from .types import Array, SpanGetter, Vectors

# The first row and the one after the last of each span.
_Bounds = list[tuple[int, int]]


def SpanMeans(tok2vec: Model[list[Doc], Vectors], get_spans: SpanGetter | None = None) -> Model[list[Doc], Vectors]:
    """The architecture "spacy-elmo.SpanMeans.v1": for each Doc an array (n_spans, width) float32.

    Use it as the tok2vec of a text classifier that pools rows: a row is then a sentence instead of a token.

    Args:
        tok2vec: What makes vectors of tokens: an ElmoListener, or one with more layers on it.
        get_spans: A span getter, from `@span_getters`. A row is the mean over the tokens of a span. By default each
            sentence, or the whole Doc if it has no sentence boundaries. A Doc without spans has one row of zeros.
    """
    return Model(
        "span_means",
        forward,
        init=init,
        dims={"nO": tok2vec.maybe_get_dim("nO")},
        layers=[tok2vec],
        attrs={"get_spans": get_spans or sentences_or_doc},
    )


def forward(model: Model[list[Doc], Vectors], docs: list[Doc], is_train: bool) -> tuple[Vectors, Callable]:
    """The means of each Doc's spans, and the callback that shares their gradients among the tokens."""
    tokens, backprop_tokens = model.layers[0](docs, is_train)
    bounds = _bounds(model, docs)

    def backprop(d_means: Vectors) -> list[Doc]:
        each = zip(d_means, bounds, tokens, strict=True)
        found: list[Doc] = backprop_tokens([_share(model.ops, d, spans, len(rows)) for d, spans, rows in each])
        return found

    return [_means(model.ops, rows, spans) for rows, spans in zip(tokens, bounds, strict=True)], backprop


def init(model: Model[list[Doc], Vectors], X: list[Doc] | None = None, Y: Vectors | None = None) -> None:
    """Initialize the layers below, and learn the width from them."""
    tok2vec = model.layers[0]
    tok2vec.initialize(X=X)
    if model.has_dim("nO") is None and tok2vec.has_dim("nO"):
        model.set_dim("nO", tok2vec.get_dim("nO"))


def _bounds(model: Model[list[Doc], Vectors], docs: list[Doc]) -> list[_Bounds]:
    filled = iter(model.attrs["get_spans"]([doc for doc in docs if len(doc)]))
    return [[(span.start, span.end) for span in next(filled)] if len(doc) else [] for doc in docs]


def _means(ops: Any, rows: Array, bounds: _Bounds) -> Array:
    means: Array = ops.alloc2f(max(1, len(bounds)), rows.shape[1])
    for mean, (start, end) in zip(means, bounds, strict=False):
        mean[:] = rows[start:end].mean(axis=0)
    return means


def _share(ops: Any, d_means: Array, bounds: _Bounds, n_tokens: int) -> Array:
    """The gradient of a Doc's tokens."""
    d_rows: Array = ops.alloc2f(n_tokens, d_means.shape[1])
    for d_mean, (start, end) in zip(d_means, bounds, strict=False):
        d_rows[start:end] += d_mean / (end - start)
    return d_rows

"""The custom attributes `Doc._.elmo`, `Doc._.elmo_layers`, `Span._.elmo` and `Token._.elmo`."""

from typing import Any

import numpy as np
import numpy.typing as npt
from spacy.tokens import Doc, Span, Token

from ..layers import slot


def install() -> None:
    """Make the attributes known to spaCy. Does nothing the second time, nor where someone else has taken a name."""
    if not Doc.has_extension("elmo"):
        Doc.set_extension("elmo", getter=_doc_vector, setter=_forget_vectors)
    if not Doc.has_extension("elmo_layers"):
        Doc.set_extension("elmo_layers", getter=_doc_layers, setter=_forget_layers)
    if not Span.has_extension("elmo"):
        Span.set_extension("elmo", getter=_span_vector)
    if not Token.has_extension("elmo"):
        Token.set_extension("elmo", getter=_token_vector)


def _token_vector(token: Token) -> npt.NDArray[np.float32] | None:
    vectors = slot.last(token.doc, "vectors")
    return None if vectors is None else vectors[token.i]


def _span_vector(span: Span) -> npt.NDArray[np.float32] | None:
    return _mean(span.doc, span.start, span.end)


def _doc_vector(doc: Doc) -> npt.NDArray[np.float32] | None:
    return _mean(doc, 0, len(doc))


def _mean(doc: Doc, start: int, end: int) -> npt.NDArray[np.float32] | None:
    """The mean over the tokens that have a vector: whitespace has none, and would only water the mean down."""
    vectors = slot.last(doc, "vectors")
    if vectors is None:
        return None
    rows = [i for i in range(start, end) if not doc[i].text.isspace()]
    return vectors[rows].mean(axis=0) if rows else np.zeros(vectors.shape[1], dtype=np.float32)


def _doc_layers(doc: Doc) -> npt.NDArray[np.float32] | None:
    return slot.last(doc, "layers")


def _forget_vectors(doc: Doc, value: Any) -> None:
    _only_none("elmo", value)
    slot.drop(doc, "vectors")


def _forget_layers(doc: Doc, value: Any) -> None:
    _only_none("elmo_layers", value)
    slot.drop(doc, "layers")


def _only_none(name: str, value: Any) -> None:
    if value is not None:
        raise ValueError(f"Doc._.{name} is written by the ELMo component; setting it to None frees its memory.")

"""The custom attributes of Docs, Spans and Tokens: `._.elmo`, `._.elmo_similarity()`, and `Doc._.elmo_layers`.

Attributes, and spaCy's own `similarity` only where the component "elmo_similarity" is, see `hooks`.
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from spacy.tokens import Doc, Span, Token

from ..layers import slot
from ..similarity import cosine, mean_vector


def install() -> None:
    """Make the attributes known to spaCy. Whoever took a name first keeps it, which is said."""
    taken = [
        f"{owner.__name__}._.{name}"
        for owner, name, kind, function, setter in (
            (Doc, "elmo", "getter", mean_vector, _forget_vectors),
            (Span, "elmo", "getter", mean_vector, None),
            (Token, "elmo", "getter", _token_vector, None),
            (Doc, "elmo_layers", "getter", _doc_layers, _forget_layers),
            (Doc, "elmo_similarity", "method", similarity, None),
            (Span, "elmo_similarity", "method", similarity, None),
            (Token, "elmo_similarity", "method", similarity, None),
        )
        if not _is_installed(owner, name, kind, function, setter)
    ]
    if taken:
        warnings.warn(
            f"{', '.join(taken)} is not ELMo's: an extension of that name was set before, and stays as it is. Give "
            f"that one another name to read ELMo's.",
            stacklevel=2,
        )


def _is_installed(owner: Any, name: str, kind: str, function: Any, setter: Any) -> bool:
    """Whether an attribute is ours, after it was installed where the name was free."""
    if not owner.has_extension(name):
        owner.set_extension(name, **{kind: function}, setter=setter)
    _, method, getter, _ = owner.get_extension(name)
    return function in (method, getter)


def _token_vector(token: Token) -> npt.NDArray[np.float32] | None:
    vectors = slot.last(token.doc, "vectors", token.i, token.i + 1)
    return None if vectors is None else vectors[token.i]


def similarity(one: Doc | Span | Token, other: Doc | Span | Token) -> float:
    """The cosine of two ELMo vectors, 0 where one of them is of whitespace alone.

    (spaCy's `similarity` is of no use here: it is 1 for two tokens of one form, whatever they mean.)

    Raises:
        ValueError: one of them has no ELMo vector, or they are of different widths.
    """
    return cosine(_vector_of(one), _vector_of(other))


def _vector_of(tokens: Any) -> npt.NDArray[np.float32]:
    if not isinstance(tokens, Doc | Span | Token):
        raise TypeError(f"An ELMo similarity is one of Docs, Spans and Tokens, and not of a {type(tokens).__name__}.")
    vector = _token_vector(tokens) if isinstance(tokens, Token) else mean_vector(tokens)
    if vector is None:
        raise ValueError(f"{tokens.text[:50]!r} has no ELMo vector: 'elmo' has not run on its Doc.")
    return vector


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

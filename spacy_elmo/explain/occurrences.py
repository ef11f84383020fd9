"""Where a word stands in texts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from spacy.tokens import Doc, Span, Token

from ..layers.spans import sentences_or_doc
from .errors import ExplainError


@dataclass(frozen=True)
class Occurrence:
    """A word in its sentence.

    Attributes:
        words: The sentence, without whitespace tokens.
        position: Which of them it is.
        label: What is known of it, such as its part of speech; None for nothing.
    """

    words: tuple[str, ...]
    position: int
    label: str | None = None

    @property
    def word(self) -> str:
        """The word itself."""
        return self.words[self.position]


def find_occurrences(docs: Iterable[Doc], word: str, by: str | None = None) -> Iterator[Occurrence]:
    """All places where a word stands, whatever the case of its letters.

    Args:
        docs: Tokenised. A Doc with sentence boundaries is read a sentence at a time, as the component does.
        word: One token.
        by: Which attribute becomes the label: of the token (`"token.pos_"`, `"token._.sense"`) or of its Doc
            ("doc._.genre", "doc.cats" for the likeliest category, "doc.user_data.KEY").

    Raises:
        ExplainError: There is no such attribute.
    """
    wanted = word.casefold()
    for doc in docs:
        for sentence in sentences_or_doc([doc])[0]:
            yield from _in_sentence(sentence, wanted, by)


def _in_sentence(sentence: Span, wanted: str, by: str | None) -> Iterator[Occurrence]:
    tokens = [token for token in sentence if not token.is_space]
    words = tuple(token.text for token in tokens)
    for position, token in enumerate(tokens):
        if token.text.casefold() == wanted:
            yield Occurrence(words, position, None if by is None else label_of(token, by))


def label_of(token: Token, by: str) -> str:
    """The value of an attribute, see `find_occurrences`."""
    owner, *names = by.split(".")
    value: Any = {"token": token, "doc": token.doc}.get(owner)
    if value is None or not names:
        raise ExplainError(f"{by!r} names no attribute. It begins with 'token.' or 'doc.', such as 'token.pos_'.")
    try:
        for name in names:
            value = value[name] if isinstance(value, dict) else getattr(value, name)
    except (AttributeError, KeyError):
        raise ExplainError(f"{by!r}: there is no {name!r} at {token.text!r} in {token.doc.text[:50]!r}.") from None
    if isinstance(value, dict):  # Doc.cats
        value = max(value, key=value.__getitem__) if value else ""
    return str(value)

"""What goes through a job: documents as they are read, as sentences of tokens, with vectors; and those that failed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

# Beyond it, spaCy's Doc alone takes gigabytes.
MAX_CHARACTERS = 20_000_000

Spans = npt.NDArray[np.int32]
Vectors = npt.NDArray[np.float16] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class Text:
    """A document that is not tokenised yet.

    Attributes:
        id: As the input has it; or the name of its file and the number of its line.
        text: All of it.
        is_sentence: It is one sentence, to be tokenised and not to be split.
    """

    id: str
    text: str
    is_sentence: bool = False


@dataclass(frozen=True)
class Document:
    """A document as sentences of tokens. Whitespace is no token, and no sentence is empty.

    Attributes:
        id: See `Text`.
        text: All of it.
        tokens: Its words and marks, in order.
        offsets: The character of `text` at which each token begins, and the one after its end, (n_tokens, 2).
        sentences: The first token of each sentence, and the one after its last, (n_sentences, 2).
    """

    id: str
    text: str
    tokens: list[str]
    offsets: Spans
    sentences: Spans


@dataclass(frozen=True)
class EmbeddedDocument(Document):
    """A document with its vectors.

    Attributes:
        vectors: float16 or float32. A vector a token (n_tokens, width); with pool "sentence" a sentence (n_sentences,
            width); with pool "doc" one (width,), zeros where there are no tokens. With layers "all" these have the
            layers in front, (n_layers + 1, ..., width).
    """

    vectors: Vectors


@dataclass(frozen=True)
class Reject:
    """A document that could not be read, tokenised or embedded."""

    id: str
    reason: str


def runs(items: Iterable[T], size_of: Callable[[T], int], size: int) -> Iterator[list[T]]:
    """Items in a row, each run ended by the one that makes it so large.

    An item counts for one more than its size: there may be millions without tokens, or that failed.
    """
    run: list[T] = []
    n = 0
    for item in items:
        run.append(item)
        n += 1 + size_of(item)
        if n >= size:
            yield run
            run, n = [], 0
    if run:
        yield run


def spans(pairs: list[tuple[int, int]]) -> Spans:
    """Begins and ends as an array, (n, 2), also where there are none."""
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


def of_words(id: str, words: list[str]) -> Document:
    """A document of one sentence whose words are known, and whose text is they with blanks between them."""
    words = [word for word in words if word and not word.isspace()]
    ends = np.cumsum([len(word) + 1 for word in words], dtype=np.int64) - 1
    begins = ends - np.array([len(word) for word in words], dtype=np.int64)
    offsets = np.stack([begins, ends], axis=1).astype(np.int32)
    return Document(id, " ".join(words), words, offsets, spans([(0, len(words))] if words else []))


def of_sentences(id: str, sentences: list[list[str]]) -> Document:
    """As `of_words`, of several sentences."""
    whole = of_words(id, [word for sentence in sentences for word in sentence])
    ends = np.cumsum([len([word for word in one if word and not word.isspace()]) for one in sentences])
    pairs = [(begin, end) for begin, end in pairwise([0, *ends.tolist()]) if end > begin]
    return Document(whole.id, whole.text, whole.tokens, whole.offsets, spans(pairs))

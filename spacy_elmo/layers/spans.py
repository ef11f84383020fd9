"""Which tokens of a Doc the biLM reads together, and where their vectors go.

What counts is the Doc as it is when its ELMo component's turn comes. Sentence boundaries that are set later, by another
component or by hand, change nothing for those who read the Doc again, until its words change.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import catalogue
import numpy as np
import spacy
from spacy.tokens import Doc, Span

from . import slot
from .types import Array, SpanGetter

# spaCy itself has no registry of span getters; spacy-transformers makes this same one when it is imported.
registry: Any = spacy.registry
if not hasattr(registry, "span_getters"):
    registry.span_getters = catalogue.create("spacy", "span_getters", entry_points=True)


def sentences_or_doc(docs: Iterable[Doc]) -> list[list[Span]]:
    """The sentences of a Doc that has sentence boundaries, otherwise the whole Doc. An LSTM needs no windows."""
    return [list(doc.sents) if doc.has_annotation("SENT_START") else [doc[:]] for doc in docs]


def whole_docs(docs: Iterable[Doc]) -> list[list[Span]]:
    """Each Doc as one span."""
    return [[doc[:]] for doc in docs]


@dataclass(frozen=True)
class DocWords:
    """The words of one Doc that the biLM reads.

    Attributes:
        n_tokens: rows of the Doc's layers.
        sequences: the words of each span without its whitespace tokens; spans without words are left out.
        rows: the token numbers of each of these words.
        spans: the first token of every span, and the one after its last.
    """

    n_tokens: int
    sequences: tuple[tuple[str, ...], ...]
    rows: tuple[tuple[int, ...], ...]
    spans: tuple[tuple[int, int], ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, doc: Doc, spans: Iterable[Span]) -> "DocWords":
        """The words of a Doc in spans, without whitespace; spans of nothing else are left out."""
        spans = list(spans)
        texts = [token.text for token in doc]  # of a span they take twice the time
        read = [_words_and_rows(texts, span) for span in spans]
        return cls(
            len(doc),
            tuple(words for words, _ in read if words),
            tuple(rows for _, rows in read if rows),
            tuple((span.start, span.end) for span in spans),
        )

    def place(self, ops: Any, vectors: Iterable[Array], n_layers: int, width: int) -> Array:
        """Put the vectors of the sequences, (n_layers, n_words, width) each, into the rows of the Doc.

        Where spans overlap, a token's vectors are averaged; tokens in no sequence have zeros.
        """
        if len(self.rows) == 1 and len(self.rows[0]) == self.n_tokens:
            (array,) = vectors
            return array
        layers = ops.alloc3f(n_layers, self.n_tokens, width)
        for rows, array in zip(self.rows, vectors, strict=True):
            layers[:, list(rows)] += array
        layers /= ops.asarray(self._times_read())
        return layers

    def pick(self, ops: Any, d_layers: Array) -> list[Array]:
        """The gradients of `place`'s vectors from the gradient of its result."""
        shared = d_layers / ops.asarray(self._times_read())
        return [shared[:, list(rows)] for rows in self.rows]

    def _times_read(self) -> Array:
        """In how many spans each token stands, at least 1, shape (n_tokens, 1)."""
        times = np.zeros((self.n_tokens, 1), dtype=np.float32)
        for rows in self.rows:
            times[list(rows)] += 1
        return np.maximum(times, 1)


def _words_and_rows(texts: list[str], span: Span) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The words of a span without whitespace, and the token number of each. texts: of all tokens of the Doc."""
    words, rows = tuple(texts[span.start : span.end]), tuple(range(span.start, span.end))
    if not any(map(str.isspace, words)):  # nearly always, and the rest takes as long as all else here
        return words, rows
    kept = [i for i, word in enumerate(words) if not word.isspace()]
    return tuple([words[i] for i in kept]), tuple([rows[i] for i in kept])


def doc_words(docs: list[Doc], get_spans: SpanGetter, name: str | None = None) -> list[DocWords]:
    """The words of each Doc.

    Args:
        docs: what is to be read.
        get_spans: says what is read together.
        name: the ELMo component, the turn of which counts: what it has read together before is so again.
    """
    kept = [None if name is None else slot.kept_spans(doc, name) for doc in docs]
    new = [doc for doc, spans in zip(docs, kept, strict=True) if spans is None and len(doc)]
    found = iter(get_spans(new) if new else [])
    return [
        DocWords.of(doc, spans if spans is not None else next(found) if len(doc) else ())
        for doc, spans in zip(docs, kept, strict=True)
    ]

"""Collections of spaCy's Docs, in slices for worker processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from spacy.attrs import DEP, HEAD, ORTH, SENT_START
from spacy.strings import StringStore
from spacy.tokens import DocBin

from .errors import CorpusError

SLICE_TOKENS = 200_000


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what spaCy raises of a damaged DocBin, when it is read or its Docs are taken, into a CorpusError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise CorpusError(f"{path}: not a whole DocBin as spaCy writes it ({error}).") from None


def sliced(doc_bin: DocBin) -> Iterator[tuple[int, int, bytes]]:
    """A DocBin in slices, each a DocBin of about SLICE_TOKENS tokens that holds words and sentences alone.

    Yields:
        The number of its first Doc, that of the Doc after its last, from 0 on, and its bytes.
    """
    strings = StringStore(doc_bin.strings)
    ends = np.cumsum([len(tokens) for tokens in doc_bin.tokens])
    start = 0
    while start < len(doc_bin):
        full = (ends[start - 1] if start else 0) + SLICE_TOKENS
        end = max(start + 1, int(np.searchsorted(ends, full, side="right")))
        yield start, end, _slice(doc_bin, start, end, strings).to_bytes()
        start = end


def _slice(doc_bin: DocBin, start: int, end: int, strings: StringStore) -> DocBin:
    columns = [i for i, attr in enumerate(doc_bin.attrs) if attr in (ORTH, SENT_START, HEAD, DEP)]
    piece = DocBin(attrs=[doc_bin.attrs[i] for i in columns])
    piece.tokens = [tokens[:, columns] for tokens in doc_bin.tokens[start:end]]
    piece.spaces = doc_bin.spaces[start:end]
    piece.flags = doc_bin.flags[start:end]
    piece.cats = [{}] * (end - start)
    piece.span_groups = [b""] * (end - start)
    orths = np.unique(np.concatenate([tokens[:, piece.attrs.index(ORTH)] for tokens in piece.tokens]))
    piece.strings = {strings[orth] for orth in orths.tolist()}
    return piece

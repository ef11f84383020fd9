"""Documents to passages, which training reads as wholes."""

import numpy as np

from .corpus import IntArray, TypeArray

PASSAGE_WORDS = 2_000


def passages(rows: TypeArray, document_rows: IntArray) -> IntArray:
    """Where passages begin.

    They are the documents; or, of one with more than PASSAGE_WORDS words, runs of its sentences, as many as fit. A
    sentence that is longer alone is a passage.

    Args:
        rows: Of documents, with a 0 at the begin of each sentence, shape (n_rows,), int32.
        document_rows: How many of them are each document's, shape (n_documents,), int64.

    Returns:
        The row at which each passage begins, and the end, shape (n_passages + 1,), int64.
    """
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(document_rows)])
    long = np.flatnonzero(document_rows > PASSAGE_WORDS)
    cuts = [offsets[i] + _cuts(rows[offsets[i] : offsets[i + 1]]) for i in long]
    return np.sort(np.concatenate([offsets, *cuts]))


def _cuts(rows: TypeArray) -> IntArray:
    """Where a document is to be cut."""
    begins = np.flatnonzero(rows == 0)
    words_before = np.append(begins, len(rows)) - np.arange(len(begins) + 1)  # each sentence, and the end
    cuts: list[int] = []
    sentence = 0
    while True:
        fitting = int(np.searchsorted(words_before, words_before[sentence] + PASSAGE_WORDS, side="right")) - 1
        sentence = max(sentence + 1, fitting)
        if sentence == len(begins):
            return np.array(cuts, dtype=np.int64)
        cuts.append(int(begins[sentence]))

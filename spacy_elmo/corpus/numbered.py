"""Tokenised documents while their words are counted: as numbers, in the order of appearance, on disk."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from .corpus import MARKS, IntArray, TypeArray
from .errors import CorpusError

SHARD_ROWS = 1 << 24
# Where no held-out texts are given, one training document in so many is set aside; or fewer, where these would have
# more words than a measurement needs.
HELDOUT_EVERY = 100
HELDOUT_WORDS = 200_000

# The rows of documents, int32 (n_rows,), and how many rows each of them has, int64 (n_documents,).
Documents = tuple[TypeArray, IntArray]


class Numbers:
    """Words by number, from 1 on, in order of appearance; 0 stands for a sentence's begin."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers) + 1

    def of(self, words: Sequence[str]) -> TypeArray:
        """The numbers of words, new ones for new words.

        Returns:
            0, and then the numbers, shape (1 + n_words,), int32.
        """
        known = self._numbers
        numbers = (known.setdefault(word, len(known) + 1) for word in words)
        return np.fromiter(chain([0], numbers), dtype=np.int32, count=len(words) + 1)

    def ranked(self, counts: IntArray) -> tuple[list[str], TypeArray]:
        """Words by their counts.

        Args:
            counts: How often each number occurs, shape (n_numbers,).

        Returns:
            The words by descending count, equals in their own order; and the type of each number, shape (n_numbers,),
            int32.
        """
        words = list(self._numbers)
        by_word = np.array(sorted(range(len(words)), key=words.__getitem__), dtype=np.int64)
        order = by_word[np.argsort(-counts[1:][by_word], kind="stable")]
        types = np.zeros(len(self), dtype=np.int32)
        types[order + 1] = np.arange(len(MARKS), len(MARKS) + len(words))
        return [words[i] for i in order], types


class Shards:
    """The training documents as numbers, on disk."""

    def __init__(self, directory: Path) -> None:
        self.n_words = 0
        self._n_documents = 0
        self._directory = directory
        self._n_shards = 0
        self._buffer: list[Documents] = []
        self._n_buffered = 0

    def __len__(self) -> int:
        return self._n_shards

    def add(self, documents: Documents) -> None:
        """Take up documents; a shard is written when enough have come."""
        rows, document_rows = documents
        self._buffer.append(documents)
        self._n_buffered += len(rows)
        self.n_words += np.count_nonzero(rows)
        self._n_documents += len(document_rows)
        if self._n_buffered >= SHARD_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what has not been written."""
        if self._n_buffered:
            self._write(self._n_shards, joined(self._buffer))
            self._n_shards += 1
            self._buffer, self._n_buffered = [], 0

    def set_aside(self) -> Documents:
        """Take out the documents to hold out: whole ones, evenly from all the text."""
        if self._n_documents < 2:
            raise CorpusError(
                "The training texts are one document, so that none can be set aside for measuring. Give held-out "
                "texts, or write a document a line; where a line is a sentence, put blank lines between documents."
            )
        step = min(max(HELDOUT_EVERY, -(-self.n_words // HELDOUT_WORDS)), self._n_documents)
        first = 0
        taken = []
        for i in range(len(self)):
            rows, document_rows = self._read(i)
            numbers = np.arange(first, first + len(document_rows))
            first += len(document_rows)
            chosen = numbers % step == step // 2
            chosen_rows = np.repeat(chosen, document_rows)
            taken.append((rows[chosen_rows], document_rows[chosen]))
            self._write(i, (rows[~chosen_rows], document_rows[~chosen]))
        return joined(taken)

    def counts(self, n_numbers: int) -> IntArray:
        """How often each number occurs, shape (n_numbers,), int64."""
        counts = np.zeros(n_numbers, dtype=np.int64)
        for i in range(len(self)):
            counts += np.bincount(self._read(i)[0], minlength=n_numbers)
        return counts

    def take(self, i: int) -> Documents:
        """Read a shard for the last time."""
        documents = self._read(i)
        self._path(i).unlink()
        return documents

    def _path(self, i: int) -> Path:
        return self._directory / f"numbered-{i:05}.npz"

    def _write(self, i: int, documents: Documents) -> None:
        rows, document_rows = documents
        np.savez(self._path(i), rows=rows, document_rows=document_rows)

    def _read(self, i: int) -> Documents:
        with np.load(self._path(i)) as shard:
            return shard["rows"], shard["document_rows"]


def joined(parts: Sequence[Documents]) -> Documents:
    """Several runs of documents as one."""
    rows = np.concatenate([np.empty(0, np.int32), *(rows for rows, _ in parts)])
    document_rows = np.concatenate([np.empty(0, np.int64), *(document_rows for _, document_rows in parts)])
    return rows, document_rows

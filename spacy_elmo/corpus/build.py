"""Texts to the files of a corpus. Words get numbers as they come, and the numbered texts lie on disk until all are
counted; then the numbers become types, by frequency. Memory holds the words and one shard, never the corpus.
"""

import json
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import spacy
from tqdm import tqdm

from . import texts
from .corpus import FORMAT, FORMAT_VERSION, MANIFEST, MARKS, IntArray, TypeArray
from .errors import CorpusError
from .texts import Texts
from .tokenize import TextSettings
from .workers import tokenized

PASSAGE_WORDS = 2_000
SHARD_ROWS = 1 << 24
# Where no held-out texts are given, one training document in so many is set aside; or fewer, where these would have
# more words than a measurement needs.
HELDOUT_EVERY = 100
HELDOUT_WORDS = 200_000

# The rows of documents, int32 (n_rows,), and how many rows each of them has, int64 (n_documents,).
Documents = tuple[TypeArray, IntArray]


def build(
    train: Sequence[Path],
    heldout: Sequence[Path] | None,
    settings: TextSettings,
    directory: Path,
    *,
    n_workers: int,
    show_progress: bool,
) -> None:
    """Write the files of a corpus into an empty directory, the manifest last. See `prepare`."""
    train_texts, heldout_texts = Texts(train, settings.format), Texts(heldout or [], settings.format)
    numbers, shards = _Numbers(), _Shards(directory)
    heldout_documents = _number(train_texts, heldout_texts, numbers, shards, settings, n_workers, show_progress)
    if shards.n_words == 0:
        raise CorpusError(f"{_named(train)}: no words in the training texts.")
    if heldout is None:
        heldout_documents = shards.set_aside()
    elif not len(heldout_documents[0]):
        raise CorpusError(f"{_named(heldout)}: no words in the held-out texts.")

    counts = shards.counts(len(numbers))
    files = _write(directory, numbers, counts, shards, heldout_documents)
    contents = json.dumps([settings.nlp, [file["sha256"] for file in files.values()]], sort_keys=True)
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "fingerprint": sha256(contents.encode("utf8")).hexdigest(),
        "nlp": settings.nlp,
        "text_format": settings.format,
        "code": settings.code_digest,
        "spacy": spacy.__version__,
        "sources": {"train": train_texts.records, "heldout": None if heldout is None else heldout_texts.records},
        "n_words": int(counts[1:].sum()),
        "n_shards": len(shards),
        "files": files,
    }
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf8")


def _number(
    train: Texts,
    heldout: Texts,
    numbers: "_Numbers",
    shards: "_Shards",
    settings: TextSettings,
    n_workers: int,
    show_progress: bool,
) -> Documents:
    """Tokenise everything: the training documents go to the shards, the held-out ones are returned."""
    heldout_files = set(heldout.files)
    heldout_parts = []
    size = sum(path.stat().st_size for path in [*train.files, *heldout.files])
    n_workers = min(n_workers, 1 + size // texts.PIECE_CHARACTERS)
    pieces = tokenized(chain(train.pieces(), heldout.pieces()), settings, n_workers)
    progress = tqdm(total=size, unit="B", unit_scale=True, desc="Tokenising", disable=not show_progress)
    with closing(pieces), progress:
        for piece, tokens in pieces:
            documents = numbers.of(tokens.words)[tokens.rows], tokens.document_rows
            if piece.first.path in heldout_files:
                heldout_parts.append(documents)
            else:
                shards.add(documents)
            progress.update(piece.n_bytes)
    shards.flush()
    return _joined(heldout_parts)


def _write(
    directory: Path, numbers: "_Numbers", counts: IntArray, shards: "_Shards", heldout: Documents
) -> dict[str, dict[str, Any]]:
    """Write numbered documents as types, and the words.

    Returns:
        The size and digest of each file, by its name.
    """
    words, types = numbers.ranked(counts)
    files = _Files(directory)
    for i in range(len(shards)):
        files.write_passages(f"shard-{i:05}", types, shards.take(i))
    files.write_passages("heldout", types, heldout)
    files.write_words([*MARKS, *words])
    files.write("words.counts", _type_counts(counts, types))
    return files.records


class _Numbers:
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


class _Shards:
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
        rows, document_rows = documents
        self._buffer.append(documents)
        self._n_buffered += len(rows)
        self.n_words += np.count_nonzero(rows)
        self._n_documents += len(document_rows)
        if self._n_buffered >= SHARD_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._n_buffered:
            self._write(self._n_shards, _joined(self._buffer))
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
        return _joined(taken)

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


class _Files:
    """The arrays of a corpus as they are written.

    Attributes:
        records: The size and digest of each file, by its name.
    """

    def __init__(self, directory: Path) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self._directory = directory

    def write(self, name: str, array: np.ndarray) -> None:
        with (self._directory / f"{name}.npy").open("xb") as file:
            digesting = _DigestingFile(file)
            np.lib.format.write_array(digesting, array, allow_pickle=False)
        self.records[f"{name}.npy"] = {"size": digesting.size, "sha256": digesting.digest.hexdigest()}

    def write_passages(self, name: str, types: TypeArray, documents: Documents) -> None:
        rows, document_rows = documents
        self.write(f"{name}.tokens", types[rows])
        self.write(f"{name}.passages", passages(rows, document_rows))

    def write_words(self, words: list[str]) -> None:
        encoded = [word.encode("utf8") for word in words]
        self.write("words.utf8", np.frombuffer(b"".join(encoded), dtype=np.uint8))
        self.write("words.offsets", np.cumsum([0, *map(len, encoded)], dtype=np.int64))


class _DigestingFile:
    def __init__(self, file: IO[bytes]) -> None:
        self.size = 0
        self.digest = sha256()
        self._file = file

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)
        self.digest.update(data)


def passages(rows: TypeArray, document_rows: IntArray) -> IntArray:
    """Where passages begin. They are the documents; or, of one with more than PASSAGE_WORDS words, runs of its
    sentences, as many as fit. A sentence that is longer alone is a passage.

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


def _joined(parts: Sequence[Documents]) -> Documents:
    rows = np.concatenate([np.empty(0, np.int32), *(rows for rows, _ in parts)])
    document_rows = np.concatenate([np.empty(0, np.int64), *(document_rows for _, document_rows in parts)])
    return rows, document_rows


def _type_counts(counts: IntArray, types: TypeArray) -> IntArray:
    """The counts of types from those of numbers. Each sentence has a <S>, and an implied </S>."""
    by_type = np.zeros(len(MARKS) + len(counts) - 1, dtype=np.int64)
    by_type[types] = counts
    by_type[1] = counts[0]
    return by_type


def _named(paths: Sequence[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"

"""A prepared corpus: a directory of arrays that are mapped into memory, not read."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bilm.characters import BEGIN_WORD, END_WORD, PAD, boundary_ids
from ..disk import digest, read_json
from .errors import CorpusError

MANIFEST = "manifest.json"
FORMAT = "spacy-elmo-corpus"
FORMAT_VERSION = 1
KINDS = {"fingerprint": str, "nlp": dict, "sources": dict, "n_words": int, "n_shards": int, "files": dict}
BEGIN_SENTENCE, END_SENTENCE, UNKNOWN = range(3)
MARKS = ("<S>", "</S>", "<UNK>")

IntArray = npt.NDArray[np.int64]
TypeArray = npt.NDArray[np.int32]


def class_numbers(vocabulary: Sequence[str]) -> dict[str, int]:
    """The numbers of the words that a language model predicts; a word that looks like one of the MARKS is none."""
    return {word: i for i, word in enumerate(vocabulary) if i >= len(MARKS)}


class Passages:
    """Passages of text: documents, or runs of whole sentences of long ones.

    A passage is an array of word types, shape (n_rows,), int32. Each of its sentences is <S> and then its words; </S>
    is implied.

    Attributes:
        rows: How many rows each passage has, shape (n_passages,), int64.
    """

    def __init__(self, shards: Sequence[tuple[TypeArray, IntArray]]) -> None:
        """Make passages of shards.

        Args:
            shards: For each its rows, shape (n_rows,), and where in them passages begin, and the end, shape
                (n_passages + 1,).
        """
        self._shards = shards
        self._firsts = np.cumsum([0] + [len(offsets) - 1 for _, offsets in shards])
        self.rows: IntArray = np.concatenate([np.empty(0, np.int64), *(np.diff(offsets) for _, offsets in shards)])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> TypeArray:
        """The passage at an index from 0 on, as a view into the mapped file."""
        if not 0 <= i < len(self):
            raise IndexError(f"passage {i} of {len(self)}")
        shard = int(np.searchsorted(self._firsts, i, side="right")) - 1
        tokens, offsets = self._shards[shard]
        local = i - self._firsts[shard]
        return tokens[offsets[local] : offsets[local + 1]]


class WordTable:
    """The distinct words of a corpus, each with its number, its type."""

    def __init__(self, characters: npt.NDArray[np.uint8], offsets: IntArray) -> None:
        """Make a table of words that lie one after another.

        Args:
            characters: The words' UTF-8, one after another, shape (n_bytes,).
            offsets: Where each begins, and the end, shape (n_types + 1,).
        """
        self._characters = characters
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def word(self, i: int) -> str:
        """The word of a type."""
        return self._characters[self._offsets[i] : self._offsets[i + 1]].tobytes().decode("utf8")

    def first(self, n: int) -> list[str]:
        """The words of types 0 to n - 1."""
        text = self._characters[: self._offsets[n]].tobytes()
        return [text[start:end].decode("utf8") for start, end in pairwise(self._offsets[: n + 1].tolist())]

    def character_ids(self, types: npt.NDArray[np.integer], max_characters: int) -> IntArray:
        """Character ids, the same as of `bilm.characters.word_ids`, and of `boundary_ids` for <S> and </S>.

        Args:
            types: Types of words, shape (n,).
            max_characters: How many ids a word has.

        Returns:
            Shape (n, max_characters), int64.
        """
        ids = np.full((len(types), max_characters), PAD, dtype=np.int64)
        ids[:, 0] = BEGIN_WORD
        starts = self._offsets[types]
        lengths = np.minimum(self._offsets[np.asarray(types) + 1] - starts, max_characters - 2)
        columns = np.arange(lengths.max(initial=0))
        rows, inside = np.nonzero(columns < lengths[:, None])
        ids[rows, inside + 1] = self._characters[starts[rows] + inside] + np.int64(1)
        ids[np.arange(len(types)), lengths + 1] = END_WORD
        for mark, mark_ids in zip((BEGIN_SENTENCE, END_SENTENCE), boundary_ids(max_characters), strict=True):
            ids[types == mark] = mark_ids
        return ids


class Corpus:
    """A corpus made by `prepare`.

    Attributes:
        fingerprint: Of what it holds; the same only for the same passages of the same words, tokenised by the same
            config.
        n_words: Words of the training part. Neither sentence boundaries nor whitespace count.
        counts: How often each type occurs in the training part; for <S> and </S>, the sentences. Shape (n_types,),
            int64.
        train: Passages to train on.
        heldout: Passages to measure by.
        words: All types: "<S>", "</S>", "<UNK>", then the words by descending count, and among equals by their own
            order. A word of the texts that looks like one of the three marks has a type of its own.
    """

    def __init__(
        self,
        fingerprint: str,
        n_words: int,
        counts: IntArray,
        train: Passages,
        heldout: Passages,
        words: WordTable,
    ) -> None:
        self.fingerprint = fingerprint
        self.n_words = n_words
        self.counts = counts
        self.train = train
        self.heldout = heldout
        self.words = words

    @classmethod
    def open(cls, directory: Path) -> "Corpus":
        """Open a prepared corpus. Its files are checked against their digests, then mapped into memory.

        Raises:
            CorpusError: The directory holds none, or one of another version; or files are missing or damaged.
        """
        manifest = read_manifest(directory)
        files = {name: _map(directory / name, record) for name, record in manifest["files"].items()}
        return cls(
            fingerprint=manifest["fingerprint"],
            n_words=manifest["n_words"],
            counts=files["words.counts.npy"],
            train=Passages([_shard(files, f"shard-{i:05}") for i in range(manifest["n_shards"])]),
            heldout=Passages([_shard(files, "heldout")]),
            words=WordTable(files["words.utf8.npy"], files["words.offsets.npy"]),
        )

    def vocabulary(self, min_count: int, max_size: int | None) -> list[str]:
        """The words that a language model predicts: "<S>", "</S>", "<UNK>", and then the most frequent ones.

        Args:
            min_count: How often a word has to occur.
            max_size: How many there are at most, the three marks among them; None for all.
        """
        if min_count < 1:
            raise ValueError(f"min_count is {min_count}; it has to be 1 or more.")
        n_words = int(np.searchsorted(-self.counts[len(MARKS) :], -min_count, side="right"))
        size = len(MARKS) + n_words
        if max_size is not None:
            if max_size <= len(MARKS):
                raise ValueError(f"max_size is {max_size}; the marks {', '.join(MARKS)} alone take {len(MARKS)}.")
            size = min(size, max_size)
        return self.words.first(size)

    def classes(self, vocabulary: Sequence[str]) -> IntArray:
        """What a language model has to predict for each type.

        Args:
            vocabulary: Its words, the three marks first.

        Returns:
            The word's index in the vocabulary; that of <UNK> where it has none. Shape (n_types,), int64.
        """
        numbers = class_numbers(vocabulary)
        words = self.words.first(len(self.words))[len(MARKS) :]
        return np.array([*range(len(MARKS)), *(numbers.get(word, UNKNOWN) for word in words)], dtype=np.int64)


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a prepared corpus.

    Raises:
        CorpusError: There is none, or one of another version, or it is damaged.
    """
    path = directory / MANIFEST
    if not path.exists():
        raise CorpusError(f"{directory}: not a prepared corpus, it has no {MANIFEST}.")
    manifest = read_json(path, CorpusError, _AGAIN, max_bytes=_MAX_MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise CorpusError(f"{path}: not the manifest of a prepared corpus (its 'format' is not '{FORMAT}').")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise CorpusError(
            f"{path}: format version {manifest.get('format_version')!r}, but this spacy-elmo reads version "
            f"{FORMAT_VERSION}. Prepare the corpus again, in another directory."
        )
    if missing := sorted(KINDS.keys() - manifest.keys()):
        raise CorpusError(f"{path}: damaged, the keys {', '.join(missing)} are missing. {_AGAIN}")
    if wrong := [key for key, kind in KINDS.items() if type(manifest[key]) is not kind]:
        raise CorpusError(f"{path}: damaged, the values of {', '.join(wrong)} are of other kinds. {_AGAIN}")
    _check_records(manifest, path)
    return manifest


def _check_records(manifest: dict[str, Any], path: Path) -> None:
    """Raises CorpusError where a file is not listed that a corpus consists of, or a record of one is not whole."""
    names = ["heldout", *(f"shard-{i:05}" for i in range(manifest["n_shards"]))]
    arrays = [f"{name}.{part}.npy" for name in names for part in ("tokens", "passages")]
    arrays += ["words.utf8.npy", "words.offsets.npy", "words.counts.npy"]
    if manifest["files"].keys() != set(arrays):
        raise CorpusError(f"{path}: damaged, its files are not those of a corpus. {_AGAIN}")
    sources = manifest["sources"]
    texts = [*(sources.get("train") or [None]), *(sources.get("heldout") or [])]
    records = [(record, {"size", "sha256"}) for record in manifest["files"].values()]
    records += [(record, {"path", "size", "mtime_ns", "sha256"}) for record in texts]
    if not all(isinstance(record, dict) and keys <= record.keys() for record, keys in records):
        raise CorpusError(f"{path}: damaged, what it says of a file is not whole. {_AGAIN}")


def _map(path: Path, record: dict[str, Any]) -> Any:
    try:
        size = path.stat().st_size
        if size != record["size"]:
            raise CorpusError(f"{path}: {size} bytes long, where {record['size']} were written. {_AGAIN}")
        # Not only its header: a type out of range in the middle would end a training run hours later.
        if digest(path) != record["sha256"]:
            raise CorpusError(f"{path}: damaged, its contents are not those that were written. {_AGAIN}")
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file; the corpus is incomplete. {_AGAIN}") from None
    except OSError as error:
        raise CorpusError(f"{path}: not readable ({error}).") from None


_AGAIN = "Remove the corpus directory, and prepare the corpus again."
# It has a line or two for each text file and shard.
_MAX_MANIFEST = 1 << 30


def _shard(files: dict[str, Any], name: str) -> tuple[TypeArray, IntArray]:
    return files[f"{name}.tokens.npy"], files[f"{name}.passages.npy"]

"""Texts to the files of a corpus.

Words get numbers as they come, and the numbered texts lie on disk until all are counted; then the numbers become types,
by frequency. Memory holds the words and one shard, never the corpus.
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

from .corpus import FORMAT, FORMAT_VERSION, MANIFEST, MARKS, IntArray, TypeArray
from .errors import CorpusError
from .numbered import Documents, Numbers, Shards, joined
from .passages import passages
from .texts import Texts
from .tokenize import TextSettings
from .workers import tokenized

# Less text for each worker is read before it has started.
WORKER_BYTES = 1_000_000


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
    numbers, shards = Numbers(), Shards(directory)
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
    numbers: Numbers,
    shards: Shards,
    settings: TextSettings,
    n_workers: int,
    show_progress: bool,
) -> Documents:
    """Tokenise everything: the training documents go to the shards, the held-out ones are returned."""
    heldout_files = set(heldout.files)
    heldout_parts = []
    size = sum(path.stat().st_size for path in [*train.files, *heldout.files])
    n_workers = min(n_workers, 1 + size // WORKER_BYTES)
    # The held-out texts first: they are few, and what is wrong with them shows at once.
    pieces = tokenized(chain(heldout.pieces(), train.pieces()), settings, n_workers)
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
    return joined(heldout_parts)


def _write(
    directory: Path, numbers: Numbers, counts: IntArray, shards: Shards, heldout: Documents
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


def _type_counts(counts: IntArray, types: TypeArray) -> IntArray:
    """The counts of types from those of numbers. Each sentence has a <S>, and an implied </S>."""
    by_type = np.zeros(len(MARKS) + len(counts) - 1, dtype=np.int64)
    by_type[types] = counts
    by_type[1] = counts[0]
    return by_type


def _named(paths: Sequence[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"

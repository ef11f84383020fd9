"""Text files to documents, in pieces of a size to tokenise at a time."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import IO, Any

from spacy.tokens import DocBin

from .compression import decompressed
from .doc_bins import reading, sliced
from .errors import CorpusError
from .files import kind
from .formats import Document, Format, Place, read_documents
from .pretokenized import warn_of_other_format

# Some seconds of work for a slow tokenizer, such as the Japanese one.
PIECE_CHARACTERS = 200_000
CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class Piece:
    """Some documents in a row.

    Attributes:
        documents: Each its text, or its sentences, see `formats.Document`; or the bytes of a DocBin.
        format: What all of them were read as; "documents" of a DocBin.
        first: Where the first one is.
        last: Where the last one is.
        n_bytes: How much of the files has been read for it.
    """

    documents: list[list[str]] | bytes
    format: Format
    first: Place
    last: Place
    n_bytes: int


class Texts:
    """The documents of some files.

    A line of a text file is what `format` says, and so is the "text" of a line of a .jsonl file; a .conllu file has
    tokens and sentences of its own, and so may the Docs of a .spacy file.

    Attributes:
        files: Files as of `files.find`.
        records: Of each file "path", "size", "mtime_ns" and "sha256", known once `pieces` has come to its end.
    """

    def __init__(self, files: Sequence[Path], format: Format = "documents") -> None:
        self.files = files
        self.records: list[dict[str, Any]] = []
        self._format = format
        self._n_bytes = 0  # read so far
        self._n_told = 0  # of these, told by the pieces so far
        self._has_warned = False

    def pieces(self) -> Iterator[Piece]:
        """All documents, about PIECE_CHARACTERS at a time. Warns, once, where they look like those of another format.

        Raises:
            CorpusError: A file is missing, damaged, or not in the format its name says. Names file and line.
        """
        self.records = []
        self._n_bytes = self._n_told = 0
        items = chain.from_iterable(map(self._file, self.files))
        for _, run in groupby(items, key=lambda item: (type(item), item.format)):
            yield from self._gathered(run)

    def _gathered(self, items: Iterable[Document | Piece]) -> Iterator[Piece]:
        """Documents of one format in pieces; and what are pieces already."""
        gathered: list[Document] = []
        n_characters = 0
        for item in items:
            if isinstance(item, Piece):
                yield item
                continue
            if n_characters >= PIECE_CHARACTERS:
                yield self._piece(gathered)
                gathered, n_characters = [], 0
            gathered.append(item)
            n_characters += item.n_characters
        if gathered:
            yield self._piece(gathered)

    def _piece(self, documents: list[Document]) -> Piece:
        self._has_warned = self._has_warned or warn_of_other_format(documents)
        first, last = documents[0], documents[-1]
        return Piece([one.parts for one in documents], first.format, first.place, last.place, self._told())

    def _told(self) -> int:
        """How much has been read since the last time."""
        n_bytes, self._n_told = self._n_bytes - self._n_told, self._n_bytes
        return n_bytes

    def _file(self, path: Path) -> Iterator[Document | Piece]:
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                stat = os.fstat(file.fileno())
                chunks = decompressed(self._counted(file, digest), path)
                if kind(path) == "spacy":
                    yield from self._doc_bin(b"".join(chunks), path)
                else:
                    yield from read_documents(chunks, path, self._format)
        except OSError as error:
            raise CorpusError(f"{path}: not readable ({error.strerror or error}).") from None
        self.records.append(
            {
                "path": str(path.absolute()),
                "size": stat.st_size,
                "mtime_ns": stat.st_mtime_ns,
                "sha256": digest.hexdigest(),
            }
        )

    def _counted(self, file: IO[bytes], digest: Any) -> Iterator[bytes]:
        while chunk := file.read(CHUNK_BYTES):
            self._n_bytes += len(chunk)
            digest.update(chunk)
            yield chunk

    def _doc_bin(self, data: bytes, path: Path) -> Iterator[Piece]:
        with reading(path):
            for start, end, part in sliced(DocBin().from_bytes(data)):
                yield Piece(part, "documents", Place(path, start + 1), Place(path, end), self._told())

"""Text files to documents."""

import codecs
import glob
import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import srsly
from spacy.attrs import DEP, HEAD, ORTH, SENT_START
from spacy.strings import StringStore
from spacy.tokens import DocBin

from .errors import CorpusError

PIECE_CHARACTERS = 1_000_000
PIECE_TOKENS = 200_000
CHUNK_BYTES = 1 << 18
COMPRESSIONS = (".gz", ".zst")


@dataclass(frozen=True)
class Place:
    """Where a document comes from. Its number is a line's in a text file and a Doc's in a DocBin, from 1 on."""

    path: Path
    number: int

    def __str__(self) -> str:
        return f"{self.path}, {'Doc' if _format(self.path) == '.spacy' else 'line'} {self.number}"


@dataclass(frozen=True)
class Piece:
    """Some documents in a row.

    documents: their texts, none of them blank; or the bytes of a DocBin, where they are tokenised already.
    n_bytes: how much of the files has been read for it.
    """

    documents: list[str] | bytes
    first: Place
    last: Place
    n_bytes: int


class Texts:
    """The documents of some files. A line of a text file is a document, and so is the "text" of a line of a .jsonl
    file and a Doc of a .spacy file. Each of these may be compressed, with .gz or .zst at the end of its name.

    records: of each file "path", "size", "mtime_ns" and "sha256", known once `pieces` has come to its end.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self.records: list[dict[str, Any]] = []
        self._n_bytes = 0  # read so far
        self._n_told = 0  # of these, told by the pieces so far

    def pieces(self) -> Iterator[Piece]:
        """All documents, about a megabyte at a time.

        Raises CorpusError, naming file and line, for what is missing, damaged, or not in the format its name says.
        """
        texts: list[str] = []
        places: list[Place] = []
        n_characters = 0
        for document in self._documents():
            if texts and (isinstance(document, Piece) or n_characters >= PIECE_CHARACTERS):
                yield self._piece(texts, places[0], places[-1])
                texts, places, n_characters = [], [], 0
            if isinstance(document, Piece):
                yield document
            else:
                text, place = document
                texts.append(text)
                places.append(place)
                n_characters += len(text)
        if texts:
            yield self._piece(texts, places[0], places[-1])

    def _piece(self, documents: list[str] | bytes, first: Place, last: Place) -> Piece:
        n_bytes, self._n_told = self._n_bytes - self._n_told, self._n_bytes
        return Piece(documents, first, last, n_bytes)

    def _documents(self) -> Iterator[tuple[str, Place] | Piece]:
        self.records = []
        self._n_bytes = self._n_told = 0
        for path in self.files:
            digest = hashlib.sha256()
            try:
                with path.open("rb") as file:
                    stat = os.fstat(file.fileno())
                    if stat.st_size == 0:
                        raise CorpusError(f"{path}: the file is empty. Leave it out, or remove it.")
                    chunks = _decompressed(self._counted(file, digest), path)
                    if _format(path) == ".spacy":
                        yield from self._doc_bin_pieces(b"".join(chunks), path)
                    else:
                        yield from _text_documents(chunks, path)
            except (EOFError, zlib.error) as error:
                raise CorpusError(f"{path}: damaged, or not compressed as its name says ({error}).") from None
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

    def _doc_bin_pieces(self, data: bytes, path: Path) -> Iterator[Piece]:
        try:
            for start, end, slice_data in _sliced(DocBin().from_bytes(data)):
                yield self._piece(slice_data, Place(path, start + 1), Place(path, end))
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise CorpusError(f"{path}: not a whole DocBin as spaCy writes it ({error}).") from None


def find(paths: Sequence[Path]) -> list[Path]:
    """The files that paths mean: files, directories (all files below, but hidden ones) and globs, each in order.

    Raises CorpusError where one means no file, or where a file is meant twice.
    """
    if not paths:
        raise CorpusError("no texts are named.")
    files = [file for path in paths for file in _files(path)]
    check_distinct(files)
    return files


def check_distinct(files: Sequence[Path]) -> None:
    """Raises CorpusError where a file is there twice."""
    seen: set[Path] = set()
    for file in files:
        if file.resolve() in seen:
            raise CorpusError(f"{file}: twice among the texts. Name every file once, as training or as held-out text.")
        seen.add(file.resolve())


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        below = (file for file in sorted(path.rglob("*")) if file.is_file())
        found = [file for file in below if not any(part.startswith(".") for part in file.relative_to(path).parts)]
        if not found:
            raise CorpusError(f"{path}: no files in this directory.")
        return found
    if path.exists():
        raise CorpusError(f"{path}: neither a file nor a directory.")
    if not (matches := sorted(glob.glob(str(path), recursive=True))):
        raise CorpusError(f"{path}: no such file or directory, and as a glob it matches nothing.")
    # A glob such as "texts/**" matches a directory besides the files in it.
    return list(dict.fromkeys(file for match in matches for file in _files(Path(match))))


def _format(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _decompressed(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return _frames(chunks, lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 16))
    if suffix == ".zst":
        return _zst(chunks, path)
    return chunks


def _frames(chunks: Iterator[bytes], new_decompressor: Any) -> Iterator[bytes]:
    """A compressed file may be several, one after another. Raises EOFError where the last one is cut off."""
    decompressor = None
    for chunk in chunks:
        while chunk:
            decompressor = decompressor or new_decompressor()
            yield decompressor.decompress(chunk)
            chunk = decompressor.unused_data
            if decompressor.eof:
                decompressor = None
    if decompressor is not None:
        raise EOFError("it ends in the middle")


def _zst(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    try:
        from compression import zstd  # Python 3.14
    except ImportError:
        try:
            import zstandard as zstd
        except ImportError:
            raise CorpusError(
                f"{path}: reading .zst takes the package zstandard. Install it: pip install zstandard"
            ) from None
    new = zstd.ZstdDecompressor if hasattr(zstd, "ZstdFile") else zstd.ZstdDecompressor().decompressobj
    try:
        yield from _frames(chunks, new)
    except zstd.ZstdError as error:
        raise CorpusError(f"{path}: damaged, or not compressed as its name says ({error}).") from None


def _text_documents(chunks: Iterator[bytes], path: Path) -> Iterator[tuple[str, Place]]:
    is_json = _format(path) == ".jsonl"
    for number, line in enumerate(_lines(chunks), 1):
        place = Place(path, number)
        text = _decoded(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line, place)
        if is_json and not text.isspace() and text:
            text = _json_text(text, place)
        if text and not text.isspace():
            yield text, place


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Split at line feeds alone: Unicode's other line ends, as str.splitlines knows them, stand inside documents."""
    rest: list[bytes] = []
    for chunk in chunks:
        first, *lines = chunk.split(b"\n")
        rest.append(first)
        if lines:
            yield b"".join(rest)
            yield from lines[:-1]
            rest = [lines[-1]]
    yield b"".join(rest)


def _decoded(line: bytes, place: Place) -> str:
    try:
        return line.decode("utf8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{place}: not UTF-8 (byte 0x{line[error.start]:02x} at position {error.start}). Convert the file to UTF-8."
        ) from None


def _json_text(line: str, place: Place) -> str:
    try:
        value = srsly.json_loads(line)
    except ValueError as error:
        raise CorpusError(f"{place}: not JSON ({error}).") from None
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise CorpusError(f'{place}: needs to be an object with the key "text" and a string as its value.')
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        raise CorpusError(f"{place}: the text holds half of a surrogate pair, which is no character.") from None
    return text


def _sliced(doc_bin: DocBin) -> Iterator[tuple[int, int, bytes]]:
    """A DocBin in slices, each a DocBin of about PIECE_TOKENS tokens that holds words and sentences alone, as
    (number of its first Doc, number of the Doc after its last, bytes).
    """
    strings = StringStore(doc_bin.strings)
    columns = [i for i, attr in enumerate(doc_bin.attrs) if attr in (ORTH, SENT_START, HEAD, DEP)]
    ends = np.cumsum([len(tokens) for tokens in doc_bin.tokens])
    start = 0
    while start < len(doc_bin):
        full = (ends[start - 1] if start else 0) + PIECE_TOKENS
        end = max(start + 1, int(np.searchsorted(ends, full, side="right")))
        piece = DocBin(attrs=[doc_bin.attrs[i] for i in columns])
        piece.tokens = [tokens[:, columns] for tokens in doc_bin.tokens[start:end]]
        piece.spaces = doc_bin.spaces[start:end]
        piece.flags = doc_bin.flags[start:end]
        piece.cats = [{}] * (end - start)
        piece.span_groups = [b""] * (end - start)
        orths = np.unique(np.concatenate([tokens[:, piece.attrs.index(ORTH)] for tokens in piece.tokens]))
        piece.strings = {strings[orth] for orth in orths.tolist()}
        yield start, end, piece.to_bytes()
        start = end

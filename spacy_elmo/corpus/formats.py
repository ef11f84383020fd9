"""The lines of a file to documents: texts, sentences, or sentences of words."""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import srsly

from .errors import CorpusError
from .files import kind

# What a line is: a document, one of its sentences, or one of its sentences with blanks between the words.
Format = Literal["documents", "sentences", "tokens"]
FORMATS: tuple[Format, ...] = get_args(Format)

# Between the words of a sentence whose words are known. No word has one.
SEPARATOR = "\t"
# Where sentences go on and on without a blank line, so much of them is a document: some two thousand words.
DOCUMENT_CHARACTERS = 10_000


@dataclass(frozen=True)
class Place:
    """Where a document begins. Its number is a line's in a text file and a Doc's in a DocBin, from 1 on."""

    path: Path
    number: int

    def __str__(self) -> str:
        return f"{self.path}, {'Doc' if kind(self.path) == 'spacy' else 'line'} {self.number}"


@dataclass(frozen=True)
class Document:
    """A document, not blank.

    Attributes:
        parts: Its text; or its sentences, whose words in the format "tokens" stand between SEPARATORs.
        format: What it was read as.
        place: Its first line.
    """

    parts: list[str]
    format: Format
    place: Place

    @property
    def n_characters(self) -> int:
        """Of all its parts together."""
        return sum(map(len, self.parts))


def read_documents(chunks: Iterable[bytes], path: Path, format: Format) -> Iterator[Document]:
    """The documents of a file of lines.

    Args:
        chunks: What it holds, in UTF-8.
        path: Its name, which tells what kind of file it is.
        format: What a line of text is. In JSON lines a value of "text" is a document, and this says what each of its
            lines is; CoNLL-U says itself what its words and sentences are.

    Raises:
        CorpusError: A line is not what the file's kind has, or not UTF-8. Names the line.
    """
    lines = numbered(chunks, path)
    if kind(path) == "conllu":
        return _conllu(lines)
    if kind(path) == "jsonl":
        return _json_lines(lines, format)
    return _sentences(lines, format) if format != "documents" else _texts(lines)


Line = tuple[Place, str]


def numbered(chunks: Iterable[bytes], path: Path) -> Iterator[Line]:
    """The lines of a file with their places.

    Raises:
        CorpusError: One is no text in UTF-8.
    """
    for number, line in enumerate(_lines(chunks), 1):
        place = Place(path, number)
        yield place, _decoded(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line, place)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
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
        text = line.decode("utf8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{place}: not UTF-8 (byte 0x{line[error.start]:02x} at position {error.start}). Convert the file to UTF-8."
        ) from None
    if "\0" in text:
        raise CorpusError(f"{place}: no text, for it holds a byte of 0. Leave the file out.")
    return text


def is_blank(text: str) -> bool:
    """Whether a line has nothing to be read."""
    return not text or text.isspace()


def _texts(lines: Iterable[Line]) -> Iterator[Document]:
    return (Document([text], "documents", place) for place, text in lines if not is_blank(text))


def _sentences(lines: Iterable[Line], format: Format) -> Iterator[Document]:
    """A sentence a line. A blank line ends a document."""
    return _gathered(((place, None if is_blank(line) else _sentence(line, format)) for place, line in lines), format)


def _sentence(line: str, format: Format) -> str:
    return SEPARATOR.join(line.split()) if format == "tokens" else line


def _gathered(sentences: Iterable[tuple[Place, str | None]], format: Format) -> Iterator[Document]:
    """Sentences in a row to documents. None ends one, and so does DOCUMENT_CHARACTERS."""
    gathered: list[str] = []
    first: Place | None = None
    n_characters = 0
    for place, sentence in sentences:
        if first and (sentence is None or n_characters >= DOCUMENT_CHARACTERS):
            yield Document(gathered, format, first)
            gathered, first, n_characters = [], None, 0
        if sentence is not None:
            first = first or place
            gathered.append(sentence)
            n_characters += len(sentence)
    if first:
        yield Document(gathered, format, first)


def _json_lines(lines: Iterable[Line], format: Format) -> Iterator[Document]:
    for place, line in lines:
        if is_blank(line) or is_blank(text := json_object(line, place)["text"]):
            continue
        if format == "documents":
            yield Document([text], format, place)
        else:
            sentences = [_sentence(part, format) for part in text.split("\n") if not is_blank(part)]
            yield Document(sentences, format, place)


def json_object(line: str, place: Place) -> dict[str, Any]:
    """The object that a line of JSON holds, with a "text".

    Raises:
        CorpusError: It is something else.
    """
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
    found: dict[str, Any] = value
    return found


# A word's number; that of a token of several words; that of a word that the text has left out.
_CONLLU_ID = re.compile(r"(?P<word>\d+)|\d+-(?P<last>\d+)|\d+\.\d+")
_CONLLU_COLUMNS = 10


def _conllu(lines: Iterable[Line]) -> Iterator[Document]:
    """CoNLL-U (https://universaldependencies.org/format.html): tokens as they stand in the text.

    So of a token of several words its own form counts, and theirs do not. A comment "# newdoc" begins a document.
    """
    return _gathered(_conllu_sentences(lines), "tokens")


def _conllu_sentences(lines: Iterable[Line]) -> Iterator[tuple[Place, str | None]]:
    tokens: list[str] = []
    first: Place | None = None
    covered = 0  # the last word that a token of several has taken in
    for place, line in _with_blank_end(lines):
        if line.startswith("#"):
            if re.match(r"#\s*newdoc\b", line):
                yield place, None
        elif is_blank(line):
            if first:
                yield first, SEPARATOR.join(tokens)
            tokens, first, covered = [], None, 0
        else:
            first = first or place
            form, number, last = _conllu_token(line, place)
            if number > covered:
                tokens.append(form)
            covered = max(covered, last)


def _with_blank_end(lines: Iterable[Line]) -> Iterator[Line]:
    for place, line in lines:
        yield place, line.removesuffix("\r")
    yield place, ""


def _conllu_token(line: str, place: Place) -> tuple[str, int, int]:
    """The form of a line's token, and its first and its last word's number.

    A word that the text has left out is number 0.
    """
    columns = line.split("\t")
    match = _CONLLU_ID.fullmatch(columns[0])
    if len(columns) != _CONLLU_COLUMNS or not match or not columns[1]:
        raise CorpusError(
            f"{place}: not a token of CoNLL-U: ten columns between tabs, the first of them a number, the second a form."
        )
    if match["word"]:
        return columns[1], int(match["word"]), 0
    if match["last"]:
        return columns[1], int(columns[0].partition("-")[0]), int(match["last"])
    return columns[1], 0, 0

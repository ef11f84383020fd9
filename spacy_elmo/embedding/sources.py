"""The documents of a file, one after another, whatever kind of file it is.

A line that cannot be read becomes a reject, and so does all that follows a fault in a file that is read as a whole.
"""

import codecs
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import IO, Any

import srsly
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from ..corpus.compression import decompressed
from ..corpus.doc_bins import reading
from ..corpus.errors import CorpusError
from ..corpus.formats import SEPARATOR, read_documents
from .documents import MAX_CHARACTERS, Document, Reject, Text, of_sentences, of_words, spans
from .inputs import InputFile, kind
from .places import is_remote, reaching
from .settings import Settings
from .tokenizer import of_doc

CHUNK_BYTES = 1 << 18
# A longer line is no document that can be tokenised, and is not held in memory to find that out.
MAX_LINE_BYTES = 8 * MAX_CHARACTERS

Item = Text | Document | Reject


def documents(file: InputFile, settings: Settings, count: Callable[[int], None]) -> Iterator[Item]:
    """The documents of a file.

    Args:
        file: A file.
        settings: What its lines are, and where texts and ids stand.
        count: Is told of bytes as they are read.

    Raises:
        OSError: The file cannot be read. That may pass, and makes no reject.
        EmbeddingError: A package is missing.
    """
    return map(bounded, _documents(file, settings, count))


def bounded(item: Item) -> Item:
    """A document that is not too long, or a reject in its place."""
    too_long = isinstance(item, Text | Document) and len(item.text) > MAX_CHARACTERS
    return Reject(item.id, f"more than {MAX_CHARACTERS:,} characters: split it") if too_long else item


def _documents(file: InputFile, settings: Settings, count: Callable[[int], None]) -> Iterator[Item]:
    with file.open() as stream:
        what = kind(file.path)
        if what == "parquet":
            yield from _parquet(file, stream, settings, count)
            return
        chunks = decompressed(_chunks(file, stream, count), file.path)
        try:
            if what == "spacy":
                yield from _docs(file, b"".join(chunks))
            elif what == "conllu":
                yield from _conllu(file, chunks)
            else:
                read = _from_json if what == "jsonl" else _from_line
                yield from (read(line, f"{file.name}:{n}", settings) for n, line in _lines(chunks) if line != b"")
        except CorpusError as error:
            yield Reject(file.name, f"not read from here on: {error}")


def _chunks(file: InputFile, stream: IO[bytes], count: Callable[[int], None]) -> Iterator[bytes]:
    while True:
        with reaching(file.address) if is_remote(file.address) else nullcontext():
            chunk = stream.read(CHUNK_BYTES)
        if not chunk:
            return
        count(len(chunk))
        yield chunk


def _lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Numbers, from 1 on, and lines without their ends; b"" for one that is blank, None for one that is too long."""
    number, n_bytes = 1, 0
    held: list[bytes] = []

    def line() -> bytes | None:
        if n_bytes > MAX_LINE_BYTES:
            return None
        whole = b"".join(held)
        whole = (whole.removeprefix(codecs.BOM_UTF8) if number == 1 else whole).removesuffix(b"\r")
        return whole if whole.strip() else b""

    for chunk in chunks:
        for i, part in enumerate(chunk.split(b"\n")):
            if i:
                yield number, line()
                number, held, n_bytes = number + 1, [], 0
            n_bytes += len(part)
            if n_bytes <= MAX_LINE_BYTES:
                held.append(part)
    yield number, line()


def _from_line(line: bytes | None, id: str, settings: Settings) -> Item:
    try:
        return _document(id, _decoded(line), settings)
    except ValueError as error:
        return Reject(id, str(error))


def _from_json(line: bytes | None, id: str, settings: Settings) -> Item:
    try:
        value = srsly.json_loads(_decoded(line))
    except ValueError as error:
        return Reject(id, f"not JSON in UTF-8: {error}")
    if not isinstance(value, dict) or settings.field not in value:
        return Reject(id, f"no object with the key {settings.field!r}")
    return of_value(value[settings.field], value.get(settings.id_field), id, settings)


def _decoded(line: bytes | None) -> str:
    if line is None:
        raise ValueError(f"a line of more than {MAX_LINE_BYTES:,} bytes: split it")
    try:
        return line.decode("utf8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte 0x{line[error.start]:02x} at position {error.start})") from None


def of_value(value: Any, given_id: Any, place: str, settings: Settings) -> Item:
    """A document from a field of a table or of a JSON object: a text, or a list of tokens."""
    id = place
    try:
        if given_id is not None:
            id = _checked(str(given_id), "id")
        if isinstance(value, str):
            return _document(id, value, settings)
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            return of_words(id, [_checked(word) for word in value])
        return Reject(id, f"{settings.field!r} is neither a text nor a list of tokens, but {str(value)[:60]!r}")
    except ValueError as error:
        return Reject(id, str(error))


def _document(id: str, text: str, settings: Settings) -> Text | Document:
    _checked(text)
    if settings.format != "tokens":
        return Text(id, text, is_sentence=settings.format == "sentences")
    text = text.strip()
    matches = list(re.finditer(r"\S+", text))
    sentence = [(0, len(matches))] if matches else []
    return Document(id, text, [one.group() for one in matches], spans([one.span() for one in matches]), spans(sentence))


def _checked(text: str, what: str = "text") -> str:
    if "\0" in text:
        raise ValueError(f"no {what}, for it holds a character of number 0")
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        raise ValueError(f"the {what} holds half of a surrogate pair, which is no character") from None
    return text


def _conllu(file: InputFile, chunks: Iterable[bytes]) -> Iterator[Item]:
    for one in read_documents(chunks, file.path, "documents"):
        yield of_sentences(f"{file.name}:{one.place.number}", [part.split(SEPARATOR) for part in one.parts])


def _docs(file: InputFile, data: bytes) -> Iterator[Item]:
    with reading(file.path):
        for number, doc in enumerate(DocBin().from_bytes(data).get_docs(Vocab()), 1):
            yield of_doc(f"{file.name}:{number}", doc)


def of_rows(texts: Iterable[Any], ids: Iterable[Any], places: Iterable[str], settings: Settings) -> Iterator[Item]:
    """The documents of two columns of Arrow, whose strings may be no UTF-8: what wrote them need not have looked."""
    for text, id, place in zip(texts, ids, places, strict=False):
        try:
            item = of_value(text.as_py(), id.as_py(), place, settings)
        except UnicodeDecodeError as error:
            item = Reject(place, f"not UTF-8: {error}")
        yield item


def _parquet(file: InputFile, stream: IO[bytes], settings: Settings, count: Callable[[int], None]) -> Iterator[Item]:
    import pyarrow as pa
    from pyarrow import parquet

    places = (f"{file.name}:{number}" for number in itertools.count(1))
    try:
        table = parquet.ParquetFile(stream, pre_buffer=False)
        columns = [one for one in (settings.field, settings.id_field) if one in table.schema_arrow.names]
        if settings.field not in columns:
            yield Reject(file.name, f"no column {settings.field!r} among {', '.join(table.schema_arrow.names)}")
            return
        for batch in table.iter_batches(batch_size=1024, columns=columns):
            texts = batch.column(settings.field)
            ids = batch.column(settings.id_field) if settings.id_field in columns else pa.nulls(len(texts))
            yield from of_rows(texts, ids, places, settings)
            count(file.size * len(texts) // max(1, table.metadata.num_rows))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, EOFError, OSError) as error:
        # So Arrow tells of damage; what the disk or the store says has a number or a type of its own.
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            raise
        yield Reject(file.name, f"not read from here on: {error}")

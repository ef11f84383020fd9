"""Parts to their files: what every engine does, in this process or in others."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from ..bilm import BiLM
from ..checkpoints import load_bilm
from . import table
from .documents import EmbeddedDocument, Reject
from .errors import EmbeddingError
from .parts import Part, Record, write_record
from .places import place
from .settings import Settings
from .tokenizer import Tokenizer
from .vectors import Embedder

if TYPE_CHECKING:
    from ..checkpoints import Source


# Documents that are computed together.
Window = list[EmbeddedDocument | Reject]


@dataclass(frozen=True)
class Work:
    """All that a worker needs to know, wherever it is.

    Attributes:
        source: The model, see `load_bilm`.
        digest: Of the model, which has to be the same everywhere.
        settings: How documents become vectors. `nlp` is None only where all documents are tokenised already.
        output: The path or address of the directory of parts.
        device: What to compute on, None for a GPU where there is one.
        code: A Python file that registers functions which `nlp` names, for processes that have not imported it.
    """

    source: "Source"
    digest: str
    settings: Settings
    output: str
    device: str | None
    code: Path | None


def load(work: Work) -> BiLM:
    """The model of a job.

    Raises:
        CheckpointError: It is not here.
        EmbeddingError: Another one is.
    """
    bilm = load_bilm(work.source, work.device, work.settings.precision)
    if bilm.digest() != work.digest:
        raise EmbeddingError(f"{work.source} is another model here than where the job was begun.")
    return bilm


class Worker:
    """Embeds parts.

    Args:
        work: What to do.
        bilm: Its model, see `load`.
    """

    def __init__(self, work: Work, bilm: BiLM) -> None:
        self._settings = work.settings
        self._place = place(work.output)
        self._bilm = bilm.eval()
        self._schema = table.new_schema(work.settings, bilm.config.n_layers + 1, bilm.config.width)
        self._tokenizer = None if work.settings.nlp is None else Tokenizer(work.settings.nlp)

    def __call__(self, parts: Iterable[Part]) -> Iterator[tuple[Part, Record]]:
        """Write each part's file, and then its record. While one window of documents is written, the next is computed.

        Raises:
            DiskError: The disk does not take it.
        """
        for part, found in groupby(ahead(self._windows(parts)), itemgetter(0)):
            yield part, self._write(part, (window for _, window in found))

    def _windows(self, parts: Iterable[Part]) -> Iterator[tuple[Part, Window]]:
        for part in parts:
            documents = map(self._tokenizer, part.items) if self._tokenizer else part.items
            for window in Embedder(self._bilm, self._settings).windows(documents):  # type: ignore[arg-type]
                yield part, window

    def _write(self, part: Part, windows: Iterable[Window]) -> Record:
        n_documents = n_tokens = 0
        rejects: list[Reject] = []
        with self._place.new_file(part.file) as path:
            with table.writing(path, self._schema) as add:
                for window in windows:
                    embedded = [one for one in window if isinstance(one, EmbeddedDocument)]
                    rejects += [one for one in window if isinstance(one, Reject)]
                    n_documents += len(embedded)
                    n_tokens += sum(len(one.tokens) for one in embedded)
                    if embedded:
                        add(embedded)
            size = path.stat().st_size
        record = Record(part.name, n_documents, n_tokens, size, rejects)
        write_record(self._place, record)
        return record


T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Items, each made by a thread while the one before is in use."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, iterator, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, iterator, end)
            yield cast(T, item)

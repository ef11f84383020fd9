"""Parts to their files: what every engine does, in this process or in others."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints import load_bilm
from . import parts, table
from .documents import EmbeddedDocument, Reject
from .errors import EmbeddingError
from .parts import Part, Record
from .places import place
from .settings import Settings
from .tokenizer import Tokenizer
from .vectors import Embedder

if TYPE_CHECKING:
    from ..checkpoints import Source


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


class Worker:
    """Embeds parts.

    Raises:
        CheckpointError: The model is not here.
        EmbeddingError: Another model is.
    """

    def __init__(self, work: Work) -> None:
        self._settings = work.settings
        self._place = place(work.output)
        self._bilm = load_bilm(work.source, work.device, work.settings.precision).eval()
        if self._bilm.digest() != work.digest:
            raise EmbeddingError(f"{work.source} is another model here than where the job was begun.")
        config = self._bilm.config
        self._schema = table.new_schema(work.settings, config.n_layers + 1, config.width)
        self._tokenizer = None if work.settings.nlp is None else Tokenizer(work.settings.nlp)

    def __call__(self, part: Part) -> Record:
        """Write a part's file, and then its record; a part that has a record is finished already.

        Raises:
            DiskError: The disk does not take it.
        """
        if (record := parts.read_record(self._place, part.name)) is not None:
            return record
        n_documents = n_tokens = 0
        rejects: list[Reject] = []
        documents = map(self._tokenizer, part.items) if self._tokenizer else part.items
        with self._place.new_file(part.file) as path:
            with table.writing(path, self._schema) as writer:
                for window in Embedder(self._bilm, self._settings).windows(documents):  # type: ignore[arg-type]
                    embedded = [one for one in window if isinstance(one, EmbeddedDocument)]
                    rejects += [one for one in window if isinstance(one, Reject)]
                    n_documents += len(embedded)
                    n_tokens += sum(len(one.tokens) for one in embedded)
                    if embedded:
                        writer.add(embedded)
            size = path.stat().st_size
        record = Record(part.name, n_documents, n_tokens, size, rejects)
        parts.write_record(self._place, record)
        return record

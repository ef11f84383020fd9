"""One file in the place of a directory of parts: AllenNLP's HDF5, NumPy's .npz, spaCy's .spacy.

A job writes parts first, so that it can go on when it was killed; the file is made of them at the end.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from ..allennlp.vectors_file import new_vectors_file
from ..disk import TakenError, new_file, write_whole
from .docs import to_doc
from .documents import EmbeddedDocument
from .errors import EmbeddingError
from .manifest import REJECTS
from .places import Place, is_remote
from .readers import read_parts
from .settings import Settings

# From the documents of a job to a file.
Sink = Callable[[Path, Iterator[EmbeddedDocument]], None]


def of(target: str, settings: Settings) -> Sink | None:
    """What writes a file, by the ending of its name; None for a directory of parts.

    Raises:
        EmbeddingError: Such a file is not written, or does not hold what the settings ask for.
        TakenError: The file is there already.
    """
    ending = Path(target).suffix.lower()
    if ending in _OTHER_FILES and not Path(target).is_dir():
        raise EmbeddingError(
            f"{target}: by its name a file of a kind that is not written. Files end in {', '.join(SINKS)}; a directory "
            f"of parts in Parquet has another name."
        )
    if ending not in SINKS:
        return None
    if is_remote(target):
        raise EmbeddingError(f"{target}: a single file is written on this machine alone. Name a directory of parts.")
    if Path(target).exists():
        parts = Path(f"{target}.parts")  # as a process leaves them that is killed between the file and their removal
        left = f" {parts} is not needed once the file is whole." if parts.exists() else ""
        raise TakenError(f"{target} is there already; choose another name, or remove it.{left}")
    if ending != ".npz" and (settings.pool != "none" or settings.dtype != "float32"):
        raise EmbeddingError(
            f"{target}: {ending} has a vector a token in float32: pool none, dtype float32. A directory of parts, and "
            f".npz, take others."
        )
    return SINKS[ending]


def write_file(sink: Sink, target: Path, parts: Path, place: Place) -> None:
    """A file from a complete directory of parts, which is removed; its rejects are kept beside the file."""
    beside = Path(f"{target}.rejects.jsonl")
    beside.unlink(missing_ok=True)  # of a file that was there before
    if rejects := place.read(REJECTS):
        write_whole(beside, rejects)
    sink(target, read_parts(str(parts)))
    shutil.rmtree(parts)


def sentences(document: EmbeddedDocument) -> Iterator[tuple[str, int, int]]:
    """The sentences of a document as lines of words with blanks between them, and their first and last tokens."""
    for begin, end in document.sentences.tolist():
        tokens = document.tokens[begin:end]
        text = document.text[document.offsets[begin, 0] : document.offsets[end - 1, 1]]
        yield text if text.split() == tokens else " ".join(tokens), begin, end


def _write_h5(path: Path, documents: Iterator[EmbeddedDocument]) -> None:
    number = 0
    with new_vectors_file(path, with_index=True) as add:
        for document in documents:
            for text, begin, end in sentences(document):
                add(str(number), text, document.vectors[..., begin:end, :].astype(np.float32, copy=False))
                number += 1


def _write_npz(path: Path, documents: Iterator[EmbeddedDocument]) -> None:
    """Of document 7 the vectors as "7", and what goes with them as "7.offsets", "7.sentences" and "7.json"."""
    with new_file(path) as unfinished, ZipFile(unfinished, "w", ZIP_STORED) as file:
        for number, one in enumerate(documents):
            facts = json.dumps({"id": one.id, "text": one.text, "tokens": one.tokens}).encode("ascii")
            arrays = {
                "": one.vectors,
                ".offsets": one.offsets,
                ".sentences": one.sentences,
                ".json": np.frombuffer(facts, np.uint8),
            }
            for name, array in arrays.items():
                with file.open(f"{number}{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def _write_spacy(path: Path, documents: Iterator[EmbeddedDocument]) -> None:
    """All in memory, as spaCy itself does when it reads such a file."""
    vocab = Vocab()
    docs = DocBin(store_user_data=True)
    for document in documents:
        docs.add(to_doc(document, vocab))
    write_whole(path, docs.to_bytes())


SINKS: dict[str, Sink] = {".h5": _write_h5, ".hdf5": _write_h5, ".npz": _write_npz, ".spacy": _write_spacy}
# Nobody calls a directory so. Of .parquet there are such: Spark's own.
_OTHER_FILES = {".txt", ".jsonl", ".json", ".csv", ".tsv", ".npy", ".pt", ".safetensors", ".gz", ".zst", ".zip"}

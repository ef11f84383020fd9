"""What a job has written, document by document."""

import json
from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..allennlp.vectors_file import INDEX
from . import manifest
from .docs import ID, restored
from .documents import EmbeddedDocument, of_words
from .errors import EmbeddingError
from .places import filesystem, is_remote, place
from .tokenizer import of_doc


def read(path: str | PathLike[str]) -> Iterator[EmbeddedDocument]:
    """The documents of an output, one after another: the memory that it takes does not grow with the output.

    Args:
        path: What `embed` was given as output. A .h5 file, also one of AllenNLP, has a document for each sentence,
            whose id is the name of its dataset; of sentences that are there twice, the last alone has its words, and
            one with blanks in its words has none. A .spacy file is read whole.

    Raises:
        EmbeddingError: It is not there, or not complete.
    """
    name = fspath(path)
    readers = {".h5": _read_h5, ".hdf5": _read_h5, ".npz": _read_npz, ".spacy": _read_spacy}
    return readers.get(Path(name).suffix.lower(), read_parts)(name)


def read_parts(output: str) -> Iterator[EmbeddedDocument]:
    """The documents of a directory of parts, in order."""
    from . import table

    found = manifest.read(place(output))
    if not found["complete"]:
        raise EmbeddingError(f"{output} is not complete. The command that began it goes on with it.")
    for part in found["parts"]:
        with _opened(output, f"{part['name']}.parquet") as file:
            for batch in table.reading(file):
                yield from table.from_batch(batch)


def read_docs(path: str | PathLike[str], vocab: Vocab | None = None) -> Iterator[Doc]:
    """The Docs of a .spacy file that `embed` wrote, with their tensors and what `Doc._.elmo_vectors` gives.

    Args:
        path: The file.
        vocab: Of the Docs, such as a pipeline's.
    """
    return map(restored, DocBin(store_user_data=True).from_disk(Path(path)).get_docs(vocab or Vocab()))


def _opened(output: str, name: str) -> Any:
    if is_remote(output):
        fs, root = filesystem(output)
        return fs.open(f"{root}/{name}", "rb")
    return Path(output, name).open("rb")


def _read_h5(path: str) -> Iterator[EmbeddedDocument]:
    with h5py.File(path, "r") as file:
        index = json.loads(file[INDEX][0]) if INDEX in file else {}
        sentences = {name: sentence for sentence, name in index.items()}
        for name in sorted(file.keys() - {INDEX}, key=lambda name: (len(name), name)):
            words, vectors = sentences.get(name, name if not index else "").split(), file[name][...]
            known = of_words(name, words if len(words) == vectors.shape[-2] else [])
            yield EmbeddedDocument(**vars(known), vectors=vectors)


def _read_npz(path: str) -> Iterator[EmbeddedDocument]:
    with np.load(path, allow_pickle=False) as file:
        for number in range(len(file.files) // 4):
            facts = json.loads(file[f"{number}.json"].tobytes())
            offsets, sentences = file[f"{number}.offsets"], file[f"{number}.sentences"]
            yield EmbeddedDocument(**facts, offsets=offsets, sentences=sentences, vectors=file[str(number)])


def _read_spacy(path: str) -> Iterator[EmbeddedDocument]:
    for doc in read_docs(path):
        rows = [token.i for token in doc if not token.text.isspace()]
        layers = doc.user_data["spacy_elmo"]["elmo"].get("layers", doc.tensor)
        yield EmbeddedDocument(**vars(of_doc(doc.user_data[ID], doc)), vectors=layers[..., rows, :])

"""The HDF5 files of vectors that AllenNLP's command `elmo` wrote, and that programs read in place of a model."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike

import h5py
import numpy as np
import numpy.typing as npt

from ..disk import new_file
from ..errors import ArgumentError

FORMATS = ("all", "top", "average")
# Of the dataset that tells in which line a sentence stood.
INDEX = "sentence_to_index"

Layers = npt.NDArray[np.float32]


def write_vectors(
    path: str | PathLike[str],
    sentences: Sequence[str],
    layers: Iterable[Layers],
    output_format: str,
    with_index: bool,
    by_sentence: bool,
) -> None:
    """Write a dataset for each sentence.

    Args:
        path: The file, which is there whole at the end, or is not.
        sentences: The lines of a file, without the blanks around them.
        layers: All layers of each sentence, (n_layers + 1, n_words, width), in the same order. Taken one after another.
        output_format: "all" for datasets of that shape; "top" for the last layer, "average" for their mean, both
            (n_words, width). float32.
        with_index: Add a dataset `sentence_to_index` of one string: a JSON object that gives for each sentence the name
            of its dataset, the number of the line, from 0 on, in which it stood last. Only where names are numbers.
        by_sentence: Name datasets by their sentence, not by the number of its line.

    Raises:
        ArgumentError: If there is no such format, a sentence is empty, or cannot be the name of a dataset. Nothing is
            written then.
    """
    if output_format not in FORMATS:
        raise ArgumentError(f"output_format is {output_format!r}, but must be one of {', '.join(FORMATS)}.")
    if empty := [str(number) for number, sentence in enumerate(sentences) if not sentence]:
        raise ArgumentError(
            f"Lines {', '.join(empty)} (the first is 0) are empty: remove them, as they have no vectors."
        )
    names = _by_sentence(sentences) if by_sentence else list(map(str, range(len(sentences))))
    with new_vectors_file(path, with_index and not by_sentence) as add:
        for name, sentence, one in zip(names, sentences, layers, strict=True):
            add(name, sentence, _select(one, output_format))


@contextmanager
def new_vectors_file(path: str | PathLike[str], with_index: bool) -> Iterator[Callable[[str, str, Layers], None]]:
    """A file of vectors, for what comes piece by piece.

    Args:
        path: The file, which is there whole at the end of the block, or is not.
        with_index: As for `write_vectors`.

    Yields:
        What adds a dataset: from its name, its sentence, and its vectors as they are to stand there.
    """
    names: dict[str, str] = {}
    with new_file(path) as unfinished, h5py.File(unfinished, "w", locking=False) as file:

        def add(name: str, sentence: str, vectors: Layers) -> None:
            file.create_dataset(name, data=vectors, dtype="float32")
            names[sentence] = name

        yield add
        if with_index:
            index = file.create_dataset(INDEX, (1,), dtype=h5py.string_dtype("utf-8"))
            index[0] = json.dumps(names)


def _by_sentence(sentences: Sequence[str]) -> list[str]:
    """Their names. HDF5 reads a slash as a path."""
    for number, sentence in enumerate(sentences):
        if "/" in sentence or sentence == "." or "\0" in sentence:
            raise ArgumentError(
                f"Line {number} (the first is 0), {sentence!r}, cannot be the name of a dataset in HDF5, which takes "
                f"no slashes in it. Name vectors by their lines instead."
            )
    if len(set(sentences)) < len(sentences):
        twice = next(sentence for number, sentence in enumerate(sentences) if sentence in sentences[:number])
        raise ArgumentError(
            f"{twice!r} stands in several lines, but names only one dataset. Name vectors by their lines."
        )
    return list(sentences)


def _select(layers: Layers, output_format: str) -> Layers:
    if output_format == "all":
        return layers
    return layers[-1] if output_format == "top" else layers.mean(axis=0)

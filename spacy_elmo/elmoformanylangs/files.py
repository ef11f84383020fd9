"""The files that ELMoForManyLangs' command reads and writes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO

import h5py
import numpy as np
import numpy.typing as npt

from ..disk import new_file
from ..errors import ElmoError

INPUT_FORMATS = ("plain", "conll", "conll_char", "conll_char_vi")
OUTPUT_FORMATS = ("hdf5", "txt")

Vectors = npt.NDArray[np.float32]
Write = Callable[[Sequence[str], Vectors], None]


class FormatError(ElmoError, ValueError):
    """A file is not of the format that it was said to be."""


def read_sentences(path: Path, input_format: str) -> list[list[str]]:
    """The words of a file's sentences, in UTF-8.

    Args:
        path: The file.
        input_format: "plain" for a sentence a line, with tabs between its words; "conll" for CoNLL-U; "conll_char" and
            "conll_char_vi" for its words' characters, and for the parts of its words between spaces.

    Raises:
        FormatError: If the file is not in UTF-8, or a line of a CoNLL-U file has no word.
    """
    try:
        text = path.read_text("utf-8").strip()
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: the file is not in UTF-8 ({error}).") from None
    if input_format == "plain":
        return [line.split("\t") for line in text.split("\n")]
    sentences = [list(_conll_words(path, block)) for block in text.split("\n\n")]
    if input_format == "conll_char":
        return [[character for word in words for character in word] for words in sentences]
    if input_format == "conll_char_vi":
        return [[part for word in words for part in word.split()] for words in sentences]
    return sentences


def _conll_words(path: Path, block: str) -> Iterator[str]:
    """Without multiword tokens and empty nodes, whose numbers have a hyphen or a point."""
    for line in block.splitlines():
        number, tab, rest = line.partition("\t")
        if line.startswith("#"):
            continue
        if not tab:
            raise FormatError(f"{path}: the line {line!r} is not one of CoNLL-U, whose columns are separated by tabs.")
        if "-" not in number and "." not in number:
            yield rest.partition("\t")[0]


@contextmanager
def vectors_file(path: Path, output_format: str) -> Iterator[Write]:
    """A file of vectors, which is there whole at the end, or is not.

    Args:
        path: The file.
        output_format: "hdf5" for a dataset (n_words, width) for each sentence, named by its words with tabs between
            them, and with "$period$" and "$backslash$" in place of "." and "/"; "txt" for a line for each word, with
            tabs between it and its numbers, and an empty line after each sentence.

    Yields:
        What adds a sentence, given by its words and their vectors (n_words, width). Each sentence may come once.
    """
    with new_file(path) as unfinished:
        if output_format == "hdf5":
            with h5py.File(unfinished, "w", locking=False) as datasets:
                yield partial(_add_dataset, datasets)
        else:
            with unfinished.open("w", encoding="utf-8", newline="\n") as lines:
                yield partial(_add_lines, lines)


def _add_dataset(file: h5py.File, words: Sequence[str], vectors: Vectors) -> None:
    file.create_dataset("\t".join(words).replace(".", "$period$").replace("/", "$backslash$"), data=vectors)


def _add_lines(file: TextIO, words: Sequence[str], vectors: Vectors) -> None:
    for word, vector in zip(words, vectors, strict=True):
        file.write("\t".join([word, *(f"{number:.8f}" for number in vector)]) + "\n")
    file.write("\n")

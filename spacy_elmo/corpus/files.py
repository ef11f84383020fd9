"""Which files a corpus is read from, and what kind each is, by its name."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from . import compression
from .errors import CorpusError

Kind = Literal["text", "jsonl", "conllu", "spacy"]

_KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".conllu": "conllu",
    ".spacy": "spacy",
}
_TABLE = 'a table. Write its column of texts as JSON lines, {"text": "..."}, into a .jsonl file.'
_MARKUP = "text with markup. Convert it to plain text, for instance with pandoc, one document a line."
_ARCHIVE = "an archive. Unpack it, and name the files in it."
_JSON = 'one JSON value. Write a document a line, {"text": "..."}, into a .jsonl file.'
_CONLL = "a table of tokens. Convert it with `python -m spacy convert`: a .spacy file keeps its tokens and sentences."
_OTHER = "no text."
# Files by these names are not what they would be read as, which is a document a line.
_REFUSED = {
    **dict.fromkeys((".csv", ".tsv", ".xlsx", ".xls", ".ods", ".parquet", ".arrow", ".feather"), _TABLE),
    **dict.fromkeys((".md", ".markdown", ".rst", ".adoc", ".html", ".htm", ".xml", ".tei", ".tex", ".rtf"), _MARKUP),
    **dict.fromkeys((".pdf", ".doc", ".docx", ".odt", ".epub"), _MARKUP),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar", ".lz4", ".lzma", ".z", ".br"), _ARCHIVE),
    **dict.fromkeys((".json", ".geojson", ".ipynb"), _JSON),
    **dict.fromkeys((".conll", ".conllx", ".iob", ".iob2", ".bio"), _CONLL),
    **dict.fromkeys((".cfg", ".ini", ".toml", ".yaml", ".yml", ".py", ".sh", ".sha256", ".md5"), _OTHER),
    **dict.fromkeys((".npy", ".npz", ".h5", ".hdf5", ".safetensors", ".pt", ".pth", ".bin", ".pkl", ".db"), _OTHER),
}
# Text files that lie beside a corpus. One that is named itself is read nevertheless.
_BESIDE = {"readme", "license", "licence", "copying", "notice", "changelog", "vocab", "vocabulary"}


def suffix(path: Path) -> str:
    """The end of a name, such as ".txt", in lower case and without that of a compression; "" where there is none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in compression.SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def kind(path: Path) -> Kind:
    """What a file is read as. Names with an end that is not known are those of text.

    Raises:
        CorpusError: By its name it is something that is not read.
    """
    end = suffix(path)
    if end in _REFUSED:
        raise CorpusError(
            f"{path}: by its name {_REFUSED[end]} What is read: text, .jsonl, .conllu and .spacy, plain or with "
            f"{', '.join(compression.SUFFIXES)}. A glob such as '*.txt' names those in a directory that are meant."
        )
    return _KINDS.get(end, "text")


def find(paths: Sequence[Path]) -> list[Path]:
    """The files that paths mean.

    Args:
        paths: Files, directories (all files below, but hidden ones) and globs.

    Returns:
        Files, those of each path in order.

    Raises:
        CorpusError: A path means no file, a file is meant twice, or one is empty, cannot be read, or is of a kind that
            is not read.
    """
    if not paths:
        raise CorpusError("no texts are named.")
    files = [file for path in paths for file in meant(path)]
    check_distinct(files)
    for file in files:
        kind(file)
        _check_beginning(file)
    return files


def check_distinct(files: Sequence[Path]) -> None:
    """Raises CorpusError where a file is there twice."""
    seen: set[Path] = set()
    for file in files:
        if file.resolve() in seen:
            raise CorpusError(f"{file}: twice among the texts. Name every file once, as training or as held-out text.")
        seen.add(file.resolve())


def meant(path: Path) -> Iterator[Path]:
    """The files that a file, a directory or a glob means, in order, whatever kind they are.

    Raises:
        CorpusError: It means none; or what is no file, or by its name lies beside the texts.
    """
    if path.is_file():
        yield path
        return
    for file in _below(path) if path.is_dir() else _matching(path):
        if file.exists() and not file.is_file():
            raise CorpusError(f"{file}: neither a file nor a directory.")
        if file.name.split(".")[0].lower() in _BESIDE:
            raise CorpusError(
                f"{file}: by its name it lies beside the texts and is none of them. If it is one, name it itself; if "
                f"not, name the others, for instance with a glob such as '*.jsonl'."
            )
        yield file


def _below(directory: Path) -> list[Path]:
    """Also behind links, whether these lead to directories, to files, or to where nothing is, which `find` says."""
    found: list[Path] = []
    seen: set[Path] = set()
    for folder, folders, names in os.walk(directory, onerror=_unreadable, followlinks=True):
        if (place := Path(folder).resolve()) in seen:
            raise CorpusError(f"{folder}: twice among the texts, by a link to {place}. Remove the link.")
        seen.add(place)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    if not found:
        raise CorpusError(f"{directory}: no files in this directory.")
    return sorted(found)


def _unreadable(error: OSError) -> None:
    raise CorpusError(f"{error.filename}: not readable ({error.strerror or error}).") from None


def _matching(pattern: Path) -> list[Path]:
    matches = [Path(match) for match in sorted(glob.glob(str(pattern), recursive=True))]
    if not matches:
        raise CorpusError(f"{pattern}: no such file or directory, and as a glob it matches nothing.")
    # A glob such as "texts/**" matches a directory besides the files in it.
    found = [file for match in matches for file in (_below(match) if match.is_dir() else [match])]
    return list(dict.fromkeys(found))


def _check_beginning(path: Path) -> None:
    """Hours may go by until a file that cannot be read has its turn, so its beginning is looked at before."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise CorpusError(f"{path}: not readable ({error.strerror or error}).") from None
    if not start:
        raise CorpusError(f"{path}: the file is empty. Leave it out, or remove it.")
    if b"\0" in next(compression.decompressed(iter([start]), path), b"") and kind(path) == "text":
        raise CorpusError(
            f"{path}: no UTF-8 text, for it holds bytes of 0. Convert it to UTF-8 if it is one in UTF-16."
        )

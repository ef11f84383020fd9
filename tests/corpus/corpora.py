"""Texts in files, corpora of them, and what words a corpus holds."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spacy_elmo.corpus.corpus import Corpus, Passages, WordTable
from spacy_elmo.corpus.prepare import prepare
from spacy_elmo.corpus.tokenize import TextSettings

ENGLISH: dict[str, Any] = {
    "nlp": {"lang": "en", "pipeline": ["sentencizer"]},
    "components": {"sentencizer": {"factory": "sentencizer"}},
}
TRAIN = [
    "The cat sat on the mat. It didn't move!  Why?",
    "A dog — naïve, 3 years old — ate the cat's fish 🐟.",
    "   \t ",
    "Das  Straßenfest\tin Köln;\u2028日本語のテキスト。",
    "The the THE the cat.",
]
HELDOUT = ["The cat ate an ocelot.", "It sat. It sat on the fish."]


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf8"))
    return path


def make(
    directory: Path,
    train: Sequence[Path],
    heldout: Sequence[Path] | None,
    nlp_config: dict[str, Any] = ENGLISH,
    n_workers: int = 1,
    **settings: Any,
) -> Corpus:
    """settings: what is left of `TextSettings`."""
    how = TextSettings(nlp_config, **settings)
    return prepare(train, heldout, how, directory, n_workers=n_workers, show_progress=False)


def make_from(directory: Path, train: Iterable[str], heldout: Iterable[str], **settings: Any) -> Corpus:
    """A corpus of documents, under `directory`."""
    train_path = write_lines(directory / "train.txt", train)
    heldout_path = write_lines(directory / "heldout.txt", heldout)
    return make(directory / "corpus", [train_path], [heldout_path], **settings)


def word_table(words: Sequence[str]) -> WordTable:
    encoded = [word.encode("utf8") for word in words]
    characters = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    return WordTable(characters, np.cumsum([0, *map(len, encoded)], dtype=np.int64))


def sentences(corpus: Corpus, passages: Passages) -> list[list[list[str]]]:
    """The words of each sentence of each passage."""
    found: list[list[list[str]]] = []
    for rows in passages:
        found.append([])
        for row in rows.tolist():
            if row == 0:
                found[-1].append([])
            else:
                found[-1][-1].append(corpus.words.word(row))
    return found


def contents(directory: Path) -> dict[str, bytes]:
    """All files of a directory."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}

"""Where a run's texts come from, and where they lie when they are prepared."""

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from spacy_elmo.corpus import corpus, prepare
from spacy_elmo.corpus.corpus import Corpus
from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.disk import digest
from spacy_elmo.language.metadata import read_text_settings, read_vocabulary
from spacy_elmo.pretraining.config import read_config
from spacy_elmo.pretraining.corpora import prepared_corpus
from spacy_elmo.pretraining.distributed import Ranks
from spacy_elmo.pretraining.errors import RunError
from tests.corpus.corpora import write_lines

from .runs import CONFIG, SETTINGS, WORDS, documents, run_here

ONE_STEP = {"training.max_steps": 1, "training.evaluation.max_words": 20}
# Documents, a blank line between them.
SENTENCES = [f"{line} don't" if line else "" for text in documents(120, seed=0) for line in text.split(".")]


@pytest.fixture
def tokenised(tmp_path: Path) -> dict[str, object]:
    """Settings of a corpus of tokens, with a vocabulary of its own."""
    vocabulary = write_lines(tmp_path / "words.txt", [*WORDS[::-1], "never"])
    return {
        "paths.train": str(write_lines(tmp_path / "train.txt", SENTENCES)),
        "corpus.format": "tokens",
        "vocabulary.path": str(vocabulary),
        **ONE_STEP,
    }


def test_tokens_and_vocabulary_are_those_given(tmp_path: Path, tokenised: dict[str, object]) -> None:
    run_here(tmp_path / "run", tokenised)
    words = Corpus.open(tmp_path / "run" / "corpus").words
    assert {words.word(i) for i in range(3, len(words))} == {*WORDS, "don't"}
    vocabulary = read_vocabulary(tmp_path / "run" / "model-last")
    assert vocabulary is not None
    assert vocabulary[:3] == ["<S>", "</S>", "<UNK>"]
    assert set(vocabulary[3:-1]) == set(WORDS)
    assert vocabulary[-1] == "never"
    assert read_text_settings(tmp_path / "run" / "model-last").format == "tokens"


def test_a_run_does_not_go_on_with_another_vocabulary(tmp_path: Path, tokenised: dict[str, object]) -> None:
    run_here(tmp_path / "run", {**tokenised, "training.checkpoints.every_steps": 1})
    write_lines(tmp_path / "words.txt", [*WORDS[::-1], "other"])
    with pytest.raises(RunError, match="were made with vocabulary '"):
        run_here(tmp_path / "run", {**tokenised, "training.checkpoints.every_steps": 1, "training.max_steps": 2})


def test_a_file_that_is_no_vocabulary_is_refused_before_anything_is_prepared(
    tmp_path: Path, tokenised: dict[str, object]
) -> None:
    write_lines(tmp_path / "words.txt", ["the 17"])
    with pytest.raises(CorpusError, match=r"words\.txt, line 1"):
        run_here(tmp_path / "run", tokenised)
    assert not (tmp_path / "run" / "corpus").exists()


def test_a_prepared_corpus_is_found_by_other_runs(tmp_path: Path, tokenised: dict[str, object]) -> None:
    shared = {**tokenised, "paths.corpora": str(tmp_path / "corpora")}

    def manifests() -> dict[str, int]:
        return {path.parent.name: path.stat().st_mtime_ns for path in tmp_path.glob("corpora/*/manifest.json")}

    run_here(tmp_path / "one", shared)
    first = manifests()
    assert len(first) == 1
    (tmp_path / "train.txt").rename(tmp_path / "moved.txt")
    run_here(tmp_path / "two", {**shared, "paths.train": str(tmp_path / "moved.txt")})
    assert manifests() == first
    assert not (tmp_path / "two" / "corpus").exists()
    run_here(tmp_path / "three", {**shared, "paths.train": str(tmp_path / "moved.txt"), "corpus.format": "sentences"})
    assert len(manifests()) == 2
    assert manifests().items() > first.items()


@dataclass(frozen=True)
class Second(Ranks):
    """The second rank of a machine, whose first one has told of a directory."""

    told: Path

    def barrier(self) -> None:
        """The others are here already."""

    def of_machine(self, text: str) -> str:
        return str(self.told)

    def all_equal(self, text: str) -> bool:
        return True


def test_texts_are_digested_by_one_rank_of_a_machine(
    tmp_path: Path, tokenised: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the name of a corpus that others find: they may be of many gigabytes."""
    shared = {**tokenised, "paths.corpora": str(tmp_path / "corpora")}
    run_here(tmp_path / "run", shared)
    (directory,) = (path.parent for path in tmp_path.glob("corpora/*/manifest.json"))
    monkeypatch.setattr(prepare, "digest", None)
    config, _ = read_config(CONFIG, {**SETTINGS, **shared})
    ranks = Second(1, 2, 1, torch.device("cpu"), directory)
    assert prepared_corpus(config, None, tmp_path / "run", ranks).fingerprint == Corpus.open(directory).fingerprint


def test_a_corpus_is_held_against_its_digests_once(
    tmp_path: Path, tokenised: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be of many gigabytes."""
    read: list[str] = []

    def noted(path: Path) -> str:
        read.append(path.name)
        return digest(path)

    monkeypatch.setattr(corpus, "digest", noted)
    run_here(tmp_path / "run", tokenised)
    assert sorted(read) == sorted(path.name for path in (tmp_path / "run" / "corpus").glob("*.npy"))


def test_standard_input_is_a_text(
    tmp_path: Path, tokenised: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (tmp_path / "train.txt").read_bytes()

    def pipe(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    pipe(text)
    run_here(tmp_path / "run", {**tokenised, "paths.train": "-"})
    pipe(text)
    run_here(tmp_path / "run", {**tokenised, "paths.train": "-", "training.max_steps": 2})
    [source] = json.loads((tmp_path / "run" / "corpus" / "manifest.json").read_text("utf8"))["sources"]["train"]
    assert source["size"] == len(text)
    pipe(text + b"more\n")
    with pytest.raises(CorpusError, match="holds a corpus of other texts"):
        run_here(tmp_path / "run", {**tokenised, "paths.train": "-"})
    with pytest.raises(CorpusError, match="can be read once only"):
        run_here(tmp_path / "other", {**tokenised, "paths.train": "-", "paths.heldout": "-"})

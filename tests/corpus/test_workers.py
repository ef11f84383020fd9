"""Tokenizers of one's own in worker processes, and processes that prepare at the same time."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.util import import_file

from spacy_elmo.corpus import build, texts
from spacy_elmo.corpus.corpus import Corpus
from spacy_elmo.corpus.errors import CorpusError

from .corpora import contents, make, sentences, write_lines

CODE = """
import spacy
from spacy.tokens import Doc


@spacy.registry.tokenizers("spacy_elmo_tests.AtDashes.v1")
def make_tokenizer():
    return lambda nlp: AtDashes(nlp.vocab)


class AtDashes:
    def __init__(self, vocab):
        self.vocab = vocab

    def __call__(self, text):
        if "unreadable" in text:
            raise ValueError("too long for me")
        return Doc(self.vocab, words=text.split("-"))
"""
CONFIG: dict[str, Any] = {
    "nlp": {"lang": "en", "pipeline": [], "tokenizer": {"@tokenizers": "spacy_elmo_tests.AtDashes.v1"}},
    "components": {},
}
LINES = [f"line-{i}-has-words" for i in range(300)]


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python file, imported here as the commands do it, and small pieces, so that there is work for processes."""
    monkeypatch.setattr(texts, "PIECE_CHARACTERS", 1000)
    monkeypatch.setattr(build, "WORKER_BYTES", 1000)
    path = tmp_path / "code.py"
    path.write_text(CODE)
    import_file("python_code", path)
    return path


def test_workers_import_the_code_that_registers_a_tokenizer(tmp_path: Path, code: Path) -> None:
    train = [write_lines(tmp_path / "train.txt", LINES)]
    corpora = [make(tmp_path / f"with-{n}", train, None, nlp_config=CONFIG, n_workers=n, code=code) for n in (1, 2)]
    assert contents(tmp_path / "with-1") == contents(tmp_path / "with-2")
    assert sentences(corpora[1], corpora[1].train)[0] == [["line", "0", "has", "words"]]


@pytest.mark.usefixtures("code")
def test_a_worker_that_does_not_know_a_tokenizer_says_how_to_tell_it(tmp_path: Path) -> None:
    train = [write_lines(tmp_path / "train.txt", LINES)]
    with pytest.raises(CorpusError, match=r"(?s)in a worker process, .*AtDashes.*\(--code\).*system\.workers = 1"):
        make(tmp_path / "corpus", train, None, nlp_config=CONFIG, n_workers=2)


@pytest.mark.usefixtures("code")
def test_a_document_that_cannot_be_tokenised_is_named(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "train.txt", ["one-line", "unreadable-é", "last"])
    with pytest.raises(CorpusError) as error:
        make(tmp_path / "corpus", [path], None, nlp_config=CONFIG)
    assert str(error.value) == (
        f"{path}, line 1 to {path}, line 3: spaCy cannot process the document of 13 bytes that begins 'unreadable-é': "
        "too long for me"
    )


def test_code_that_has_changed_since_is_warned_of(tmp_path: Path, code: Path) -> None:
    train = [write_lines(tmp_path / "train.txt", LINES)]
    first = make(tmp_path / "corpus", train, None, nlp_config=CONFIG, code=code)
    code.write_text(CODE + "\n")
    with pytest.warns(UserWarning, match="was prepared with other code of yours"):
        again = make(tmp_path / "corpus", train, None, nlp_config=CONFIG, code=code)
    assert again.fingerprint == first.fingerprint


# What a process runs: prepare(TEXT) in DIRECTORY; it tells when it begins to tokenise.
SCRIPT = """
import sys
from pathlib import Path
from spacy_elmo.corpus import prepare as module
from spacy_elmo.corpus.tokenize import TextSettings

build = module.build

def telling(*arguments, **keywords):
    print("tokenising", flush=True)
    build(*arguments, **keywords)

module.build = telling
settings = TextSettings({"nlp": {"lang": "en", "pipeline": []}, "components": {}})
module.prepare([Path(sys.argv[1])], None, settings, Path(sys.argv[2]), n_workers=1, show_progress=False)
"""


def test_of_two_processes_at_once_one_prepares_and_the_other_waits(tmp_path: Path) -> None:
    text = write_lines(tmp_path / "train.txt", [f"document {i} has words" for i in range(3000)])
    command = [sys.executable, "-c", SCRIPT, str(text), str(tmp_path / "corpus")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(told) == ["", "tokenising\n"]
    assert len(Corpus.open(tmp_path / "corpus").train) == 2970


def test_japanese_in_one_process_and_in_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sudachipy", reason="the package sudachipy is not installed")
    monkeypatch.setattr(texts, "PIECE_CHARACTERS", 100)
    monkeypatch.setattr(build, "WORKER_BYTES", 100)
    lines = ["吾輩は猫である。名前はまだ無い。", "どこで生れたかとんと見当がつかぬ。"] * 10
    train = [write_lines(tmp_path / "train.txt", lines)]
    config: dict[str, Any] = {
        "nlp": {"lang": "ja", "pipeline": ["sentencizer"]},
        "components": {"sentencizer": {"factory": "sentencizer"}},
    }
    corpora = [make(tmp_path / f"with-{n}", train, None, nlp_config=config, n_workers=n) for n in (1, 2)]
    assert contents(tmp_path / "with-1") == contents(tmp_path / "with-2")
    nlp = spacy.blank("ja")
    words = [[token.text for token in nlp(part + "。")] for part in lines[0].split("。") if part]
    assert sentences(corpora[1], corpora[1].train)[0] == words

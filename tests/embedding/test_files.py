"""Single files: AllenNLP's HDF5, .npz, .spacy; written by a job, and read again."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.util import get_words_and_spaces

from spacy_elmo.disk import TakenError
from spacy_elmo.embedding import EmbeddedDocument, EmbeddingError, read, read_docs, sinks
from spacy_elmo.embedding.docs import words_and_spaces
from spacy_elmo.embedding.documents import Document, spans
from spacy_elmo.pipeline import extensions
from tests.conftest import random_bilm

from .jobs import contents, documents, numbered, run, write


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write(tmp_path / "a.txt", *numbered(12), "  Two  blanks \U0001f600.  ")


def same(one: EmbeddedDocument, other: EmbeddedDocument) -> bool:
    arrays = ("offsets", "sentences", "vectors")
    return (one.id, one.text, one.tokens) == (other.id, other.text, other.tokens) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays
    )


@pytest.mark.parametrize("layers", ["all", "average"])
def test_allennlp_s_layout(tmp_path: Path, text: Path, tiny_source: str, layers: str) -> None:
    write(text, "A b c .", "It 's   here", "A b c .")
    run([text], tmp_path / "out.h5", tiny_source, format="tokens", layers=layers, nlp=None)
    lines = ["A b c .", "It 's   here", "A b c ."]
    with h5py.File(tmp_path / "out.h5") as file:
        assert set(file) == {"0", "1", "2", "sentence_to_index"}
        assert json.loads(file["sentence_to_index"][0]) == {lines[0]: "2", lines[1]: "1"}
        for number, line in enumerate(lines):
            (wanted,) = random_bilm().embed([line.split()])
            found = file[str(number)]
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, wanted if layers == "all" else wanted.mean(0), rtol=0, atol=1e-6)
    found = list(read(tmp_path / "out.h5"))
    assert [(one.id, one.tokens) for one in found] == [("0", []), ("1", lines[1].split()), ("2", lines[0].split())]
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.h5"]


@given(st.text(" \n"), st.lists(st.tuples(st.text("ab", min_size=1), st.text(" \n", max_size=3))))
def test_what_stands_between_tokens_is_what_spacy_finds(start: str, pieces: list[tuple[str, str]]) -> None:
    text, tokens = start, [word for word, _ in pieces]
    offsets = []
    for word, gap in pieces:
        offsets.append((len(text), len(text) + len(word)))
        text += word + gap
    document = Document("0", text, tokens, spans(offsets), spans([]))
    assert words_and_spaces(document) == get_words_and_spaces(tokens, text)


def test_parts_beside_a_finished_file_are_named_and_stay(tmp_path: Path, text: Path, tiny_source: str) -> None:
    target, parts = tmp_path / "out.npz", tmp_path / "out.npz.parts"
    run([text], parts, tiny_source)
    before = contents(parts)
    target.touch()
    with pytest.raises(TakenError, match=r"out\.npz is there already.* remove it\. .*out\.npz\.parts is not needed"):
        run([text], target, tiny_source)
    assert contents(parts) == before


def test_sentences_of_texts_are_lines_of_words(tmp_path: Path, text: Path, tiny_source: str) -> None:
    write(text, "Don't go. Stay here")
    run([text], tmp_path / "out.h5", tiny_source)
    assert [one.text for one in read(tmp_path / "out.h5")] == ["Do n't go .", "Stay here"]


def test_words_with_blanks_are_not_told_apart_as_others(tmp_path: Path, tiny_source: str) -> None:
    text = write(tmp_path / "a.jsonl", json.dumps({"text": ["New York", "is"]}), json.dumps({"text": ["so"]}))
    run([text], tmp_path / "out.h5", tiny_source)
    first, second = read(tmp_path / "out.h5")
    assert (first.tokens, first.vectors.shape[0], second.tokens) == ([], 2, ["so"])


@pytest.mark.parametrize("settings", [{"layers": "all"}, {"pool": "sentence", "dtype": "float16"}, {"pool": "doc"}])
def test_npz(tmp_path: Path, text: Path, tiny_source: str, settings: dict[str, Any]) -> None:
    run([text], tmp_path / "out.npz", tiny_source, **settings)
    run([text], tmp_path / "parts", tiny_source, **settings)
    for one, other in zip(read(tmp_path / "out.npz"), documents(tmp_path / "parts"), strict=True):
        assert same(one, other)
        assert one.vectors.dtype == other.vectors.dtype


@pytest.mark.parametrize("layers", ["all", "top"])
def test_docs_with_tensors(tmp_path: Path, text: Path, tiny_source: str, layers: str) -> None:
    run([text], tmp_path / "out.spacy", tiny_source, layers=layers)
    run([text], tmp_path / "parts", tiny_source, layers=layers)
    for one, other in zip(read(tmp_path / "out.spacy"), documents(tmp_path / "parts"), strict=True):
        assert same(one, other)
    extensions.install()
    nlp = spacy.blank("en")
    docs = list(read_docs(tmp_path / "out.spacy", nlp.vocab))
    for doc, one in zip(docs, documents(tmp_path / "parts"), strict=True):
        assert doc.text == one.text
        rows = [token.i for token in doc if not token.is_space]
        vectors = one.vectors.mean(0) if layers == "all" else one.vectors
        assert np.array_equal(doc.tensor[rows], vectors)
        assert np.array_equal(doc[1]._.elmo, doc.tensor[1])
        assert [sent.start for sent in doc.sents] == [rows[begin] if begin else 0 for begin in one.sentences[:, 0]]
    assert len(docs[-1]) > len(rows)  # blanks are tokens
    assert not docs[-1].tensor[0].any()
    assert len(DocBin().from_disk(tmp_path / "out.spacy")) == 13


def test_rejects_lie_beside(tmp_path: Path, text: Path, tiny_source: str) -> None:
    text.write_bytes(b"One.\n\xff\nTwo.\n")
    report = run([text], tmp_path / "out.npz", tiny_source)
    assert report.rejects == 1
    assert json.loads(Path(report.rejects_file).read_text("utf8"))["id"] == f"{text}:2"
    assert [one.text for one in read(tmp_path / "out.npz")] == ["One.", "Two."]
    (tmp_path / "out.npz").unlink()
    assert run([write(text, "One.")], tmp_path / "out.npz", tiny_source).rejects == 0
    assert not Path(report.rejects_file).exists()


def test_killed_before_the_file_is_there(
    tmp_path: Path, text: Path, tiny_source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(sinks.SINKS, ".npz", killed)
        with pytest.raises(KeyboardInterrupt):
            run([text], tmp_path / "out.npz", tiny_source)
    assert run([text], tmp_path / "out.npz", tiny_source).computed_parts == 0
    assert len(list(read(tmp_path / "out.npz"))) == 13


def test_what_a_file_does_not_hold_is_refused_before_work(tmp_path: Path, text: Path, tiny_source: str) -> None:
    for name in ("out.h5", "out.spacy"):
        for settings in ({"pool": "doc"}, {"dtype": "float16"}):
            with pytest.raises(EmbeddingError, match=r"has a vector a token in float32: pool none, dtype float32"):
                run([text], tmp_path / name, tiny_source, **settings)
    with pytest.raises(TakenError, match=r"a\.npz is there already"):
        run([text], write(tmp_path / "a.npz", "x"), tiny_source)
    for name in ("out.txt", "out.jsonl", "out.npy", "out.tsv", "out.h5.gz"):
        with pytest.raises(EmbeddingError, match=rf"{name}: .* \.h5, \.hdf5, \.npz, \.spacy; .*directory"):
            run([text], tmp_path / name, tiny_source)
        assert not (tmp_path / name).exists()
    with pytest.raises(EmbeddingError, match="on this machine alone"):
        run([text], "memory://out.npz", tiny_source)


def test_what_is_not_complete_is_not_read(tmp_path: Path, text: Path, tiny_source: str) -> None:
    run([text], tmp_path / "out", tiny_source)
    path = tmp_path / "out" / "_manifest.json"
    manifest = json.loads(path.read_text("utf8"))
    path.write_text(json.dumps({**manifest, "complete": False}), "utf8")
    with pytest.raises(EmbeddingError, match="is not complete"):
        documents(tmp_path / "out")
    path.write_text(json.dumps({**manifest, "format_version": 2}), "utf8")
    with pytest.raises(EmbeddingError, match="of version 2, and this package reads 1"):
        documents(tmp_path / "out")
    with pytest.raises(EmbeddingError, match=r"no _manifest\.json"):
        documents(tmp_path)

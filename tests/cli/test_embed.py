"""`embed` as users call it."""

import json
from pathlib import Path

import pytest

from spacy_elmo.embedding import read
from tests.cli.helpers import assert_fails, elmo
from tests.corpus.corpora import write_lines

pytest.importorskip("pyarrow", reason="needs pyarrow: the extra embed")


def test_a_corpus_to_vectors(tmp_path: Path, tiny_source: str) -> None:
    text = write_lines(tmp_path / "a.txt", ["One line. And more.", "Another."])
    call = ["embed", text, tmp_path / "out", "--model", tiny_source, "--layers", "top", "--dtype", "float16"]
    result = elmo(*call, "--nlp", "en")
    assert result.code == 0, result.text
    holds = f"{tmp_path / 'out'} holds 2 documents, 8 tokens"
    assert holds in result.text
    assert holds in elmo(*call, "--nlp", "en").text
    assert "tokens/s" in result.errors
    assert [(one.tokens, one.vectors.dtype) for one in read(tmp_path / "out")] == [
        (["One", "line", ".", "And", "more", "."], "float16"),
        (["Another", "."], "float16"),
    ]
    assert_fails(elmo(*call, "--nlp", "da"), 'settings.nlp.nlp.lang was "en", now "da"', "Choose another output")
    assert_fails(elmo(*call), "does not say how texts become words", "Name a language")


def test_the_exit_code_says_that_some_failed(tmp_path: Path, tiny_source: str) -> None:
    text = write_lines(tmp_path / "a.jsonl", ['{"body": "One"}', "nope"])
    result = elmo("embed", text, tmp_path / "out", "-m", tiny_source, "--field", "body", "--format", "tokens")
    assert result.code == 3
    assert "1 documents failed" in result.text
    assert json.loads((tmp_path / "out" / "_rejects.jsonl").read_text("utf8"))["id"] == f"{text}:2"


def test_standard_input(tmp_path: Path, tiny_source: str) -> None:
    result = elmo("embed", "-", tmp_path / "out.h5", "-m", tiny_source, "-f", "tokens", piped=b"a b\nc d e\n")
    assert result.code == 0, result.text
    assert [one.tokens for one in read(tmp_path / "out.h5")] == [["a", "b"], ["c", "d", "e"]]


def test_what_cannot_be_done(tmp_path: Path, tiny_source: str) -> None:
    text = write_lines(tmp_path / "a.txt", ["One line."])
    twice = write_lines(tmp_path / "twice.cfg", ["[nlp]", 'lang = "en"', 'lang = "de"'])
    for arguments, words in [
        ([text, tmp_path / "out", "--layers", "9", "--nlp", "en"], "layers is 9, but the model's are 0 to 2"),
        ([text, tmp_path / "out", "--nlp", "qq"], "does not make a spaCy pipeline"),
        ([text, tmp_path / "out", "--nlp", tmp_path / "no.cfg"], "no.cfg: no config with a section [nlp]"),
        ([tmp_path / "nothing.txt", tmp_path / "out", "--nlp", "en"], "nothing.txt: no such file"),
        ([text, tmp_path / "out.h5", "--pool", "doc"], "has a vector a token in float32"),
        ([text, tmp_path / "out", "--nlp", twice], "twice.cfg: no config with a section [nlp]"),
        ([text, tmp_path / "out", "--workers", "0"], "workers is 0"),
        ([text, tmp_path / "out", "--device", "nosuch"], "device is 'nosuch', which cannot be used here"),
        ([text, tmp_path / "out", "--engine", "ray", "--device", "nosuch"], "device is 'nosuch', which cannot be"),
    ]:
        assert_fails(elmo("embed", *arguments, "-m", tiny_source), words)
    assert not (tmp_path / "out").exists()
    assert elmo("embed", text, "-m", tiny_source).code == 2

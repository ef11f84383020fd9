"""Texts to Docs."""

import gzip
import json
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.explain.texts import read_docs, text_settings


def test_each_kind_of_file_keeps_what_it_knows(tmp_path: Path) -> None:
    settings = text_settings("en_elmo_sm")
    (tmp_path / "a.txt").write_text("One line. Two sentences.\n", "utf8")
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": "A match.", "sense": "game"}) + "\n", "utf8")
    tagged = spacy.blank("en")("Tagged .")
    tagged[0].pos_ = "VERB"
    DocBin(attrs=["POS"], docs=[tagged]).to_disk(tmp_path / "c.spacy")
    text, *sentences, json_line, doc = read_docs(
        [tmp_path / name for name in ("a.txt", "b.jsonl", "c.spacy")], settings
    )
    assert [one.text.strip() for one in (text, *sentences)] == ["One line .", "Two sentences ."]
    assert (json_line.text, json_line.user_data["sense"]) == ("A match.", "game")
    assert (doc[0].pos_, doc.has_annotation("SENT_START")) == ("VERB", True)


def test_a_model_that_does_not_say_reads_as_spacy_does_in_its_language(tiny_source: str) -> None:
    assert text_settings(tiny_source).nlp["nlp"]["lang"] == "xx"
    assert text_settings("en_elmo_sm", "tokens").format == "tokens"


def test_a_line_without_text_is_named(tmp_path: Path) -> None:
    for line in (b'{"txt": "b"}', b'{"text": "\xff"}', b'{"text": "\\ud83d"}'):
        (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}\n' + line)
        with pytest.raises(CorpusError, match="line 2"):
            list(read_docs([tmp_path / "a.jsonl"], text_settings("en_elmo_sm")))
    (tmp_path / "b.spacy").write_bytes(b"no DocBin")
    with pytest.raises(CorpusError, match=r"b\.spacy: not a whole DocBin"):
        list(read_docs([tmp_path / "b.spacy"], text_settings("en_elmo_sm")))


def test_compressed_files_and_blank_lines_are_read_as_for_a_corpus(tmp_path: Path) -> None:
    line = json.dumps({"text": "A match.", "sense": "game"}).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + line + b"\n\n"))
    docs = DocBin(docs=[spacy.blank("en")("A match.")]).to_bytes()
    (tmp_path / "b.spacy.gz").write_bytes(gzip.compress(docs))
    one, other = read_docs([tmp_path], text_settings("en_elmo_sm"))
    assert (one.text, one.user_data["sense"], other.text) == ("A match.", "game", "A match.")

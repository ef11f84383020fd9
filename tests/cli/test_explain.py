"""`explain` as users call it. In this process: Vega is then made into a script once for all tests."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spacy_elmo.cli.explain import explain_cli
from tests.explain.conftest import SENTENCES
from tests.pipeline.helpers import pipeline, train


def explain(*arguments: str | Path) -> str:
    """What the command prints, without line breaks."""
    result = CliRunner().invoke(explain_cli, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return f"{result.exit_code} {' '.join(result.output.split())}"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    lines = [json.dumps({"text": text, "sense": sense}) for sense, texts in SENTENCES.items() for text in texts]
    path.write_text("\n".join(lines), "utf8")
    return path


def test_senses(tmp_path: Path, texts: Path, tiny_source: str) -> None:
    page = tmp_path / "page.html"
    call = [texts, "--model", tiny_source, "--by", "doc.user_data.sense", "--limit", "6", "--output", page]
    told = explain("senses", "absent", *call)
    assert told.startswith("1 ")
    assert "'absent' stands nowhere" in told
    assert not page.exists()
    told = explain("senses", "match", *call)
    assert told.startswith("0 ")
    assert "the first 6" in told
    assert page.read_text("utf8").count('class="line"') == 6


def test_layers(tmp_path: Path, texts: Path, tiny_source: str) -> None:
    call = ["layers", "--model", tiny_source, "--output", tmp_path / "page.html"]
    assert explain(*call, "--texts", texts, "--min-count", "4").startswith("0 ")
    page = (tmp_path / "page.html").read_text("utf8")
    assert ">match<" in page
    assert "How far context moves a word" in page
    assert "nothing to show" in explain(*call)


def test_importance(tmp_path: Path, tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "textcat")
    train(nlp, 10)
    nlp.to_disk(tmp_path / "nlp")
    call = [tmp_path / "nlp", "Vera moved to Kiel", "--output", tmp_path / "page.html"]
    assert explain("importance", *call).startswith("0 ")
    assert (tmp_path / "page.html").read_text("utf8").count('class="token') == 8
    assert "no component 'ner'" in explain("importance", *call, "--component", "ner")


def test_surprisal_cloze_and_unexpected(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert explain("surprisal", "It rains.", "--output", page).startswith("0 ")
    assert page.read_text("utf8").count('class="word') == 3
    assert explain("cloze", "It ___.", "--output", page).startswith("0 ")
    assert '<h1 dir="auto">It ___.</h1>' in page.read_text("utf8")
    assert "Write ___ once" in explain("cloze", "It rains.", "--output", page)
    (tmp_path / "a.txt").write_text("It rains. It snows.\n", "utf8")
    assert explain("unexpected", tmp_path / "a.txt", "-n", "4", "--output", page).startswith("0 ")
    assert page.read_text("utf8").count("<tr>") == 5


def test_similarity_and_bias(tmp_path: Path, tiny_source: str) -> None:
    page = tmp_path / "page.html"
    call = ["similarity", "A match.", "No match!", "--model", tiny_source, "--output", page]
    assert explain(*call).startswith("0 ")
    assert page.read_text("utf8").count('scope="row"') == 4 * 3
    assert "holds no softmax" in explain("bias", "--model", tiny_source, "--output", page)


def test_what_cannot_be_shown_is_told_and_nothing_is_written(tmp_path: Path, tiny_source: str) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "one match"}\n{', "utf8")
    for told, *call in (
        ("'the match' is 2 words to this model: the, match", "senses", "the match", tmp_path / "bad.jsonl"),
        ("bad.jsonl, line 2: not JSON", "senses", "match", tmp_path / "bad.jsonl"),
        ("nothing: no saved pipeline", "layers", tmp_path / "nothing"),
        ("nothing: no saved pipeline", "importance", tmp_path / "nothing", "A text."),
        ("no words", "surprisal", " "),
        ("vocabulary has no 'he'", "bias", "--model", "ja_elmo_sm"),
        ("one of documents, sentences, tokens", "unexpected", tmp_path / "bad.jsonl", "--format", "lines"),
    ):
        assert told in explain(*call, "--output", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()

"""What a line is: a document, a sentence, or the words of one."""

import json
import warnings
from pathlib import Path

import pytest

from spacy_elmo.corpus import formats
from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.corpus.formats import Format
from spacy_elmo.corpus.texts import Texts

from .corpora import make, sentences, write_lines

TOKENISED = ["@paulwalk It 's the view <unk> .", "Dr. Who isn 't 3.5 m tall , is he ?", "", "我 喜欢 读书 。"]
WORDS = [line.split() for line in TOKENISED if line]


def read(path: Path, format: Format = "documents") -> list[list[list[str]]]:
    """The words of all sentences of all documents, from a corpus of them."""
    heldout = write_lines(path.parent / "heldout" / "heldout.txt", ["a"])
    corpus = make(path.parent / "corpus" / path.name / format, [path], [heldout], format=format)
    return sentences(corpus, corpus.train)


def test_tokens_stay_as_they_are(tmp_path: Path) -> None:
    assert read(write_lines(tmp_path / "a.txt", TOKENISED), "tokens") == [WORDS[:2], WORDS[2:]]
    assert read(write_lines(tmp_path / "a.en", [f" {TOKENISED[0]}\t "]), "tokens") == [WORDS[:1]]


def test_sentences_are_not_split(tmp_path: Path) -> None:
    lines = ["Dr. Who? It's him!", "  ", "Yes. No."]
    expected = [[["Dr.", "Who", "?", "It", "'s", "him", "!"]], [["Yes", ".", "No", "."]]]
    assert read(write_lines(tmp_path / "a.txt", lines), "sentences") == expected
    assert read(write_lines(tmp_path / "b.txt", lines)) == [
        [["Dr.", "Who", "?"], ["It", "'s", "him", "!"]],
        [["Yes", "."], ["No", "."]],
    ]


@pytest.mark.parametrize("format", ["sentences", "tokens"])
def test_a_blank_line_ends_a_document_and_so_does_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    monkeypatch.setattr(formats, "DOCUMENT_CHARACTERS", 6)
    path = write_lines(tmp_path / "a.txt", ["aa bb", "cc", "dd", "", "", "ee", "\t", "ff"])
    assert read(path, format) == [[["aa", "bb"], ["cc"]], [["dd"]], [["ee"]], [["ff"]]]
    places = [str(piece.first) for piece in Texts([path], format).pieces()]
    assert places == [f"{path}, line 1"]


def test_a_corpus_of_sentences_in_one_file_has_some_to_set_aside(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.txt", [f"word {i} of many ." for i in range(2_000)])
    corpus = make(tmp_path / "corpus", [path], None, format="tokens")
    held_out = sum(map(len, sentences(corpus, corpus.heldout)))
    assert held_out + sum(map(len, sentences(corpus, corpus.train))) == 2_000
    assert 100 < held_out < 1_000


def test_of_json_lines_each_is_a_document_and_its_lines_are_sentences(tmp_path: Path) -> None:
    texts = ["\n".join(TOKENISED[:2]), "\n".join(TOKENISED[2:])]
    path = write_lines(tmp_path / "a.jsonl", [json.dumps({"text": text}) for text in texts])
    assert read(path, "tokens") == [WORDS[:2], WORDS[2:]]
    assert read(path.rename(tmp_path / "a.ndjson"), "tokens") == [WORDS[:2], WORDS[2:]]


CONLLU = """\
# newdoc id = one
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\t_\t_\t5\tcase\t_\t_
4\tel\tel\tDET\t_\t_\t5\tdet\t_\t_
5\tmar\tmar\tNOUN\t_\t_\t1\tobl\t_\t_

# text = 10 000 did , I not
1\t10 000\t10000\tNUM\t_\t_\t2\tnsubj\t_\t_
2\tdid\tdo\tVERB\t_\t_\t0\troot\t_\t_
3\t,\t,\tPUNCT\t_\t_\t2\tpunct\t_\t_
4\tI\tI\tPRON\t_\t_\t2\tconj\t_\t_
4.1\tlike\tlike\tVERB\t_\t_\t_\t_\t_\t_
5\tnot\tnot\tPART\t_\t_\t4\tadvmod\t_\t_

# newdoc id = two
1\tEnd\tend\tNOUN\t_\t_\t0\troot\t_\t_
"""


@pytest.mark.parametrize("format", formats.FORMATS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_conllu_gives_its_tokens_and_sentences(tmp_path: Path, format: Format, line_end: str) -> None:
    path = tmp_path / "a.conllu"
    path.write_bytes(CONLLU.replace("\n", line_end).encode("utf8"))
    assert read(path, format) == [
        [["vámonos", "al", "mar"], ["10 000", "did", ",", "I", "not"]],
        [["End"]],
    ]


@pytest.mark.parametrize(
    "line", ["one two", "x\tThe\t_\t_\t_\t_\t_\t_\t_\t_", "1\tThe\t_", "1\t\t_\t_\t_\t_\t_\t_\t_\t_"]
)
def test_what_is_no_conllu(tmp_path: Path, line: str) -> None:
    path = write_lines(tmp_path / "a.conllu", ["# text", line])
    with pytest.raises(CorpusError) as error:
        list(Texts([path]).pieces())
    assert str(error.value).startswith(f"{path}, line 2: not a token of CoNLL-U")


RAW = ["Well, it is raining. Or not, who knows."] * 30
APART = ["Well , it is raining .", "Or not , who knows ."] * 30


@pytest.mark.parametrize(
    ("lines", "format", "words"),
    [
        (APART, "documents", "look tokenised already"),
        (APART, "sentences", "look tokenised already"),
        (["我 喜欢 读书 。"] * 30, "documents", "look tokenised already"),
        (RAW, "tokens", "do not look tokenised"),
        (RAW, "documents", None),
        (RAW, "sentences", None),
        (APART, "tokens", None),
        (["我喜欢读书。", "Quoi ? Non !"] * 30, "documents", None),
    ],
)
def test_a_format_that_texts_do_not_look_like_is_warned_of(
    tmp_path: Path, lines: list[str], format: Format, words: str | None
) -> None:
    path = write_lines(tmp_path / "a.txt", lines)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(Texts([path], format).pieces())
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == (words is not None)
    assert all(f"{path}, line 1: from here on, lines {words}" in message for message in messages)


def test_texts_that_turn_into_another_format_are_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spacy_elmo.corpus.texts.PIECE_CHARACTERS", 500)
    path = write_lines(tmp_path / "a.txt", RAW + APART * 5)
    with pytest.warns(UserWarning, match="look tokenised already") as caught:
        list(Texts([path]).pieces())
    (warning,) = caught
    number = int(str(warning.message).partition("line ")[2].partition(":")[0])
    assert 20 < number <= 30

"""Vocabularies from files."""

import json
from pathlib import Path

import pytest

from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.corpus.vocabulary import given_vocabulary, read_words

from .corpora import make_from, write_lines

TEXTS = ["the cat sat on the mat", "the cat", "<UNK> the"]


def test_the_words_of_a_file_stand_by_their_counts(tmp_path: Path) -> None:
    corpus = make_from(tmp_path, TEXTS, ["a cat"])
    path = write_lines(tmp_path / "words.txt", ["</S>", "<S>", "<UNK>", "unicorn", "mat", "dog", "cat", "the"])
    vocabulary = given_vocabulary(path, corpus)
    assert vocabulary == ["<S>", "</S>", "<UNK>", "the", "cat", "mat", "unicorn", "dog"]
    classes = corpus.classes(vocabulary)
    words = [corpus.words.word(i) for i in range(len(corpus.words))]
    assert dict(zip(words[3:], classes[3:].tolist(), strict=True)) == {
        "the": 3, "cat": 4, "mat": 5, "<": 2, "UNK": 2, ">": 2, "on": 2, "sat": 2, "a": 2,
    }  # fmt: skip
    assert classes[:3].tolist() == [0, 1, 2]


def test_a_vocabulary_that_was_counted_has_the_types_as_classes(tmp_path: Path) -> None:
    corpus = make_from(tmp_path, TEXTS, ["a cat"])
    classes = corpus.classes(corpus.vocabulary(2, None)).tolist()
    assert classes == [0, 1, 2, 3, 4] + [2] * (len(corpus.words) - 5)


def test_kinds_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffthe\r\n日本\r\n".encode())
    assert read_words(tmp_path / "a.txt") == ["the", "日本"]
    (tmp_path / "a.json").write_text(json.dumps(["<S>", "</S>", "<UNK>", "the", "10\u00a0000"]))
    assert read_words(tmp_path / "a.json") == ["the", "10\u00a0000"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "the 17\ncat 3\n", ", line 1: 'the 17' is not one word."),
        ("a.txt", "the\n\ncat\n", ", line 2: '' is not one word."),
        ("a.txt", "the\ncat\nthe\n", ": the word 'the' is there 2 times."),
        ("a.txt", "<S>\n</S>\n<UNK>\n", ": no words."),
        ("a.json", '{"the": 1}', ": not a list of words."),
        ("a.json", '["the", 1]', ": not a list of words."),
        ("a.json", '["the"', ": not readable as JSON"),
        ("nowhere.txt", None, ": not readable (No such file or directory)."),
        ("a.txt", "unicorn\n", ": the texts have none of its words."),
    ],
)
def test_files_that_are_no_vocabulary(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text, "utf8")
    with pytest.raises(CorpusError) as error:
        given_vocabulary(path, make_from(tmp_path / "made", TEXTS, ["a cat"]))
    assert str(error.value).startswith(f"{path}{message}")


def test_a_vocabulary_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(CorpusError, match=r"a\.txt: not UTF-8"):
        read_words(tmp_path / "a.txt")

"""Which files are read, as what, and which are refused by their names."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.corpus.files import find, kind
from spacy_elmo.corpus.texts import Texts

from .corpora import write_lines


def archive(path: Path) -> Path:
    """A tar, compressed as its name says."""
    data = b"a text\n"
    with tarfile.open(path, f"w:{path.suffix[1:].replace('tgz', 'gz').replace('tar', '')}") as tar:
        member = tarfile.TarInfo("a.txt")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.csv", 'a table. Write its column of texts as JSON lines, {"text": "..."}, into a .jsonl file.'),
        ("a.TSV.gz", "a table."),
        ("about.md", "text with markup. Convert it to plain text"),
        ("a.html", "text with markup."),
        ("a.json", "one JSON value. Write a document a line"),
        ("a.conll", "a table of tokens. Convert it with `python -m spacy convert`"),
        ("a.tar.gz", "an archive. Unpack it, and name the files in it."),
        ("a.tgz", "an archive."),
        ("a.zip", "an archive."),
        ("a.yaml", "no text."),
        ("a.npy", "no text."),
    ],
)
def test_what_is_no_text_is_refused_by_name(tmp_path: Path, name: str, words: str) -> None:
    """In a directory, where a glob matches it, and where it is named itself: before anything is read."""
    path = write_lines(tmp_path / name, ["It was, once."])
    write_lines(tmp_path / "0.txt", ["A text."])
    for meant in (path, tmp_path, tmp_path / "*"):
        with pytest.raises(CorpusError) as error:
            find([meant])
        assert str(error.value).startswith(f"{path}: by its name {words}")


@pytest.mark.parametrize("name", ["README", "README.txt", "vocab.txt", "LICENSE", "vocabulary.txt.gz"])
def test_what_lies_beside_a_corpus_is_read_only_where_it_is_named(tmp_path: Path, name: str) -> None:
    path = write_lines(tmp_path / name, ["the"])
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    text = write_lines(tmp_path / "a.txt", ["A text."])
    for meant in (tmp_path, tmp_path / "*"):
        with pytest.raises(CorpusError) as error:
            find([meant])
        assert str(error.value).startswith(f"{path}: by its name it lies beside the texts and is none of them.")
    assert find([path, text]) == [path, text]


def test_names_that_are_not_known_are_those_of_text(tmp_path: Path) -> None:
    for name in ("news.en-00001-of-00100", "wiki.ja", "plain", "train.tok.xz"):
        assert kind(tmp_path / name) == "text"


@pytest.mark.parametrize("name", ["a.tar", "archive", "model.weights"])
def test_bytes_that_are_no_text_are_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.tar").rename(tmp_path / name)
    with pytest.raises(CorpusError) as error:
        find([tmp_path])
    assert str(error.value).startswith(f"{path}: ")


def test_bytes_that_are_no_text_in_a_compressed_file_are_refused_too(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.xz").rename(tmp_path / "texts.xz")
    with pytest.raises(CorpusError) as error:
        find([path])
    assert str(error.value).startswith(f"{path}: no UTF-8 text, for it holds bytes of 0.")


def test_a_text_in_utf_16_is_told_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("A text.", "utf-16")
    with pytest.raises(CorpusError, match="Convert it to UTF-8 if it is one in UTF-16"):
        find([path])


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_more_compressions(tmp_path: Path, suffix: str, compress: object) -> None:
    assert callable(compress)
    path = tmp_path / f"a.txt.{suffix}"
    whole = compress(b"one\n") + compress(b"two\n")
    for content in (whole, whole + bytes(512)):
        path.write_bytes(content)
        assert [piece.documents for piece in Texts([path]).pieces()] == [[["one"], ["two"]]]
    for damaged in (whole[:-3], b"x" + whole, whole + b"xyz", bytes(8) + whole):
        path.write_bytes(damaged)
        with pytest.raises(CorpusError) as error:
            list(Texts([path]).pieces())
        assert str(error.value).startswith(f"{path}: damaged, or not compressed as its name says")


def test_links_are_followed(tmp_path: Path) -> None:
    """What a link leads to is no less a text, and a link that leads nowhere no text to leave out in silence."""
    texts, elsewhere = tmp_path / "texts", tmp_path / "elsewhere"
    write_lines(texts / "b.txt", ["x"])
    write_lines(elsewhere / "a.txt", ["y"])
    (texts / "folder").symlink_to(elsewhere)
    assert find([texts]) == [texts / "b.txt", texts / "folder" / "a.txt"]
    (texts / "folder" / "round").symlink_to(texts)
    with pytest.raises(CorpusError) as error:
        find([texts])
    assert str(error.value) == (
        f"{texts / 'folder' / 'round'}: twice among the texts, by a link to {texts}. Remove the link."
    )
    (texts / "folder" / "round").unlink()
    (texts / "c.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(CorpusError) as error:
        find([texts])
    assert str(error.value) == f"{texts / 'c.txt'}: not readable (No such file or directory)."


def test_what_is_neither_file_nor_directory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for meant in (tmp_path, tmp_path / "pipe", tmp_path / "p*"):
        with pytest.raises(CorpusError) as error:
            find([meant])
        assert str(error.value) == f"{tmp_path / 'pipe'}: neither a file nor a directory."


def test_a_zip_is_not_read_as_text(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as file:
        file.writestr("a.txt", "A text.")
    with pytest.raises(CorpusError, match="no UTF-8 text"):
        find([tmp_path / "a"])

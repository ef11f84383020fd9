import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_elmo.corpus import doc_bins, texts
from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.corpus.files import find
from spacy_elmo.corpus.texts import Texts

from .corpora import TRAIN, make, sentences, write_lines

LINES = "".join(f"{line}\n" for line in TRAIN).encode("utf8")
JSON_LINES = "".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(TRAIN)).encode("utf8")


def documents(*files: Path) -> list[str]:
    found = []
    for piece in Texts(files).pieces():
        assert isinstance(piece.documents, list)
        found += ["".join(parts) for parts in piece.documents]
    return found


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def doc_bin(sentence_rule: bool = True) -> bytes:
    nlp = spacy.blank("en")
    if sentence_rule:
        nlp.add_pipe("sentencizer")
    return DocBin(docs=nlp.pipe(TRAIN)).to_bytes()


def zst(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard", reason="the package zstandard is not installed")
    return zstandard.ZstdCompressor().compress(data)


FORMATS = {
    "train.text": lambda: LINES,
    "train.jsonl": lambda: JSON_LINES,
    "train.txt.gz": lambda: gzip.compress(LINES),
    "train.txt.zst": lambda: zst(LINES),
    "train.jsonl.gz": lambda: gzip.compress(JSON_LINES),
    "train.jsonl.zst": lambda: zst(JSON_LINES),
    "train.JSONL.GZ": lambda: gzip.compress(JSON_LINES),
    "train.spacy": doc_bin,
    "train.spacy.gz": lambda: gzip.compress(doc_bin()),
    "unsegmented.spacy": lambda: doc_bin(sentence_rule=False),
    "two-members.gz": lambda: gzip.compress(LINES[:100]) + gzip.compress(LINES[100:]),
    "two-frames.zst": lambda: zst(LINES[:100]) + zst(LINES[100:]),
    "no-line-end": lambda: LINES[:-1],
    "windows.txt": lambda: LINES.replace(b"\n", b"\r\n"),
    "mark.txt": lambda: b"\xef\xbb\xbf" + LINES,
    "mark.jsonl": lambda: b"\xef\xbb\xbf" + JSON_LINES,
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_corpus(tmp_path: Path, name: str) -> None:
    heldout = write_lines(tmp_path / "heldout.txt", ["A cat ."])
    expected = make(tmp_path / "expected", [write_lines(tmp_path / "train.txt", TRAIN)], [heldout])
    corpus = make(tmp_path / "corpus", [written(tmp_path / name, FORMATS[name]())], [heldout])
    assert corpus.fingerprint == expected.fingerprint
    assert sentences(corpus, corpus.train) == sentences(expected, expected.train)


def test_line_ends_other_than_line_feeds_stand_inside_documents(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "one\u2028two\x0bthree\x85\nfour".encode())
    assert documents(path) == ["one\u2028two\x0bthree\x85", "four"]


def test_lines_longer_than_what_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "CHUNK_BYTES", 3)
    lines = ["abcdefghijkl", "é", "日本語", "x" * 50, "y"]
    assert documents(write_lines(tmp_path / "a.txt", lines)) == lines
    assert documents(written(tmp_path / "a.gz", gzip.compress((tmp_path / "a.txt").read_bytes()))) == lines


def test_pieces_are_bounded_and_know_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "PIECE_CHARACTERS", 10)
    a = write_lines(tmp_path / "a.txt", ["1234", "", "5678", "90", "x"])
    b = write_lines(tmp_path / "b.txt", ["y", "z"])
    reader = Texts([a, b])
    pieces = list(reader.pieces())
    assert [piece.documents for piece in pieces] == [[["1234"], ["5678"], ["90"]], [["x"], ["y"], ["z"]]]
    assert [(str(piece.first), str(piece.last)) for piece in pieces] == [
        (f"{a}, line 1", f"{a}, line 4"),
        (f"{a}, line 5", f"{b}, line 2"),
    ]
    assert sum(piece.n_bytes for piece in pieces) == a.stat().st_size + b.stat().st_size
    assert [record["path"] for record in reader.records] == [str(a), str(b)]


def test_doc_bins_are_cut_into_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doc_bins, "SLICE_TOKENS", 4)
    nlp = spacy.blank("en")
    lengths = [2, 2, 1, 9, 0, 3]
    docs = [Doc(nlp.vocab, words=[f"w{i}"] * length) for i, length in enumerate(lengths)]
    path = written(tmp_path / "a.spacy", DocBin(docs=docs).to_bytes())
    pieces = list(Texts([path]).pieces())
    read = [list(DocBin().from_bytes(piece.documents).get_docs(spacy.blank("en").vocab)) for piece in pieces]
    assert [[len(doc) for doc in piece] for piece in read] == [[2, 2], [1], [9], [0, 3]]
    assert [[token.text for token in doc] for piece in read for doc in piece] == [[t.text for t in d] for d in docs]
    assert str(pieces[1].first) == str(pieces[1].last) == f"{path}, Doc 3"
    assert (str(pieces[3].first), str(pieces[3].last)) == (f"{path}, Doc 5", f"{path}, Doc 6")


def test_text_before_a_doc_bin_comes_before_it(tmp_path: Path) -> None:
    a, c = write_lines(tmp_path / "a.txt", ["first"]), write_lines(tmp_path / "c.txt", ["last"])
    b = written(tmp_path / "b.spacy", doc_bin())
    kinds = [piece.documents if isinstance(piece.documents, list) else "bin" for piece in Texts([a, b, c]).pieces()]
    assert kinds == [[["first"]], "bin", [["last"]]]


def test_find_files_directories_and_globs(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "sub/c.jsonl", "sub/deep/d", ".hidden", ".git/e.txt", "other.en"):
        write_lines(tmp_path / name, ["x"])
    everything = ["a.txt", "b.txt", "other.en", "sub/c.jsonl", "sub/deep/d"]

    def found(*patterns: str) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in find([tmp_path / name for name in patterns])]

    assert found("b.txt", "a.txt") == ["b.txt", "a.txt"]
    assert found("") == everything
    assert found("*.txt") == ["a.txt", "b.txt"]
    assert found("sub", "?.txt") == ["sub/c.jsonl", "sub/deep/d", "a.txt", "b.txt"]
    assert sorted(found("**")) == everything


def test_a_name_with_glob_characters_is_a_name_first(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a[1].txt", ["x"])
    assert find([path]) == [path]


@pytest.mark.parametrize("name", ["nowhere.txt", "*.text"])
def test_missing_texts(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorpusError) as error:
        find([tmp_path / name])
    assert str(error.value) == f"{tmp_path / name}: no such file or directory, and as a glob it matches nothing."


def test_no_texts(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no texts are named"):
        find([])
    with pytest.raises(CorpusError) as error:
        find([tmp_path])
    assert str(error.value) == f"{tmp_path}: no files in this directory."


def test_a_file_that_is_named_twice(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.txt", ["x"])
    with pytest.raises(CorpusError) as error:
        find([tmp_path, path])
    assert str(error.value) == (
        f"{path}: twice among the texts. Name every file once, as training or as held-out text."
    )


BROKEN = {
    "empty.txt": (b"", ": the file is empty. Leave it out, or remove it."),
    "empty.spacy": (b"", ": the file is empty. Leave it out, or remove it."),
    "latin.txt": (
        b"fine\nca\xe9 x\n",
        ", line 2: not UTF-8 (byte 0xe9 at position 2). Convert the file to UTF-8.",
    ),
    "cut.gz": (
        gzip.compress(LINES)[:-12],
        ": damaged, or not compressed as its name says (it ends in the middle).",
    ),
    "text.gz": (LINES, ": damaged, or not compressed as its name says (Error -3 while decompressing data: incorrect"),
    "a.jsonl": (b'{"text": "a"}\n\n{"txt": "b"}\n', ', line 3: needs to be an object with the key "text" and a string'),
    "b.jsonl": (b'["text"]\n', ', line 1: needs to be an object with the key "text" and a string as its value.'),
    "c.jsonl": (b'{"text": null}\n', ', line 1: needs to be an object with the key "text" and a string as its value.'),
    "d.jsonl": (b'{"text": "a"}\n{"text": "b"\n', ", line 2: not JSON ("),
    "e.jsonl": (b'{"text": "a\\ud83d"}\n', ", line 1: "),
    "text.spacy": (LINES, ": not a whole DocBin as spaCy writes it ("),
    "cut.spacy": (doc_bin()[:-20], ": not a whole DocBin as spaCy writes it ("),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_named(tmp_path: Path, name: str) -> None:
    data, message = BROKEN[name]
    path = written(tmp_path / name, data)
    with pytest.raises(CorpusError) as error:
        list(Texts(find([path])).pieces())
    assert str(error.value).startswith(f"{path}{message}")


@pytest.mark.parametrize("kept", [slice(0, -5), slice(5, None), slice(0, 0)])
def test_broken_zst(tmp_path: Path, kept: slice) -> None:
    path = written(tmp_path / "a.txt.zst", zst(LINES)[kept])
    with pytest.raises(CorpusError) as error:
        list(Texts(find([path])).pieces())
    assert str(error.value).startswith(f"{path}: ")


def test_a_damaged_gzip_file(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(LINES))
    data[-6] ^= 1  # its checksum
    path = written(tmp_path / "a.gz", bytes(data))
    with pytest.raises(CorpusError, match="incorrect data check"):
        list(Texts(find([path])).pieces())


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.txt", ["x"])
    path.chmod(0)
    with pytest.raises(CorpusError) as error:
        list(Texts(find([path])).pieces())
    assert str(error.value) == f"{path}: not readable (Permission denied)."


def test_zst_without_its_package(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt.zst", b"(\xb5/\xfd")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "sys.modules['zstandard'] = sys.modules['compression'] = None\n"
        "from spacy_elmo.corpus.texts import Texts\n"
        "list(Texts([Path(sys.argv[1])]).pieces())\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.strip().endswith(
        f"CorpusError: {path}: reading .zst takes the package zstandard. Install it: pip install zstandard"
    )

"""What documents files hold."""

import errno
import gzip
import io
import json
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
import spacy
import zstandard
from pyarrow import parquet
from spacy.tokens import Doc, DocBin

from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.embedding import EmbeddingError, Settings, sources
from spacy_elmo.embedding.documents import Document, Reject, Text
from spacy_elmo.embedding.inputs import InputFile, find
from spacy_elmo.embedding.sources import Item

from .jobs import write


def read(path: Path | str, **settings: str) -> list[Item]:
    return [item for file in find([str(path)]) for item in of(file, **settings)]


def of(file: InputFile, **settings: str) -> list[Item]:
    counted: list[int] = []
    items = list(sources.documents(file, Settings(**settings), counted.append))
    assert sum(counted) == file.size
    return items


def plain(items: list[Item]) -> list[object]:
    """Without the file's name."""
    found: list[object] = []
    for item in items:
        id = item.id.rpartition("/")[2]
        if isinstance(item, Text):
            found.append((id, item.text))
        elif isinstance(item, Document):
            found.append((id, item.text, item.tokens, item.offsets.tolist(), item.sentences.tolist()))
        else:
            found.append((id, Reject))
    return found


def test_a_line_is_a_document(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffOne. Two.\r\n \n\nünï 😀\u2028still".encode())
    assert plain(read(path)) == [("a.txt:1", "One. Two."), ("a.txt:4", "ünï 😀\u2028still")]
    assert [item.is_sentence for item in read(path, format="sentences")] == [True, True]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_lines_are_found_however_the_bytes_come(size: int) -> None:
    data = b"\n\nab\n\n\ncd\r\ne"
    chunks = [data[i : i + size] for i in range(0, len(data), size)]
    found = [(number, line) for number, line in sources._lines(chunks) if line]
    assert found == [(3, b"ab"), (6, b"cd"), (7, b"e")]


def test_words_between_blanks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", " It 's  here . ")
    offsets = [[0, 2], [3, 5], [7, 11], [12, 13]]
    assert plain(read(path, format="tokens")) == [
        ("a.txt:1", "It 's  here .", ["It", "'s", "here", "."], offsets, [[0, 4]])
    ]


def test_json_lines_with_ids_and_fields_of_one_s_own(tmp_path: Path) -> None:
    values = [{"key": 7, "body": "Some text."}, {"body": ""}, {"key": "x", "body": ["pre", "tok"]}]
    path = write(tmp_path / "a.jsonl", *map(json.dumps, values))
    assert plain(read(path, field="body", id_field="key")) == [
        ("7", "Some text."),
        ("a.jsonl:2", ""),
        ("x", "pre tok", ["pre", "tok"], [[0, 3], [4, 7]], [[0, 2]]),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nope", "not JSON"),
        (b'{"other": 1}', "no object with the key 'text'"),
        (b"[1]", "no object with the key 'text'"),
        (b'{"text": 7}', "neither a text nor a list of tokens, but '7'"),
        (b'{"text": "half \\ud83d"}', "surrogate"),
        (b'{"text": "a\\u0000b"}', "number 0"),
        (b'{"text": "one", "id": "half \\ud83d"}', "the id holds half of a surrogate pair"),
        (b'{"text": "\xff"}', "not UTF-8"),
    ],
)
def test_a_line_that_cannot_be_read_is_rejected_alone(tmp_path: Path, line: bytes, reason: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "one"}\n' + line + b'\n{"text": "two"}\n')
    first, fault, last = read(tmp_path / "a.jsonl")
    assert (first.text, last.text) == ("one", "two")
    assert isinstance(fault, Reject)
    assert fault.id == f"{tmp_path / 'a.jsonl'}:2"
    assert reason in fault.reason


def test_what_is_too_long_is_rejected_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_LINE_BYTES", 10)
    monkeypatch.setattr(sources, "MAX_CHARACTERS", 5)
    path = write(tmp_path / "a.txt", "x" * 1000, "short", "longer")
    assert plain(read(path)) == [("a.txt:1", Reject), ("a.txt:2", "short"), ("a.txt:3", Reject)]


def test_compressed(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"One.\nTwo."))
    (tmp_path / "b.txt.zst").write_bytes(zstandard.compress(b"Three."))
    assert plain(read(tmp_path)) == [("a.txt.gz:1", "One."), ("a.txt.gz:2", "Two."), ("b.txt.zst:1", "Three.")]


def test_the_rest_of_a_damaged_file_is_rejected(tmp_path: Path) -> None:
    whole = gzip.compress("\n".join(f"Line {i * 7919 % 10007}" for i in range(100_000)).encode())
    (tmp_path / "a.txt.gz").write_bytes(whole[: len(whole) // 2])
    *texts, rest = read(tmp_path / "a.txt.gz")
    assert len(texts) > 1000
    assert isinstance(rest, Reject)
    assert "damaged" in rest.reason
    (tmp_path / "b.spacy").write_bytes(b"nothing")
    (fault,) = read(tmp_path / "b.spacy")
    assert isinstance(fault, Reject)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"id": [3, 4, None], "text": ["One.", None, "Three."], "other": [1.0, 2.0, 3.0]})
    parquet.write_table(table, path, row_group_size=2)
    assert plain(read(path)) == [("3", "One."), ("4", Reject), ("a.parquet:3", "Three.")]
    (fault,) = sources.documents(find([str(path)])[0], Settings(field="body"), lambda n: None)
    assert fault.reason == "no column 'body' among id, text, other"
    tokens = tmp_path / "b.parquet"
    parquet.write_table(pa.table({"text": [["a", "b"]]}), tokens)
    assert plain(read(tokens)) == [("b.parquet:1", "a b", ["a", "b"], [[0, 1], [2, 3]], [[0, 2]])]


def test_a_row_of_parquet_that_is_no_utf8_is_rejected_alone(tmp_path: Path) -> None:
    column = pa.array([b"One.", b"\xff", b"Three."])
    unchecked = pa.StringArray.from_buffers(3, column.buffers()[1], column.buffers()[2])
    for table in ({"text": unchecked}, {"text": ["One.", "Two.", "Three."], "id": unchecked}):
        parquet.write_table(pa.table(table), tmp_path / "a.parquet")
        first, fault, last = read(tmp_path / "a.parquet")
        assert (first.text, last.text) == ("One.", "Three.")
        assert (fault.id, fault.reason[:9]) == (f"{tmp_path / 'a.parquet'}:2", "not UTF-8")


def test_what_follows_damage_in_parquet_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"Line {i}" for i in range(4000)]})
    parquet.write_table(table, path, row_group_size=1000, use_dictionary=False, compression="gzip")
    data = bytearray(path.read_bytes())
    end = parquet.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset + 100
    data[end : end + 100] = bytes(100)
    path.write_bytes(data)
    *texts, rest = sources.documents(find([str(path)])[0], Settings(), lambda n: None)
    assert [item.text for item in texts[::1000]] == ["Line 0", "Line 1000"]
    assert isinstance(rest, Reject)
    assert "not read from here on" in rest.reason


def test_a_disk_that_fails_makes_no_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(pa.table({"text": ["One."]}), tmp_path / "a.parquet")
    (file,) = find([str(tmp_path / "a.parquet")])

    class Failing(io.FileIO):
        def read(self, n: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "the disk fails")

    monkeypatch.setattr(InputFile, "open", lambda file: Failing(file.address))
    with pytest.raises(OSError, match="the disk fails"):
        list(sources.documents(file, Settings(), lambda n: None))


def test_docs_keep_their_tokens_and_sentences(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    one = Doc(nlp.vocab, ["A", "b", "\n", "C"], [True, False, False, False], sent_starts=[True, False, False, True])
    other = nlp("No sentences here.")
    DocBin(docs=[one, other]).to_disk(tmp_path / "a.spacy")
    assert plain(read(tmp_path / "a.spacy")) == [
        ("a.spacy:1", "A b\nC", ["A", "b", "C"], [[0, 1], [2, 3], [4, 5]], [[0, 2], [2, 3]]),
        ("a.spacy:2", other.text, [t.text for t in other], [[t.idx, t.idx + len(t)] for t in other], [[0, 4]]),
    ]


def test_conllu_has_tokens_and_sentences(tmp_path: Path) -> None:
    rows = ["# newdoc", "1-2\tdon't", "1\tdo", "2\tn't", "", "1\tGo", "", "# newdoc", "1\tB"]
    lines = [row + "\t_" * 8 if row[:1].isdigit() else row for row in rows]
    assert plain(read(write(tmp_path / "a.conllu", *lines))) == [
        ("a.conllu:2", "don't Go", ["don't", "Go"], [[0, 5], [6, 8]], [[0, 1], [1, 2]]),
        ("a.conllu:9", "B", ["B"], [[0, 1]], [[0, 1]]),
    ]


def test_addresses() -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe({"/texts/a.txt": b"One.", "/texts/b.txt.gz": gzip.compress(b"Two."), "/texts/_c": b"", "/d.txt": b"No."})
    fs.pipe({"/texts/_temporary/0/a.txt": b"No.", "/texts/.hidden/a.txt": b"No.", "/odd/a[1]?.txt": b"Odd."})
    for address in ("memory://texts", "memory://texts/", "memory://texts/*.txt*", "memory://text?"):
        assert [(item.id, item.text) for item in read(address)] == [
            ("memory:///texts/a.txt:1", "One."),
            ("memory:///texts/b.txt.gz:1", "Two."),
        ]
    for address in ("memory://odd", "memory://odd/a[1]?.txt"):
        assert [item.text for item in read(address)] == ["Odd."]
    with pytest.raises(EmbeddingError, match="memory://nowhere: no such file"):
        find(["memory://nowhere"])
    with pytest.raises(EmbeddingError, match="nosuch://a: "):
        find(["nosuch://a"])


def test_a_url_s_query_does_not_tell_its_kind() -> None:
    kinds = {"https://a.org/b.jsonl.gz?sign=x.txt": ".gz", "s3://a/b?.jsonl": ".jsonl", "b?.conllu": ".conllu"}
    for name, suffix in kinds.items():
        assert InputFile(name, name, 0, "").path.suffix == suffix


def test_what_is_no_input(tmp_path: Path) -> None:
    text = write(tmp_path / "a.txt", "One.")
    with pytest.raises(EmbeddingError, match=r"a\.txt: twice among the inputs"):
        find([str(text), str(tmp_path / "*.txt")])
    (tmp_path / "link.txt").symlink_to(text)
    with pytest.raises(EmbeddingError, match=r"link\.txt: twice among the inputs"):
        find([str(text), str(tmp_path / "link.txt")])
    with pytest.raises(EmbeddingError, match="no inputs are named"):
        find([])
    with pytest.raises(CorpusError, match=r"nothing\.txt: no such file or directory"):
        find([str(tmp_path / "nothing.txt")])
    with pytest.raises(CorpusError, match="by its name text with markup"):
        find([str(write(tmp_path / "a.html", "<p>"))])

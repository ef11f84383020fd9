import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo.bilm.characters import boundary_ids, word_ids
from spacy_elmo.corpus.corpus import MARKS, Corpus, Passages, WordTable
from spacy_elmo.corpus.errors import CorpusError

from .corpora import HELDOUT, TRAIN, make_from

WORD = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("texts")
    make_from(directory, TRAIN, HELDOUT)
    return directory / "corpus"


@pytest.fixture
def copy(directory: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in directory.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def table(words: list[str]) -> WordTable:
    encoded = [word.encode("utf8") for word in [*MARKS, *words]]
    return WordTable(
        np.frombuffer(b"".join(encoded), dtype=np.uint8),
        np.cumsum([0, *map(len, encoded)], dtype=np.int64),
    )


@settings(max_examples=200, deadline=None)
@given(words=st.lists(WORD), max_characters=st.integers(3, 60), data=st.data())
def test_character_ids_are_those_of_the_words(words: list[str], max_characters: int, data: st.DataObject) -> None:
    types = data.draw(st.lists(st.integers(2, len(words) + 2)))
    ids = table(words).character_ids(np.array(types, dtype=np.int32), max_characters)
    assert ids.dtype == np.int64
    expected = word_ids([[*MARKS, *words][i] for i in types], max_characters)
    np.testing.assert_array_equal(ids, expected)


def test_character_ids_of_long_words_and_emoji() -> None:
    words = ["x" * 48, "y" * 49, "é" * 30, "👩‍👩‍👧‍👦" * 3, "<S>", ""]
    ids = table(words).character_ids(np.arange(3, 9), 50)
    np.testing.assert_array_equal(ids, word_ids(words, 50))


def test_character_ids_of_sentence_boundaries() -> None:
    ids = table(["a"]).character_ids(np.array([3, 0, 1, 0]), 50)
    np.testing.assert_array_equal(ids[[1, 2]], boundary_ids(50))
    np.testing.assert_array_equal(ids[3], boundary_ids(50)[0])
    np.testing.assert_array_equal(ids[:1], word_ids(["a"], 50))


@given(words=st.lists(WORD, unique=True))
def test_words(words: list[str]) -> None:
    words = [*MARKS, *words]
    found = table(words[3:])
    assert len(found) == len(words)
    assert [found.word(i) for i in range(len(found))] == words
    assert found.first(len(words) - 1) == words[:-1]


@given(lengths=st.lists(st.lists(st.integers(0, 4), max_size=5), max_size=4))
def test_passages_of_shards(lengths: list[list[int]]) -> None:
    n = iter(range(1000))
    expected = [[next(n) for _ in range(length)] for shard in lengths for length in shard]
    rows = iter(expected)
    shards = []
    for shard in lengths:
        tokens = [token for _ in shard for token in next(rows)]
        shards.append((np.array(tokens, dtype=np.int32), np.cumsum([0, *shard], dtype=np.int64)))
    passages = Passages(shards)
    assert len(passages) == len(expected)
    assert [passage.tolist() for passage in passages] == expected
    assert passages.rows.tolist() == [len(passage) for passage in expected]
    for i in (-1, len(expected)):
        with pytest.raises(IndexError):
            passages[i]


def test_everything_is_mapped(directory: Path) -> None:
    corpus = Corpus.open(directory)
    for passages in (corpus.train, corpus.heldout):
        assert len(passages) > 0
        assert all(isinstance(passage, np.memmap) and passage.dtype == np.int32 for passage in passages)
    assert isinstance(corpus.counts, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        corpus.train[0][0] = 1


def test_vocabulary(directory: Path) -> None:
    corpus = Corpus.open(directory)
    everything = corpus.vocabulary(1, None)
    assert everything == [corpus.words.word(i) for i in range(len(everything))]
    assert everything[:3] == ["<S>", "</S>", "<UNK>"]
    assert {"ocelot", "on"} & set(everything) == {"on"}  # "ocelot" is in held-out text alone
    assert [corpus.words.word(i) for i in range(len(everything), len(corpus.words))] == ["an", "ocelot"]
    counts = corpus.counts[3 : len(everything)]
    assert counts.min() == 1
    for min_count in range(1, int(counts.max()) + 2):
        assert len(corpus.vocabulary(min_count, None)) == 3 + np.count_nonzero(counts >= min_count)
    assert corpus.vocabulary(1, 5) == everything[:5]
    assert corpus.vocabulary(2, 1000) == corpus.vocabulary(2, None)
    assert corpus.vocabulary(100, 4) == everything[:3]


def test_a_vocabulary_of_nothing(directory: Path) -> None:
    corpus = Corpus.open(directory)
    with pytest.raises(ValueError, match="min_count is 0"):
        corpus.vocabulary(0, None)
    with pytest.raises(ValueError, match="max_size is 3"):
        corpus.vocabulary(1, 3)


def file_names() -> list[str]:
    shards = [f"{part}.{array}.npy" for part in ("shard-00000", "heldout") for array in ("tokens", "passages")]
    return [*shards, "words.utf8.npy", "words.offsets.npy", "words.counts.npy"]


def test_these_are_the_files(directory: Path) -> None:
    assert sorted(path.name for path in directory.iterdir()) == sorted([*file_names(), "manifest.json"])


@pytest.mark.parametrize("name", file_names())
def test_damaged_files_are_named(copy: Path, name: str) -> None:
    path = copy / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(CorpusError) as error:
        Corpus.open(copy)
    assert str(error.value) == (
        f"{path}: {len(whole) - 4} bytes long, where {len(whole)} were written. "
        "Remove the corpus directory, and prepare the corpus again."
    )
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CorpusError) as error:
        Corpus.open(copy)
    assert str(error.value).startswith(f"{path}: damaged, its contents are not those that were written.")
    path.unlink()
    with pytest.raises(CorpusError) as error:
        Corpus.open(copy)
    assert str(error.value).startswith(f"{path}: no such file; the corpus is incomplete.")


def test_a_directory_without_a_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as error:
        Corpus.open(tmp_path)
    assert str(error.value) == f"{tmp_path}: not a prepared corpus, it has no manifest.json."


def test_broken_manifests(copy: Path) -> None:
    path = copy / "manifest.json"
    whole = path.read_text("utf8")
    manifest = json.loads(whole)
    for text, message in {
        whole[:-30]: "not readable as JSON (",
        "[]": "not the manifest of a prepared corpus (its 'format' is not 'spacy-elmo-corpus').",
        json.dumps({**manifest, "format": "spacy-elmo"}): "not the manifest of a prepared corpus",
        json.dumps({**manifest, "format_version": 2}): "format version 2, but this spacy-elmo reads version 1. Prepare",
        json.dumps(
            {key: manifest[key] for key in ("format", "format_version", "nlp", "sources", "n_words", "files")}
        ): "damaged, the keys fingerprint, n_shards are missing.",
        json.dumps(
            {**manifest, "n_shards": "1", "nlp": []}
        ): "damaged, the values of nlp, n_shards are of other kinds.",
        json.dumps({**manifest, "n_shards": 2}): "damaged, its files are not those of a corpus.",
        json.dumps({**manifest, "files": {}}): "damaged, its files are not those of a corpus.",
        json.dumps({**manifest, "files": {name: {"size": 1} for name in file_names()}}): "damaged, what it says of a",
        json.dumps({**manifest, "sources": {}}): "damaged, what it says of a file is not whole.",
        json.dumps(
            {**manifest, "sources": {"train": [{"path": "a"}]}}
        ): "damaged, what it says of a file is not whole.",
        "[" * 100_000: "not readable as JSON (",
    }.items():
        path.write_text(text, "utf8")
        with pytest.raises(CorpusError) as error:
            Corpus.open(copy)
        assert str(error.value).startswith(f"{path}: {message}")

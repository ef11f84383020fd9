import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_elmo.corpus import build, numbered, passages, texts
from spacy_elmo.corpus.corpus import Corpus
from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.corpus.formats import Place
from spacy_elmo.corpus.prepare import prepare
from spacy_elmo.corpus.texts import Piece
from spacy_elmo.corpus.tokenize import TextSettings
from spacy_elmo.corpus.workers import tokenized

from .corpora import ENGLISH, HELDOUT, TRAIN, contents, make, make_from, sentences, write_lines


def random_lines(n: int, seed: int = 0) -> list[str]:
    """Documents of words that get rarer, with sentence ends and whitespace among them."""
    source = random.Random(seed)
    words = ["a", "the", "cat.", "Dog!", "\t", "naïve", "🐟", *(f"w{i}" for i in range(2000))]
    return [
        " ".join(words[int(len(words) * source.random() ** 4)] for _ in range(source.randint(1, 60))) for _ in range(n)
    ]


def truth(lines: list[str]) -> list[list[list[str]]]:
    """What spaCy makes of documents: the words of their sentences, without whitespace."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    docs = [[[t.text for t in sent if not t.is_space] for sent in doc.sents] for doc in nlp.pipe(lines)]
    docs = [[sentence for sentence in doc if sentence] for doc in docs]
    return [doc for doc in docs if doc]


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbered, "SHARD_ROWS", 1000)
    monkeypatch.setattr(build, "WORKER_BYTES", 2000)
    monkeypatch.setattr(texts, "PIECE_CHARACTERS", 2000)


@pytest.mark.usefixtures("small_shards")
def test_a_corpus_holds_the_texts(tmp_path: Path) -> None:
    train, heldout = random_lines(300), random_lines(50, seed=1)
    corpus = make_from(tmp_path, train, heldout)
    assert len(list((tmp_path / "corpus").glob("shard-*.tokens.npy"))) > 5
    assert sentences(corpus, corpus.train) == truth(train)
    assert sentences(corpus, corpus.heldout) == truth(heldout)


@pytest.mark.usefixtures("small_shards")
def test_types_are_ordered_by_count_and_word(tmp_path: Path) -> None:
    train, heldout = random_lines(300), [*random_lines(50, seed=1), "Zebra aardvark zebra"]
    corpus = make_from(tmp_path, train, heldout)
    counts = Counter(word for doc in truth(train) for sentence in doc for word in sentence)
    unseen = {word for doc in truth(heldout) for sentence in doc for word in sentence} - set(counts)
    assert {"Zebra", "aardvark", "zebra"} <= unseen
    words = sorted(counts, key=lambda word: (-counts[word], word)) + sorted(unseen)
    assert [corpus.words.word(i) for i in range(3, len(corpus.words))] == words
    n_sentences = sum(len(doc) for doc in truth(train))
    assert corpus.counts.tolist() == [n_sentences, n_sentences, 0, *(counts[word] for word in words)]
    assert corpus.n_words == counts.total()


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5).filter(
    lambda word: not word.isspace()
)


@settings(max_examples=10, deadline=None)
@given(docs=st.lists(st.lists(st.lists(WORDS, min_size=1, max_size=5), min_size=1, max_size=4), min_size=1, max_size=5))
def test_sentences_of_docs_come_out_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, docs: list[list[list[str]]]
) -> None:
    directory = tmp_path_factory.mktemp("docs")
    vocab = Vocab()
    made = [
        Doc(
            vocab,
            words=[word for sentence in doc for word in sentence],
            sent_starts=[i == 0 for sentence in doc for i in range(len(sentence))],
        )
        for doc in docs
    ]
    DocBin(docs=made).to_disk(directory / "a.spacy")
    DocBin(docs=made[:1]).to_disk(directory / "b.spacy")
    # A Doc of one token says nothing about sentences, and is one.
    corpus = make(directory / "corpus", [directory / "a.spacy"], [directory / "b.spacy"])
    assert sentences(corpus, corpus.train) == docs
    assert sentences(corpus, corpus.heldout) == docs[:1]


def test_words_that_look_like_marks_have_types_of_their_own(tmp_path: Path) -> None:
    doc = Doc(spacy.blank("en").vocab, words=["<S>", "a", "<UNK>", "</S>"], sent_starts=[True, False, False, False])
    DocBin(docs=[doc]).to_disk(tmp_path / "a.spacy")
    corpus = make(tmp_path / "corpus", [tmp_path / "a.spacy"], [write_lines(tmp_path / "b.txt", ["a"])])
    assert sentences(corpus, corpus.train) == [[["<S>", "a", "<UNK>", "</S>"]]]
    assert set(corpus.train[0][1:]).isdisjoint({0, 1, 2})


@pytest.mark.usefixtures("small_shards")
def test_workers_do_not_change_a_byte(tmp_path: Path) -> None:
    lines = ["All others wait for this. " * 30_000, *random_lines(600)]
    train = [write_lines(tmp_path / "a.txt", lines[:220]), write_lines(tmp_path / "b.txt", lines[220:])]
    for n_workers in (1, 2):
        make(tmp_path / f"with-{n_workers}", train, None, n_workers=n_workers)
    one, two = contents(tmp_path / "with-1"), contents(tmp_path / "with-2")
    assert len(one) > 10
    assert one == two


@pytest.mark.usefixtures("small_shards")
def test_errors_in_workers_are_clear(tmp_path: Path) -> None:
    config: dict[str, Any] = {  # a parser that was never initialised
        "nlp": {"lang": "en", "pipeline": ["parser"]},
        "components": {"parser": {"factory": "parser"}},
    }
    path = write_lines(tmp_path / "a.txt", random_lines(100))
    for n_workers in (1, 2):
        with pytest.raises(CorpusError) as error:
            make(tmp_path / "corpus", [path], None, nlp_config=config, n_workers=n_workers)
        assert str(error.value).startswith(f"{path}, line 1 to {path}, line ")
        assert "spaCy cannot process the document of " in str(error.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == [".corpus.lock", "a.txt"]


@given(
    lengths=st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=40), max_size=5),
    limit=st.integers(1, 60),
)
def test_long_documents_are_cut_at_sentences(lengths: list[list[int]], limit: int) -> None:
    rows = np.array([row for doc in lengths for n in doc for row in [0] + [7] * n], dtype=np.int32)
    document_rows = np.array([sum(doc) + len(doc) for doc in lengths], dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passages, "PASSAGE_WORDS", limit)
        offsets = passages.passages(rows, document_rows)
    expected = [0]
    for doc in lengths:
        words = 0
        for i, n in enumerate(doc):
            if i and words + n > limit:
                expected.append(expected[-1])
                words = 0
            if i == 0:
                expected.append(expected[-1])
            words += n
            expected[-1] += n + 1
    assert offsets.tolist() == expected


def test_a_passage_has_two_thousand_words(tmp_path: Path) -> None:
    sentence = "word " * 599 + "."
    corpus = make_from(tmp_path, ["short text", " ".join([sentence] * 7), "word " * 3000], HELDOUT)
    assert corpus.train.rows.tolist() == [3, 3 * 601, 3 * 601, 601, 3001]


def test_held_out_documents_are_not_in_train(tmp_path: Path) -> None:
    lines = [f"document {i} says w{i}" for i in range(1000)]
    corpus = make(tmp_path / "corpus", [write_lines(tmp_path / "a.txt", lines)], None)
    found = {name: sentences(corpus, getattr(corpus, name)) for name in ("train", "heldout")}
    assert found["heldout"] == truth(lines[50::100])
    assert found["train"] == truth([line for i, line in enumerate(lines) if i % 100 != 50])
    assert corpus.n_words == 990 * 4
    of_heldout = next(i for i in range(len(corpus.words)) if corpus.words.word(i) == "w150")
    assert corpus.counts[of_heldout] == 0
    assert "w150" not in corpus.vocabulary(1, None)


@pytest.mark.usefixtures("small_shards")
def test_held_out_documents_come_from_all_shards_and_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbered, "HELDOUT_WORDS", 60)
    lines = [f"document {i} says w{i}" for i in range(2000)]
    corpus = make(tmp_path / "corpus", [write_lines(tmp_path / "a.txt", lines)], None)
    heldout = sentences(corpus, corpus.heldout)
    assert heldout == truth(lines[67::134])  # 8,000 words and 60 of them: one document in 134
    assert len(corpus.train) == 2000 - len(heldout)


@pytest.mark.parametrize("n_documents", [2, 3, 30])
def test_few_documents_give_one_held_out(tmp_path: Path, n_documents: int) -> None:
    path = write_lines(tmp_path / "a.txt", [f"w{i}" for i in range(n_documents)])
    corpus = make(tmp_path / "corpus", [path], None)
    assert (len(corpus.train), len(corpus.heldout)) == (n_documents - 1, 1)


def test_a_single_document_gives_none(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="The training texts are one document"):
        make(tmp_path / "corpus", [write_lines(tmp_path / "a.txt", ["all of it"])], None)


def test_texts_without_words(tmp_path: Path) -> None:
    blank, text = write_lines(tmp_path / "blank.txt", ["", " \t", "\u3000"]), write_lines(tmp_path / "text.txt", ["a"])
    with pytest.raises(CorpusError) as error:
        make(tmp_path / "corpus", [blank], None)
    assert str(error.value) == f"{blank}: no words in the training texts."
    with pytest.raises(CorpusError) as error:
        make(tmp_path / "corpus", [text], [blank])
    assert str(error.value) == f"{blank}: no words in the held-out texts."
    assert not (tmp_path / "corpus").exists()


def test_what_is_wrong_with_held_out_texts_shows_before_the_others_are_read(tmp_path: Path) -> None:
    train, heldout = tmp_path / "train.jsonl", tmp_path / "heldout.jsonl"
    for path in (train, heldout):
        write_lines(path, ["no JSON"])
    with pytest.raises(CorpusError) as error:
        make(tmp_path / "corpus", [train], [heldout])
    assert str(error.value).startswith(f"{heldout}, line 1: not JSON")


def test_a_text_is_either_trained_on_or_held_out(tmp_path: Path) -> None:
    write_lines(tmp_path / "texts" / "a.txt", ["a"])
    heldout = write_lines(tmp_path / "texts" / "b.txt", ["b"])
    with pytest.raises(CorpusError) as error:
        make(tmp_path / "corpus", [tmp_path / "texts"], [heldout])
    assert str(error.value).startswith(f"{heldout}: twice among the texts.")


def test_a_prepared_corpus_is_opened(tmp_path: Path) -> None:
    first = make_from(tmp_path, TRAIN, HELDOUT)
    before = (tmp_path / "corpus" / "manifest.json").stat().st_mtime_ns
    train, heldout = [tmp_path / "train.txt"], [tmp_path / "heldout.txt"]
    again = make(tmp_path / "corpus", train, heldout)
    os.utime(train[0], ns=(1, 1))
    touched = make(tmp_path / "corpus", train, heldout)
    moved = make(tmp_path / "corpus", [train[0].rename(tmp_path / "moved.txt")], heldout)
    assert {corpus.fingerprint for corpus in (again, touched, moved)} == {first.fingerprint}
    assert (tmp_path / "corpus" / "manifest.json").stat().st_mtime_ns == before


def changed_text(path: Path) -> dict[str, Any]:
    write_lines(path / "train.txt", [TRAIN[0].replace("cat", "dog"), *TRAIN[1:]])
    os.utime(path / "train.txt", ns=(1, 1))
    return {}


def longer_text(path: Path) -> dict[str, Any]:
    write_lines(path / "heldout.txt", [*HELDOUT, "More."])
    return {}


def more_text(path: Path) -> dict[str, Any]:
    return {"train": [path / "train.txt", write_lines(path / "more.txt", ["More."])]}


def other_text(path: Path) -> dict[str, Any]:
    return {"train": [write_lines(path / "other.txt", ["More."])]}


def no_heldout(path: Path) -> dict[str, Any]:
    return {"heldout": None}


def other_rule(path: Path) -> dict[str, Any]:
    return {"nlp_config": {**ENGLISH, "components": {"sentencizer": {"factory": "sentencizer", "punct_chars": ["!"]}}}}


def other_language(path: Path) -> dict[str, Any]:
    return {"nlp_config": {**ENGLISH, "nlp": {**ENGLISH["nlp"], "lang": "de"}}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed_text, "train text: {0}/train.txt has changed"),
        (longer_text, "heldout text: {0}/heldout.txt has changed"),
        (more_text, "train text: {0}/more.txt is new"),
        (other_text, "train text: {0}/other.txt was {0}/train.txt"),
        (no_heldout, "heldout text: {0}/heldout.txt is missing"),
        (other_rule, 'components.sentencizer.punct_chars was left out, now ["!"]'),
        (other_language, 'nlp.lang was "en", now "de"'),
    ],
)
def test_a_corpus_of_something_else_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    make_from(tmp_path, TRAIN, HELDOUT)
    settings = {"train": [tmp_path / "train.txt"], "heldout": [tmp_path / "heldout.txt"], **change(tmp_path)}
    with pytest.raises(CorpusError) as error:
        make(tmp_path / "corpus", **settings)
    assert str(error.value) == (
        f"{tmp_path}/corpus holds a corpus of other texts, or prepared in another way: {said.format(tmp_path)}. Choose "
        f"another output directory, or remove {tmp_path}/corpus to prepare it again."
    )
    shutil.rmtree(tmp_path / "corpus")
    make(tmp_path / "corpus", **settings)


def test_many_changes_are_not_all_listed(tmp_path: Path) -> None:
    files = [write_lines(tmp_path / f"{i}.txt", [f"w{i}"]) for i in range(20)]
    make(tmp_path / "corpus", files[:2], files[2:3])
    with pytest.raises(CorpusError, match=r"10\.txt is new; .*14\.txt is new; 12 more\. Choose another"):
        make(tmp_path / "corpus", [*files[:2], *files[3:]], files[2:3])


def test_the_fingerprint_is_of_contents(tmp_path: Path) -> None:
    fingerprint = make_from(tmp_path / "a", TRAIN, HELDOUT).fingerprint
    assert make_from(tmp_path / "b", TRAIN, HELDOUT).fingerprint == fingerprint
    plain: dict[str, Any] = {"nlp": {"lang": "en", "pipeline": []}, "components": {}}
    others = [
        make_from(tmp_path / "c", TRAIN[::-1], HELDOUT),
        make_from(tmp_path / "d", TRAIN, HELDOUT[::-1]),
        make_from(tmp_path / "e", [*TRAIN[:-1], TRAIN[-1] + "s"], HELDOUT),
        make_from(tmp_path / "f", TRAIN, HELDOUT, nlp_config=plain),
        make_from(tmp_path / "g", [" ".join(TRAIN)], HELDOUT),
    ]
    assert len({fingerprint, *(corpus.fingerprint for corpus in others)}) == 6


def test_a_directory_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "texts" / "a.txt", ["a", "b"])
    for occupied in (path.parent, path):
        with pytest.raises(CorpusError) as error:
            make(occupied, [path], None)
        assert str(error.value) == (
            f"{occupied}: there already, and not a prepared corpus. Choose another output directory."
        )
    assert path.read_text() == "a\nb\n"


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    assert len(make_from(tmp_path, TRAIN, HELDOUT).train) == 4


def test_no_workers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="n_workers is 0"):
        make_from(tmp_path, TRAIN, HELDOUT, n_workers=0)


# What a subprocess runs: prepare(DIRECTORY/texts) in DIRECTORY/out/corpus, with two workers and small pieces.
SCRIPT = """
import sys
from pathlib import Path
from spacy_elmo.corpus import build, numbered, texts
from spacy_elmo.corpus.prepare import prepare
from spacy_elmo.corpus.formats import Place
from spacy_elmo.corpus.texts import Piece
from spacy_elmo.corpus.tokenize import TextSettings
from spacy_elmo.corpus.workers import tokenized

if __name__ == "__main__":
    directory = Path(sys.argv[1])
    texts.PIECE_CHARACTERS, numbered.SHARD_ROWS, build.WORKER_BYTES = 2000, 1000, 2000
    settings = TextSettings({"nlp": {"lang": "en", "pipeline": []}, "components": {}})
    if "limited" in sys.argv:
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    n_workers = 1 if "limited" in sys.argv else 2
    corpus = directory / "out" / "corpus"
    prepare([directory / "texts"], None, settings, corpus, n_workers=n_workers, show_progress=True)
    print("done")
"""


def start(directory: Path, n_lines: int, *arguments: str) -> "subprocess.Popen[str]":
    write_lines(directory / "texts" / "a.txt", random_lines(n_lines))
    (directory / "script.py").write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(directory / "script.py"), str(directory), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests are a shell's background job, it is ignored, and what they start would ignore it as well.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_a_killed_preparation_leaves_no_corpus_and_no_processes(tmp_path: Path) -> None:
    process = start(tmp_path, 60_000)
    wait_for(lambda: list(tmp_path.glob("out/*/numbered-00002.npz")), "shards")
    process.kill()
    process.communicate()
    assert not (tmp_path / "out" / "corpus").exists()
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert re.fullmatch(r"\.corpus\.\w{8}\.new \.corpus\.lock", " ".join(left))
    wait_for(lambda: group_is_gone(process.pid), "the workers' end")

    write_lines(tmp_path / "texts" / "a.txt", random_lines(100))
    corpus = make(tmp_path / "out" / "corpus", [tmp_path / "texts"], None)
    assert len(corpus.train) + len(corpus.heldout) == len(truth(random_lines(100)))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".corpus.lock", "corpus"]


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts as POSIX does")
def test_an_interrupt_ends_the_workers_and_cleans_up(tmp_path: Path) -> None:
    process = start(tmp_path, 60_000)
    wait_for(lambda: list(tmp_path.glob("out/*/numbered-00002.npz")), "shards")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the workers too
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    assert errors.count("KeyboardInterrupt") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".corpus.lock"]
    wait_for(lambda: group_is_gone(process.pid), "the workers' end")


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes as POSIX does")
def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    process = start(tmp_path, 5_000, "limited")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    corpus = tmp_path / "out" / "corpus"
    last = errors.strip().splitlines()[-1]
    assert last.startswith(f"spacy_elmo.disk.errors.DiskError: {corpus}: could not be written ([Errno 27] File too")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".corpus.lock"]


def test_a_worker_that_dies_is_told(tmp_path: Path) -> None:
    place = Place(tmp_path / "a.txt", 1)

    def pieces() -> Iterator[Piece]:
        for i in range(10):
            yield Piece([["Some text."]], "documents", place, place, 0)
            if i == 1:
                multiprocessing.active_children()[0].kill()

    with (
        closing(tokenized(pieces(), TextSettings(ENGLISH), 2)) as found,
        pytest.raises(CorpusError, match=r"a worker process died \(exit code -9\) while it was tokenising\."),
    ):
        list(found)
    assert multiprocessing.active_children() == []


def test_progress_goes_to_stderr_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = [write_lines(tmp_path / "a.txt", TRAIN)]
    prepare(train, None, TextSettings(ENGLISH), tmp_path / "silent", n_workers=1, show_progress=False)
    silent = capsys.readouterr()
    assert silent.out == silent.err == ""
    prepare(train, None, TextSettings(ENGLISH), tmp_path / "loud", n_workers=1, show_progress=True)
    loud = capsys.readouterr()
    assert loud.out == ""
    assert "Tokenising" in loud.err
    assert "100%" in loud.err


def test_the_manifest_says_what_went_in(tmp_path: Path) -> None:
    corpus = make_from(tmp_path, TRAIN, HELDOUT)
    manifest = json.loads((tmp_path / "corpus" / "manifest.json").read_text("utf8"))
    assert manifest["nlp"] == ENGLISH
    assert manifest["n_words"] == corpus.n_words
    assert manifest["fingerprint"] == corpus.fingerprint == Corpus.open(tmp_path / "corpus").fingerprint
    [source] = manifest["sources"]["train"]
    assert source["path"] == str(tmp_path / "train.txt")
    assert source["size"] == (tmp_path / "train.txt").stat().st_size

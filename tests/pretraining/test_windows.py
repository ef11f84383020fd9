import tracemalloc
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo.bilm.characters import boundary_ids, word_ids
from spacy_elmo.corpus.corpus import MARKS, Corpus, Passages, WordTable
from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.pretraining import windows as windows_module
from spacy_elmo.pretraining.windows import Window, Windows
from tests.corpus.corpora import make_from
from tests.corpus.corpora import sentences as words_of

MAX_CHARACTERS = 12

# Of each time step of a passage: input forward and backward, target forward and backward, whether the passage begins.
Row = tuple[int, int, int, int, bool]
# Types of the words of each sentence of each passage.
Texts = list[list[list[int]]]


def rows_of(passage: list[list[int]]) -> list[Row]:
    rows: list[Row] = []
    for words in passage:
        back = words[::-1]
        begins = [not rows] + [False] * len(words)
        rows += zip([0, *words], [1, *back], [*words, 1], [*back, 0], begins, strict=True)
    return rows


def corpus_of(texts: Texts) -> Corpus:
    """A corpus in memory, in two shards; the word of type 7 is "7"."""
    arrays = [np.array([i for words in passage for i in (0, *words)], dtype=np.int32) for passage in texts]
    n_types = 1 + max((int(array.max()) for array in arrays), default=0)
    encoded = [word.encode() for word in [*MARKS, *map(str, range(3, n_types))]]
    table = WordTable(
        np.frombuffer(b"".join(encoded), dtype=np.uint8), np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    )
    half = len(arrays) // 2
    counts = np.zeros(max(n_types, 3), dtype=np.int64)
    return Corpus("", 0, counts, Passages([shard(arrays[:half]), shard(arrays[half:])]), Passages([]), table)


def shard(arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([np.empty(0, np.int32), *arrays]), np.cumsum([0, *map(len, arrays)], dtype=np.int64)


def open_windows(
    corpus: Corpus,
    unroll: int = 1,
    n_lanes: int = 1,
    lanes: range | None = None,
    seed: int = 0,
    n_classes: int | None = None,
    carry_state: bool = True,
) -> Windows:
    return Windows(
        corpus,
        corpus.classes(corpus.words.first(n_classes or len(corpus.words))),
        partial(corpus.words.character_ids, max_characters=MAX_CHARACTERS),
        seed=seed,
        unroll=unroll,
        n_lanes=n_lanes,
        lanes=range(n_lanes) if lanes is None else lanes,
        carry_state=carry_state,
    )


def lanes_of(corpus: Corpus, window: Window, n_lanes: int) -> list[list[Row]]:
    """The rows of each lane, with words by type again."""
    all_types = np.arange(len(corpus.words))
    types = {row.tobytes(): i for i, row in enumerate(corpus.words.character_ids(all_types, MAX_CHARACTERS))}
    numbers = np.array([types[row.tobytes()] for row in window.ids])
    columns = (*numbers[window.inputs], *window.targets, window.starts)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    return [rows[lane::n_lanes] for lane in range(n_lanes)]


def epoch_of(windows: Windows, epoch: int = 0) -> list[list[Row]]:
    """The rows of each lane, from all windows of an epoch."""
    n_lanes = len(windows.lanes)
    parts = [lanes_of(windows.corpus, windows.window(epoch, k), n_lanes) for k in range(windows.n_windows)]
    return [[row for part in parts for row in part[lane]] for lane in range(n_lanes)]


def passages_of(rows: list[Row]) -> list[tuple[Row, ...]]:
    starts = [i for i, row in enumerate(rows) if row[4]]
    return [tuple(rows[start:end]) for start, end in zip(starts, [*starts[1:], len(rows)], strict=True)]


WORD = st.integers(3, 9)
TEXTS = st.lists(st.lists(st.lists(WORD, min_size=1, max_size=6), min_size=1, max_size=4), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 3))
def test_an_epoch_holds_each_passage_once(texts: Texts, seed: int, epoch: int) -> None:
    (rows,) = epoch_of(open_windows(corpus_of(texts), seed=seed), epoch)
    assert Counter(passages_of(rows)) == Counter(tuple(rows_of(passage)) for passage in texts)


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, block=st.integers(1, 9), n_lanes=st.integers(1, 3), carry_state=st.booleans())
def test_what_a_lane_holds_of_a_passage_does_not_show(
    texts: Texts, block: int, n_lanes: int, carry_state: bool
) -> None:
    corpus = corpus_of([*texts, [[3 + i % 7 for i in range(20)]]])
    wanted = epoch_of(open_windows(corpus, 3, n_lanes, carry_state=carry_state))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows_module, "BLOCK_ROWS", block)
        assert epoch_of(open_windows(corpus, 3, n_lanes, carry_state=carry_state)) == wanted


def test_a_long_sentence_is_not_held_once_a_lane() -> None:
    windows = open_windows(corpus_of([[[3 + i % 7 for i in range(400_000)]]]), 20, 64)
    tracemalloc.start()
    for number in (0, windows.n_windows - 1):
        windows.window(0, number)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6, "64 lanes of all its rows would be 1,024 MB"


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, seed=st.integers(0, 2**63 - 1))
def test_without_carried_state_each_sentence_begins_afresh(texts: Texts, seed: int) -> None:
    """And nothing else is different."""
    corpus = corpus_of(texts)
    (rows,) = epoch_of(open_windows(corpus, seed=seed, carry_state=False))
    (carried,) = epoch_of(open_windows(corpus, seed=seed))
    assert [row[:4] for row in rows] == [row[:4] for row in carried]
    assert [row[4] for row in rows] == [row[0] == 0 for row in rows]


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, unroll=st.integers(1, 5), n_lanes=st.integers(1, 4))
def test_lanes_are_equal_parts_of_the_epoch(texts: Texts, unroll: int, n_lanes: int) -> None:
    """Each from its beginning, in windows without a gap, up to what does not fill a window."""
    corpus = corpus_of(texts)
    n_rows = sum(len(rows_of(passage)) for passage in texts)
    if n_rows < unroll * n_lanes:
        with pytest.raises(CorpusError):
            open_windows(corpus, unroll, n_lanes)
        return
    windows = open_windows(corpus, unroll, n_lanes)
    (whole,) = epoch_of(open_windows(corpus))
    length = n_rows // n_lanes
    assert windows.n_windows == length // unroll
    for lane, rows in enumerate(epoch_of(windows)):
        wanted = whole[lane * length : lane * length + windows.n_windows * unroll]
        # In the middle of a passage, too: a lane has read nothing before.
        assert rows == [(*wanted[0][:4], True), *wanted[1:]]


@settings(max_examples=30, deadline=None)
@given(texts=TEXTS, unroll=st.integers(1, 3), cut=st.integers(1, 3))
def test_lanes_of_two_ranks_are_the_lanes_of_one(texts: Texts, unroll: int, cut: int) -> None:
    corpus = corpus_of([*texts, [[3] * 12]])
    both = epoch_of(open_windows(corpus, unroll, 4))
    first = epoch_of(open_windows(corpus, unroll, 4, range(cut)))
    second = epoch_of(open_windows(corpus, unroll, 4, range(cut, 4)))
    assert both == first + second


def assert_same(found: Window, wanted: Window) -> None:
    for name in ("ids", "inputs", "targets", "starts"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name


NOVEL: Texts = [[[3 + (i * j) % 7 for j in range(1 + i % 5)], [4, 5]] for i in range(40)]


def test_any_window_can_be_had_without_those_before() -> None:
    corpus = corpus_of(NOVEL)
    steady = open_windows(corpus, 3, 4)
    assert steady.n_windows > 5
    places = [(epoch, number) for epoch in range(3) for number in range(steady.n_windows)]
    wanted = {place: steady.window(*place) for place in places}
    jumping = open_windows(corpus, 3, 4)
    for i in np.random.default_rng(0).permutation(len(places)).tolist():
        assert_same(jumping.window(*places[i]), wanted[places[i]])
        assert_same(open_windows(corpus, 3, 4).window(*places[i]), wanted[places[i]])


def test_orders_depend_on_seed_and_epoch_alone() -> None:
    # Every passage has a word of its own, so that orders can be told apart.
    corpus = corpus_of([[[3 + i]] for i in range(50)])
    cases = [(seed, epoch) for seed in (0, 1, 2**40) for epoch in range(3)]
    orders = [str(epoch_of(open_windows(corpus, seed=seed), epoch)) for seed, epoch in cases]
    assert len(set(orders)) == len(cases)
    assert orders == [str(epoch_of(open_windows(corpus, seed=seed), epoch)) for seed, epoch in cases]


def test_shapes_and_types_of_a_window() -> None:
    window = open_windows(corpus_of(NOVEL), 3, 4, range(1, 3)).window(1, 2)
    assert window.inputs.shape == window.targets.shape == (2, 3 * 2)
    assert window.starts.shape == (3 * 2,)
    assert window.starts.dtype == np.bool_
    for array in (window.ids, window.inputs, window.targets):
        assert array.dtype == np.int64
    assert window.ids.shape[1] == MAX_CHARACTERS
    assert len({row.tobytes() for row in window.ids}) == len(window.ids), "each word once"
    assert set(window.inputs.ravel().tolist()) == set(range(len(window.ids))), "and no word that is not read"


def test_targets_outside_the_vocabulary_are_unknown() -> None:
    corpus = corpus_of(NOVEL)
    whole, cut = (open_windows(corpus, 10, 3, n_classes=n).window(0, 1) for n in (len(corpus.words), 6))
    assert set(range(10)) - {2} == set(whole.targets.ravel().tolist())
    assert np.array_equal(cut.targets, np.where(whole.targets >= 6, 2, whole.targets))
    assert np.array_equal(cut.ids[cut.inputs], whole.ids[whole.inputs]), "but they are read by their characters"


def test_words_and_sentence_boundaries_are_read_by_their_characters() -> None:
    corpus = corpus_of(NOVEL)
    window = open_windows(corpus, 4, 2).window(0, 0)
    read = {row.tobytes() for row in window.ids[window.inputs].reshape(-1, MAX_CHARACTERS)}
    known = [*boundary_ids(MAX_CHARACTERS), *word_ids([corpus.words.word(i) for i in range(3, 10)], MAX_CHARACTERS)]
    assert read <= {row.tobytes() for row in known}
    assert {row.tobytes() for row in boundary_ids(MAX_CHARACTERS)} <= read


DOCUMENTS = ["The cat sat on the mat. It didn't move! Why?", "A naïve dog ate.", "日本語 — ok. Yes.", "The end."]


def test_a_corpus_from_files(tmp_path: Path) -> None:
    corpus = make_from(tmp_path, DOCUMENTS, ["The cat."])
    numbers = {corpus.words.word(i): i for i in range(3, len(corpus.words))}
    texts = [[[numbers[word] for word in words] for words in passage] for passage in words_of(corpus, corpus.train)]
    assert [len(passage) for passage in texts] == [3, 1, 2, 1]
    (rows,) = epoch_of(open_windows(corpus))
    assert Counter(passages_of(rows)) == Counter(tuple(rows_of(passage)) for passage in texts)


@pytest.mark.parametrize(("unroll", "n_lanes"), [(9, 1), (1, 9), (3, 3), (5, 2)])
def test_a_corpus_that_does_not_fill_a_window(unroll: int, n_lanes: int) -> None:
    corpus = corpus_of([[[3, 4, 5]], [[6], [7]]])  # 4 + 2 + 2 rows
    with pytest.raises(CorpusError, match=r"its 8 training tokens .* training\.batch_size or training\.unroll"):
        open_windows(corpus, unroll, n_lanes)
    assert open_windows(corpus, 8, 1).n_windows == open_windows(corpus, 1, 8).n_windows == 1

"""What a step is given, made here or ahead by other processes."""

import os
import signal
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from spacy_elmo.corpus.corpus import Corpus
from spacy_elmo.language.sampler import LogUniformSampler
from spacy_elmo.pretraining.batches import Batch, Batches
from spacy_elmo.pretraining.randomness import Purpose, dropout_factors, generator
from spacy_elmo.pretraining.windows import Windows

from .runs import run_here, write_texts

N_CLASSES, LANES, UNROLL, SEED = 30, range(3, 5), 7, 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    output: Path = tmp_path_factory.mktemp("pretrained") / "run"
    run_here(output, {**write_texts(tmp_path_factory.mktemp("texts")), "training.max_steps": 1})
    return Corpus.open(output / "corpus")


def batches_of(corpus: Corpus, dropout: float = 0.0, n_negatives: int = 0) -> Batches:
    classes = corpus.classes(corpus.words.first(N_CLASSES))
    ids = partial(corpus.words.character_ids, max_characters=20)
    windows = Windows(corpus, classes, ids, seed=SEED, unroll=UNROLL, n_lanes=6, lanes=LANES)
    sampler = LogUniformSampler(N_CLASSES, n_negatives) if n_negatives else None
    return Batches(windows, sampler, SEED, dropout, masked_size=12)


def assert_equal(found: Batch, wanted: Batch) -> None:
    for name in ("ids", "inputs", "targets", "starts"):
        assert np.array_equal(getattr(found.window, name), getattr(wanted.window, name)), name
    assert found.negatives is not None
    assert wanted.negatives is not None
    assert np.array_equal(found.negatives.classes, wanted.negatives.classes)
    assert np.array_equal(found.negatives.expected_counts, wanted.negatives.expected_counts)
    assert found.keep is not None
    assert wanted.keep is not None
    assert np.array_equal(found.keep, wanted.keep)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_steps_come_in_order_from_any_on(corpus: Corpus, n_workers: int) -> None:
    """Over the end of an epoch, too."""
    end = batches_of(corpus).windows.n_windows + 3
    found = list(batches_of(corpus, 0.3, 8).of_steps(range(2, end), n_workers))
    assert len(found) == end - 2
    for step, batch in enumerate(found, start=2):
        assert_equal(batch, batches_of(corpus, 0.3, 8)[step])


def test_a_batch_is_that_of_its_step_and_lanes(corpus: Corpus) -> None:
    batches = batches_of(corpus, 0.3, 8)
    batch, windows = batches[9], batches.windows
    assert np.array_equal(batch.window.targets, windows.window(*divmod(9, windows.n_windows)).targets)
    assert batch.negatives is not None
    drawn = LogUniformSampler(N_CLASSES, 8).draw(generator(SEED, 9, Purpose.NEGATIVES))
    assert np.array_equal(batch.negatives.classes, drawn.classes)
    assert batch.keep is not None
    assert np.array_equal(batch.keep, dropout_factors(SEED, 9, LANES, UNROLL, 12, 0.3))


def test_no_dropout_and_no_sampling(corpus: Corpus) -> None:
    batch = batches_of(corpus)[0]
    assert batch.negatives is None
    assert batch.keep is None


def test_signals_to_all_processes_leave_the_batches_coming(corpus: Corpus) -> None:
    """And when the one that trains has had enough, the others end, with most of the batches unmade."""
    wanted = batches_of(corpus, 0.3, 8)
    batches = wanted.of_steps(range(500), n_workers=2)
    for step in range(2):  # one of each process: both are at work
        assert_equal(next(batches), wanted[step])
    workers = active_children()
    assert len(workers) == 2
    for worker in workers:
        assert worker.pid
        os.kill(worker.pid, signal.SIGTERM)
        os.kill(worker.pid, signal.SIGINT)
    for step in range(2, 20):
        assert_equal(next(batches), wanted[step])
    assert all(worker.is_alive() for worker in workers)
    batches.close()
    assert not any(worker.is_alive() for worker in workers)

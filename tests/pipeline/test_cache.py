"""Layers of texts already seen are kept in training, while the biLM is frozen, and nowhere else."""

import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from spacy.language import Language
from thinc.api import fix_random_seed

from spacy_elmo.layers.encoder import bilm_shim

from .helpers import (
    TEXTS,
    Array,
    BiLMRuns,
    assert_same,
    blank,
    elmo_of,
    examples,
    make_optimizer,
    parameters,
    pipeline,
    predictions,
    train,
    update_as_spacy_train,
)


def epochs(nlp: Language, n: int, texts: Sequence[str] = TEXTS) -> list[dict[str, float]]:
    """Batches of two in another order each epoch, from a fixed seed."""
    optimizer, rng = make_optimizer(), np.random.default_rng(0)
    fix_random_seed(0)
    losses = []
    for _ in range(n):
        order = rng.permutation(len(texts))
        for start in range(0, len(texts), 2):
            batch = examples(nlp, [texts[i] for i in order[start : start + 2]])
            losses.append(update_as_spacy_train(nlp, [batch], optimizer))
    return losses


def learned(nlp: Language, name: str) -> dict[str, Array]:
    nodes = enumerate(nlp.get_pipe(name).model.walk())
    return {f"{number} {key}": node.get_param(key) for number, node in nodes for key in node.param_names}


@pytest.mark.parametrize("cache_bytes", [10**6, 2000])
def test_training_is_the_same_with_the_cache_and_without(tiny_source: str, cache_bytes: int) -> None:
    """Also with one that holds only some of the texts: 576 bytes are four tokens."""
    cached = pipeline(tiny_source, "ner", cache_bytes=cache_bytes)
    plain = pipeline(tiny_source, "ner", cache_bytes=0)
    for a, b in zip(epochs(cached, 6), epochs(plain, 6), strict=True):
        assert a["ner"] == pytest.approx(b["ner"], rel=1e-4)
    assert_same(learned(cached, "ner"), learned(plain, "ner"), atol=1e-4)
    assert cached.evaluate(examples(cached))["ents_f"] == plain.evaluate(examples(plain))["ents_f"]
    assert [ents for _, ents, _ in predictions(cached)] == [ents for _, ents, _ in predictions(plain)]


def test_biLM_reads_each_text_once_over_all_epochs(tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(tiny_source, "tagger", "ner", "textcat")
    runs = BiLMRuns(monkeypatch)
    epochs(nlp, 4)
    nlp.evaluate(examples(nlp))
    sentences = [" ".join(sentence) for run in runs.predicted for sentence in run]
    assert sorted(sentences) == sorted(TEXTS)
    assert runs.trained == []


def test_biLM_reads_each_text_each_time_without_the_cache(tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(tiny_source, "ner", cache_bytes=0)
    runs = BiLMRuns(monkeypatch)
    epochs(nlp, 3)
    assert runs.n_sentences == 3 * len(TEXTS)


def test_texts_that_read_the_same_share_an_entry(tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(tiny_source, "tagger")
    runs = BiLMRuns(monkeypatch)
    epochs(nlp, 1, [TEXTS[0], TEXTS[0], TEXTS[0], "new words here", "new words here"])
    found = [" ".join(sentence) for run in runs.predicted for sentence in run]
    assert sorted(found) == sorted([TEXTS[0], "new words here"])


def test_same_words_in_other_rows_are_another_entry(tiny_source: str) -> None:
    """Whitespace and sentence boundaries change where vectors go and what is read together."""
    nlp = pipeline(tiny_source, "tagger")
    elmo = elmo_of(nlp)
    docs = [nlp.make_doc(text) for text in ("a b c d", "a b  c d", "a b c d")]
    docs[2][2].is_sent_start = True
    for _ in range(2):
        layers = elmo.layers_of(docs, is_train=True)
        for array, doc in zip(layers, docs, strict=True):
            np.testing.assert_allclose(array.mean(axis=0), elmo_of(blank(tiny_source))(doc.copy()).tensor, atol=1e-6)
    assert layers[0].shape != layers[1].shape
    assert np.abs(layers[0] - layers[2]).max() > 1e-3


def test_prediction_alone_keeps_nothing(tiny_source: str) -> None:
    nlp = blank(tiny_source)
    list(nlp.pipe(TEXTS))
    nlp(TEXTS[0])
    assert len(elmo_of(nlp)._cache) == 0


def test_prediction_after_training_keeps_nothing_more(tiny_source: str) -> None:
    """A service that trained its pipeline and goes on with it."""
    nlp = pipeline(tiny_source, "ner")
    list(nlp.pipe(TEXTS))
    assert len(elmo_of(nlp)._cache) == 0
    train(nlp, 2)
    kept = elmo_of(nlp)._cache.n_bytes
    assert kept
    for _ in range(3):
        list(nlp.pipe(f"request number {i}" for i in range(20)))
    assert elmo_of(nlp)._cache.n_bytes == kept


def test_texts_of_an_evaluation_are_read_twice_at_most(tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(tiny_source, "ner")
    runs = BiLMRuns(monkeypatch)
    for _ in range(4):
        train(nlp, 1)
        nlp.evaluate(examples(nlp, ["a text to test with"]))
    assert sorted(" ".join(sentence) for run in runs.predicted for sentence in run) == sorted(
        [*TEXTS, *["a text to test with"] * 2]
    )


def test_pickle_carries_neither_the_cache_nor_the_batch(tiny_source: str) -> None:
    """The batch: what the listeners hold of the last one that the pipeline was updated with."""
    nlp = pipeline(tiny_source, "ner")
    update_as_spacy_train(nlp, [examples(nlp)], make_optimizer())
    size = len(pickle.dumps(nlp))
    update_as_spacy_train(nlp, [examples(nlp, [f"text number {i} of many" for i in range(50)])], make_optimizer())
    assert elmo_of(nlp)._cache.n_bytes > 20_000
    assert len(pickle.dumps(nlp)) < size + 5_000


def test_threads_on_a_small_budget(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", cache_bytes=600)
    train(nlp, 1)
    elmo = elmo_of(nlp)
    wanted = [elmo.layers_of([nlp.make_doc(text)], is_train=False)[0].copy() for text in TEXTS]

    def read(seed: int) -> None:
        for i in np.random.default_rng(seed).integers(len(TEXTS), size=20):
            (layers,) = elmo.layers_of([nlp.make_doc(TEXTS[i])], is_train=True)
            np.testing.assert_allclose(layers, wanted[i], atol=1e-6)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))
    assert elmo._cache.n_bytes == sum(array.nbytes for array in elmo._cache._arrays.values()) <= 600


def test_loaded_pipeline_keeps_nothing(tiny_source: str) -> None:
    trained = pipeline(tiny_source, "ner")
    train(trained, 2)
    assert len(elmo_of(trained)._cache) > 0
    nlp = pipeline(tiny_source, "ner", initialize=False).from_bytes(trained.to_bytes())
    list(nlp.pipe(TEXTS))
    assert len(elmo_of(nlp)._cache) == 0


def test_unfrozen_component_keeps_nothing(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "ner", frozen=False)
    train(nlp, 3)
    first = nlp(TEXTS[0]).tensor.copy()
    train(nlp, 3)
    assert np.abs(nlp(TEXTS[0]).tensor - first).max() > 1e-3
    assert len(elmo_of(nlp)._cache) == 0


@pytest.mark.parametrize("way", ["from_bytes", "from_disk"])
def test_weights_that_are_loaded_later_count(tiny_source: str, tmp_path: Path, way: str) -> None:
    other = pipeline(tiny_source, "tagger", frozen=False)
    train(other, 5, learn_rate=0.2)
    nlp = pipeline(tiny_source, "tagger")
    epochs(nlp, 1)
    elmo = elmo_of(nlp)
    docs = [nlp.make_doc(text) for text in TEXTS]
    before = [array.copy() for array in elmo.layers_of(docs, is_train=True)]
    if way == "from_bytes":
        elmo.from_bytes(elmo_of(other).to_bytes())
    else:
        elmo_of(other).to_disk(tmp_path / "elmo")
        elmo.from_disk(tmp_path / "elmo")
    assert_same(parameters(nlp), parameters(other))
    after = elmo.layers_of(docs, is_train=True)
    # In one batch too, for with these weights another one rounds otherwise by more than 1e-6.
    wanted = elmo_of(other).layers_of([other.make_doc(text) for text in TEXTS], is_train=False)
    for found, old, new in zip(after, before, wanted, strict=True):
        assert np.abs(found - old).max() > 1e-3
        np.testing.assert_allclose(found, new, atol=1e-6)
    for doc, other_doc in zip(nlp.pipe(TEXTS), other.pipe(TEXTS), strict=True):
        np.testing.assert_allclose(doc.tensor, other_doc.tensor, atol=1e-6)


def test_never_more_than_the_budget(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", cache_bytes=1500)
    epochs(nlp, 2, [*TEXTS, *(f"text number {i}" for i in range(20)), "a long text " * 20])
    assert 0 < elmo_of(nlp)._cache.n_bytes <= 1500


def test_cached_layers_cannot_be_changed_by_a_listener(tiny_source: str) -> None:
    """They are shared by all epochs."""
    nlp = pipeline(tiny_source, "tagger")
    layers = elmo_of(nlp).layers_of([nlp.make_doc(TEXTS[0])], is_train=True)
    with pytest.raises(ValueError, match="read-only"):
        layers[0] += 1


def test_negative_budget_is_refused(tiny_source: str) -> None:
    with pytest.raises(ValueError, match="-5"):
        blank(tiny_source, cache_bytes=-5)


def test_weights_that_torch_changes_under_the_component_count(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    epochs(nlp, 1)
    elmo = elmo_of(nlp)
    docs = [nlp.make_doc(text) for text in TEXTS]
    before = [array.copy() for array in elmo.layers_of(docs, is_train=True)]
    bilm = bilm_shim(elmo.encoder).bilm
    with torch.no_grad():
        for parameter in bilm.parameters():
            parameter.mul_(0.5)
    after = elmo.layers_of(docs, is_train=True)
    wanted = bilm.embed([[token.text for token in doc] for doc in docs])
    for found, old, new in zip(after, before, wanted, strict=True):
        assert np.abs(found - old).max() > 1e-3
        np.testing.assert_allclose(found, new, atol=1e-6)
    assert len(elmo._cache) == len(set(TEXTS))

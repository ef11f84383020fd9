"""Averaged parameters, with which spaCy evaluates and saves."""

from pathlib import Path

import numpy as np
import pytest
import spacy
from thinc.api import Adam, Optimizer

from spacy_elmo.layers.encoder import bilm_shim

from .helpers import assert_same, elmo_of, examples, parameters, pipeline, train, update_as_spacy_train


def trained_with_averages(source: str, *, frozen: bool) -> tuple[spacy.Language, Optimizer]:
    nlp = pipeline(source, "tagger", frozen=frozen)
    optimizer = Adam(0.02, use_averages=True)
    for _ in range(6):
        update_as_spacy_train(nlp, [examples(nlp)], optimizer)
    return nlp, optimizer


def test_averages_are_swapped_in_and_back(tiny_source: str) -> None:
    nlp, optimizer = trained_with_averages(tiny_source, frozen=False)
    trained, vectors = parameters(nlp), nlp("a b c").tensor.copy()
    shim = bilm_shim(elmo_of(nlp).encoder)
    averages = {name: optimizer.averages[shim.id, name] for name in trained}
    assert any(not np.allclose(averages[name], trained[name], atol=1e-3) for name in trained)
    with nlp.use_params(optimizer.averages):
        assert_same(parameters(nlp), averages)
        assert np.abs(nlp("a b c").tensor - vectors).max() > 1e-3
        averaged = nlp("a b c").tensor.copy()
    assert_same(parameters(nlp), trained)
    np.testing.assert_array_equal(nlp("a b c").tensor, vectors)
    with nlp.use_params(optimizer.averages):
        np.testing.assert_array_equal(nlp("a b c").tensor, averaged)


def test_training_goes_on_after_averages_were_in(tiny_source: str) -> None:
    """An evaluation in the middle changes no step."""
    results = []
    for evaluate in (False, True):
        nlp, optimizer = trained_with_averages(tiny_source, frozen=False)
        if evaluate:
            with nlp.use_params(optimizer.averages):
                list(nlp.pipe(["a b c"]))
        update_as_spacy_train(nlp, [examples(nlp)], optimizer)
        results.append(parameters(nlp))
    assert_same(results[0], results[1], atol=1e-6)


def test_averages_are_what_is_saved_within(tiny_source: str, tmp_path: Path) -> None:
    nlp, optimizer = trained_with_averages(tiny_source, frozen=False)
    with nlp.use_params(optimizer.averages):
        averaged = nlp("a b c").tensor.copy()
        nlp.to_disk(tmp_path)
    np.testing.assert_allclose(spacy.load(tmp_path)("a b c").tensor, averaged, atol=1e-6)


def test_error_within_restores_the_weights(tiny_source: str) -> None:
    nlp, optimizer = trained_with_averages(tiny_source, frozen=False)
    trained = parameters(nlp)
    with pytest.raises(RuntimeError, match="stop"), nlp.use_params(optimizer.averages):
        raise RuntimeError("stop")
    assert_same(parameters(nlp), trained)


def test_frozen_biLM_has_no_averages(tiny_source: str) -> None:
    nlp, optimizer = trained_with_averages(tiny_source, frozen=True)
    weights, vectors = parameters(nlp), nlp("a b c").tensor.copy()
    with nlp.use_params(optimizer.averages):
        assert_same(parameters(nlp), weights)
        np.testing.assert_array_equal(nlp("a b c").tensor, vectors)


def test_no_averages_change_nothing(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", frozen=False)
    train(nlp, 2)
    weights = parameters(nlp)
    with nlp.use_params({}):
        assert_same(parameters(nlp), weights)
    assert_same(parameters(nlp), weights)


def test_frozen_again_reads_the_averages_it_is_given(tiny_source: str) -> None:
    """Cached layers are those of the weights they were computed with."""
    nlp, optimizer = trained_with_averages(tiny_source, frozen=False)
    elmo = elmo_of(nlp)
    elmo.frozen = True
    docs = [nlp.make_doc("a b c")]
    trained = elmo.layers_of(docs, is_train=True)[0].copy()
    with nlp.use_params(optimizer.averages):
        averaged = elmo.layers_of(docs, is_train=True)[0].copy()
    assert np.abs(trained - averaged).max() > 1e-3
    np.testing.assert_allclose(elmo.layers_of(docs, is_train=True)[0], trained, atol=1e-6)

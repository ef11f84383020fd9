"""Pipelines copied in memory: pickle and deepcopy, before and after training."""

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from spacy.language import Language
from thinc.api import Adam

from spacy_elmo.layers.encoder import bilm_shim

from .helpers import (
    assert_same,
    assert_same_predictions,
    blank,
    elmo_listener_of,
    elmo_of,
    examples,
    parameters,
    pipeline,
    predictions,
    train,
    update_as_spacy_train,
)

Duplicate = Callable[[Language], Language]

frozen_or_not = pytest.mark.parametrize("frozen", [True, False])
both_ways = pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda nlp: pickle.loads(pickle.dumps(nlp))], ids=["deepcopy", "pickle"]
)


@both_ways
def test_copy_before_the_weights_are_loaded(tiny_source: str, duplicate: Duplicate) -> None:
    nlp = blank(tiny_source)
    copied = duplicate(nlp)
    np.testing.assert_allclose(copied("a b").tensor, nlp("a b").tensor, atol=1e-6)


@both_ways
@frozen_or_not
def test_copy_after_training_predicts_the_same(tiny_source: str, frozen: bool, duplicate: Duplicate) -> None:
    nlp = pipeline(tiny_source, "tagger", "ner", "textcat", frozen=frozen)
    train(nlp, 15)
    before = predictions(nlp)
    copied = duplicate(nlp)
    assert_same_predictions(predictions(copied), before)
    assert_same_predictions(predictions(nlp), before)


@both_ways
@frozen_or_not
def test_copy_between_update_and_finish_update(tiny_source: str, frozen: bool, duplicate: Duplicate) -> None:
    """The gradient on its way belongs to the original."""
    nlp = pipeline(tiny_source, "ner", frozen=frozen)
    nlp.update(examples(nlp), sgd=False)
    before = predictions(nlp)
    assert_same_predictions(predictions(duplicate(nlp)), before)


@both_ways
def test_listeners_of_the_copy_are_linked_to_its_component(tiny_source: str, duplicate: Duplicate) -> None:
    nlp = pipeline(tiny_source, "tagger", "ner")
    copied = duplicate(nlp)
    for name in ("tagger", "ner"):
        assert elmo_listener_of(copied, name).upstream is copied.get_pipe("elmo")
        assert elmo_of(copied).listener_map[name] == [elmo_listener_of(copied, name)]
        assert elmo_listener_of(nlp, name).upstream is nlp.get_pipe("elmo")


@both_ways
def test_copy_learns_alone(tiny_source: str, duplicate: Duplicate) -> None:
    nlp = pipeline(tiny_source, "ner", frozen=False)
    train(nlp, 2)
    weights, before = parameters(nlp), predictions(nlp)
    copied = duplicate(nlp)
    assert_same(parameters(copied), weights)
    train(copied, 2, learn_rate=0.1)
    assert not np.allclose(copied("Vera likes jam").tensor, nlp("Vera likes jam").tensor, atol=1e-3)
    assert_same(parameters(nlp), weights)
    assert_same_predictions(predictions(nlp), before)


def test_copied_model_of_a_component_goes_on_listening(tiny_source: str) -> None:
    """As `nlp.resume_training` copies models for rehearsal: a biLM is not copied with each."""
    nlp = pipeline(tiny_source, "tagger")
    copied = copy.deepcopy(nlp.get_pipe("tagger").model)
    docs = [nlp.make_doc("Vera likes jam")]
    (found,), (wanted,) = copied.predict(docs), nlp.get_pipe("tagger").model.predict(docs)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("frozen", [True, False])
def test_deepcopy_of_a_component_alone(tiny_source: str, frozen: bool) -> None:
    nlp = pipeline(tiny_source, "ner", frozen=frozen)
    update_as_spacy_train(nlp, [examples(nlp)], Adam(0.01))
    elmo = copy.deepcopy(elmo_of(nlp))
    doc = elmo(nlp.make_doc("a b"))
    np.testing.assert_allclose(doc.tensor, nlp("a b").tensor, atol=1e-6)
    assert bilm_shim(elmo.encoder).bilm is not bilm_shim(elmo_of(nlp).encoder).bilm

"""A frozen biLM gives features: nothing goes back into it, however the pipeline is put together."""

from typing import Any

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
    elmo_listener_of,
    elmo_of,
    examples,
    gradients,
    make_optimizer,
    parameters,
    pipeline,
    spacy_listener,
    train,
    update_as_spacy_train,
)

KINDS = ("tagger", "ner", "textcat")
# Ways of `spacy train` to keep a component as it is.
FREEZING = {
    "by its own key": {},
    "frozen_components": {"exclude": ["elmo"]},
    "frozen_components and annotating_components": {"exclude": ["elmo"], "annotates": ["elmo"]},
    "annotating_components": {"annotates": ["elmo"]},
}


def learned(nlp: Language) -> dict[str, Array]:
    """The parameters of all components but ELMo."""
    found = {}
    for name, component in nlp.pipeline:
        if name != "elmo":
            for number, node in enumerate(component.model.walk()):
                for key in node.param_names:
                    found[f"{name} {number} {key}"] = node.get_param(key).copy()
    return found


def test_parameters_and_vectors_stay_bit_by_bit(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, *KINDS)
    weights, vectors = parameters(nlp), [doc.tensor for doc in nlp.pipe(TEXTS)]
    train(nlp, 10)
    assert_same(parameters(nlp), weights)
    for doc, before in zip(nlp.pipe(TEXTS), vectors, strict=True):
        np.testing.assert_array_equal(doc.tensor, before)


def test_no_gradient_reaches_the_parameters(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, *KINDS)
    train(nlp, 3)
    nlp.update(examples(nlp), sgd=False)
    assert set(map(type, gradients(nlp).values())) == {type(None)}


def test_no_graph_is_built(tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor paid for: the differentiable way of running the biLM is not taken."""
    nlp = pipeline(tiny_source, *KINDS, cache_bytes=0)
    runs = BiLMRuns(monkeypatch)
    recorded = []
    bilm = bilm_shim(elmo_of(nlp).encoder).bilm
    bilm.changed()  # forgets the words seen so far, which it would not compute again
    hook = bilm.char_cnn.register_forward_hook(lambda module, inputs, output: recorded.append(output.requires_grad))
    try:
        train(nlp, 2)
    finally:
        hook.remove()
    assert runs.trained == []
    assert recorded
    assert not any(recorded)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("way", FREEZING)
def test_all_ways_of_freezing_train_the_listeners_alike(tiny_source: str, way: str) -> None:
    """Whether the layers are handed over, found on the Doc, or asked for."""
    updates = FREEZING[way]
    nlp, reference = (pipeline(tiny_source, *KINDS) for _ in range(2))
    weights = parameters(nlp)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(TEXTS)) for _ in range(6)]

    def losses_of(nlp: Language, **update: Any) -> list[dict[str, float]]:
        optimizer, losses = make_optimizer(), []
        fix_random_seed(0)
        for order in orders:
            for half in np.split(order, 2):
                batch = examples(nlp, [TEXTS[i] for i in half])
                losses.append(update_as_spacy_train(nlp, [batch], optimizer, **update))
        return losses

    pairs = zip(losses_of(nlp, **updates), losses_of(reference), strict=True)
    for found, wanted in pairs:
        for kind in KINDS:
            assert found[kind] == pytest.approx(wanted[kind], rel=1e-4)
    assert_same(learned(nlp), learned(reference), atol=1e-4)
    assert_same(parameters(nlp), weights)


@pytest.mark.parametrize("way", [way for way, updates in FREEZING.items() if "exclude" in updates])
def test_unfrozen_component_that_is_excluded_stays_as_it_is(tiny_source: str, way: str) -> None:
    nlp = pipeline(tiny_source, *KINDS, frozen=False)
    weights = parameters(nlp)
    losses, _ = train(nlp, 20, **FREEZING[way])
    assert_same(parameters(nlp), weights)
    assert losses[-1]["tagger"] < 0.5 * losses[0]["tagger"]


def test_spacys_listener_with_frozen_and_annotating_components(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=spacy_listener(12))
    reference = pipeline(tiny_source, "tagger", tok2vec=spacy_listener(12))
    losses, _ = train(nlp, 8, exclude=["elmo"], annotates=["elmo"])
    wanted, _ = train(reference, 8)
    assert [loss["tagger"] for loss in losses] == pytest.approx([loss["tagger"] for loss in wanted], rel=1e-4)


def test_annotating_writes_the_vectors_in_training(tiny_source: str) -> None:
    """For components that read `Doc.tensor` and no listener."""
    nlp = pipeline(tiny_source, "tagger")
    seen = []

    @Language.component("notes_tensors")
    def notes_tensors(doc: Any) -> Any:
        seen.append(doc.tensor.shape)
        return doc

    nlp.add_pipe("notes_tensors", after="elmo")
    nlp.update(examples(nlp), sgd=False, annotates=["elmo", "notes_tensors"])
    assert seen == [(4, 12)] * len(TEXTS)


@pytest.mark.parametrize("annotates", [[], ["elmo"]])
def test_empty_docs_while_excluded(tiny_source: str, annotates: list[str]) -> None:
    nlp = pipeline(tiny_source, *KINDS)
    optimizer = make_optimizer()
    for texts in (["", *TEXTS, ""], [""], ["", ""]):
        losses = update_as_spacy_train(nlp, [examples(nlp, texts)], optimizer, exclude=["elmo"], annotates=annotates)
        assert np.isfinite([losses[kind] for kind in KINDS]).all()


def test_excluded_after_it_was_updated(tiny_source: str) -> None:
    """A batch handed over before must not be taken for the one at hand."""
    nlp = pipeline(tiny_source, "tagger")
    nlp.update(examples(nlp), sgd=False)
    node = elmo_listener_of(nlp, "tagger")
    batch = examples(nlp, TEXTS[::-1])
    nlp.update(batch, sgd=False, exclude=["elmo"])
    docs = [example.predicted for example in batch]
    vectors, _ = node.begin_update(docs)
    for found, doc in zip(vectors, docs, strict=True):
        np.testing.assert_allclose(found, nlp(doc.text).tensor, atol=1e-6)


def test_frozen_is_the_default(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    assert elmo_of(nlp).frozen is True
    assert nlp.config["components"]["elmo"]["frozen"] is True

"""Components taken over from another pipeline with `source`."""

import copy

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.util import load_model_from_config

from .helpers import (
    TEXTS,
    assert_same_predictions,
    elmo_listener_of,
    elmo_of,
    examples,
    listener,
    make_optimizer,
    model_config,
    parameters,
    pipeline,
    predictions,
    right_answers,
    train,
    update_as_spacy_train,
)


@pytest.fixture(scope="module")
def trained(tiny_source: str) -> Language:
    nlp = pipeline(tiny_source, "tagger", "ner")
    train(nlp, 60)
    return nlp


def test_elmo_and_its_listener(trained: Language) -> None:
    source = copy.deepcopy(trained)
    before = predictions(source)
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", source=source)
    nlp.add_pipe("ner", source=source)
    assert elmo_of(nlp).listening_components == ["ner"]
    assert elmo_listener_of(nlp, "ner").upstream is nlp.get_pipe("elmo")
    found = [ents for _, ents, _ in predictions(nlp)]
    assert found == [ents for _, ents, _ in before]
    for doc, other in zip(nlp.pipe(TEXTS), source.pipe(TEXTS), strict=True):
        np.testing.assert_allclose(doc.tensor, other.tensor, atol=1e-6)


def test_elmo_with_a_new_component(trained: Language) -> None:
    source = copy.deepcopy(trained)
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", source=source)
    nlp.add_pipe("ner", name="new", config={"model": model_config("ner", listener())})
    with nlp.select_pipes(disable="elmo"):
        nlp.initialize(lambda: examples(nlp))
    weights = parameters(nlp)
    optimizer = make_optimizer()
    for _ in range(60):
        update_as_spacy_train(nlp, [examples(nlp)], optimizer, exclude=["elmo"])
    assert [ents for _, ents, _ in predictions(nlp)] == [ents for _, ents in right_answers(nlp)]
    for name, array in parameters(nlp).items():
        np.testing.assert_array_equal(array, weights[name])


def test_initialize_keeps_the_weights_of_a_sourced_component(tiny_source: str) -> None:
    """Weights once trained are not replaced by those of the source it was made from."""
    source = pipeline(tiny_source, "tagger", frozen=False)
    train(source, 5)
    weights = parameters(source)
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", source=source)
    nlp.add_pipe("tagger", config={"model": model_config("tagger")})
    nlp.initialize(lambda: examples(nlp))
    for name, array in parameters(nlp).items():
        np.testing.assert_array_equal(array, weights[name])


def test_config_and_bytes_of_a_pipeline_of_sourced_components(trained: Language) -> None:
    source = copy.deepcopy(trained)
    nlp = spacy.blank("xx")
    for name in ("elmo", "ner", "tagger"):
        nlp.add_pipe(name, source=source)
    before = predictions(nlp)
    loaded = load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert_same_predictions(predictions(loaded), before)


def test_sourced_under_another_name(trained: Language) -> None:
    """A listener to '*' follows; what is read is what the component wrote."""
    source = copy.deepcopy(trained)
    before = [ents for _, ents, _ in predictions(source)]
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", name="vectors", source=source)
    nlp.add_pipe("ner", source=source)
    assert [ents for _, ents, _ in predictions(nlp)] == before

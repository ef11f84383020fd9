"""spaCy's own listener, which reads `Doc.tensor`, against the component."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.pipeline.tok2vec import Tok2VecListener

from .helpers import (
    TEXTS,
    assert_same_predictions,
    elmo_config,
    elmo_listener_of,
    elmo_of,
    examples,
    listener,
    model_config,
    parameters,
    pipeline,
    predictions,
    right_answers,
    spacy_listener,
    train,
)

KINDS = ("tagger", "ner", "textcat")
frozen_or_not = pytest.mark.parametrize("frozen", [True, False])


def tok2vec_listener_of(nlp: Language, name: str) -> Tok2VecListener:
    (found,) = (node for node in nlp.get_pipe(name).model.walk() if isinstance(node, Tok2VecListener))
    return found


@frozen_or_not
@pytest.mark.parametrize("upstream", ["*", "elmo"])
def test_training_and_prediction(tiny_source: str, frozen: bool, upstream: str) -> None:
    nlp = pipeline(tiny_source, *KINDS, tok2vec=spacy_listener(12, upstream), frozen=frozen)
    losses, _ = train(nlp, 60)
    for kind in KINDS:
        assert losses[-1][kind] < 0.7 * losses[0][kind]
    assert [ents for _, ents, _ in predictions(nlp)] == [ents for _, ents in right_answers(nlp)]


def test_same_losses_as_our_listener_to_the_average(tiny_source: str) -> None:
    one = pipeline(tiny_source, "tagger", tok2vec=spacy_listener(12))
    other = pipeline(tiny_source, "tagger", tok2vec=listener(output="average"))
    losses = [[loss["tagger"] for loss in train(nlp, 10)[0]] for nlp in (one, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize(("output", "width"), [("average", 12), ("top", 12), (0, 12), ("concat", 36)])
def test_reads_the_output_of_the_component(tiny_source: str, output: str | int, width: int) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=spacy_listener(width), output=output)
    doc = elmo_of(nlp)(nlp.make_doc("a b c"))
    (vectors,) = tok2vec_listener_of(nlp, "tagger").predict([doc])
    assert vectors.shape == (3, width)
    np.testing.assert_array_equal(vectors, doc.tensor)
    losses, _ = train(nlp, 20)
    assert losses[-1]["tagger"] < losses[0]["tagger"]


def test_trains_the_mix_of_the_component(tiny_source: str) -> None:
    """A component of output "mix" has parameters of its own, also while its biLM is frozen."""
    nlp = pipeline(tiny_source, "tagger", tok2vec=spacy_listener(12), output="mix")
    weights = parameters(nlp)
    train(nlp, 10)
    mix = elmo_of(nlp).mix
    assert not np.allclose(mix.get_param("w"), 0, atol=1e-3)
    assert not np.allclose(mix.get_param("gamma"), 1, atol=1e-3)
    for name, array in parameters(nlp).items():
        np.testing.assert_array_equal(array, weights[name])
    doc = nlp("a b c")
    s = np.exp(mix.get_param("w")) / np.exp(mix.get_param("w")).sum()
    layers = elmo_of(nlp).layers_of([doc], is_train=False)[0]
    np.testing.assert_allclose(doc.tensor, mix.get_param("gamma")[0] * np.tensordot(s, layers, axes=1), atol=1e-5)


def test_trained_mix_of_the_component_comes_back_from_bytes(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=spacy_listener(12), output="mix")
    train(nlp, 10)
    loaded = pipeline(tiny_source, "tagger", tok2vec=spacy_listener(12), output="mix", initialize=False)
    loaded.from_bytes(nlp.to_bytes())
    np.testing.assert_array_equal(elmo_of(loaded).mix.get_param("w"), elmo_of(nlp).mix.get_param("w"))
    for found, wanted in zip(loaded.pipe(TEXTS), nlp.pipe(TEXTS), strict=True):
        np.testing.assert_allclose(found.tensor, wanted.tensor, atol=1e-6)


def test_wrong_width_is_refused_by_both_numbers(tiny_source: str) -> None:
    with pytest.raises(ValueError, match=r"width 96, but its upstream 'elmo' gives vectors of width 12"):
        pipeline(tiny_source, "tagger", tok2vec=spacy_listener(96))


def test_side_by_side_with_our_listener(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", initialize=False)
    nlp.add_pipe("ner", config={"model": model_config("ner", spacy_listener(12))})
    nlp.initialize(lambda: examples(nlp))
    losses, _ = train(nlp, 40)
    for kind in ("tagger", "ner"):
        assert losses[-1][kind] < 0.5 * losses[0][kind]


def test_empty_docs_in_training(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, *KINDS, tok2vec=spacy_listener(12))
    for texts in (["", *TEXTS], [""]):
        losses: dict[str, Any] = {}
        nlp.update(examples(nlp, texts), sgd=False, losses=losses)
        assert np.isfinite(list(losses.values())).all()


def test_come_back_from_disk(tiny_source: str, tmp_path: Path) -> None:
    nlp = pipeline(tiny_source, *KINDS, tok2vec=spacy_listener(12))
    train(nlp, 20)
    nlp.to_disk(tmp_path)
    assert_same_predictions(predictions(spacy.load(tmp_path)), predictions(nlp))


def test_two_components_of_different_width(tiny_source: str, other_source: str) -> None:
    """A listener that names its component is no business of the other one."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", name="wide", config=elmo_config(tiny_source))
    nlp.add_pipe("elmo", name="narrow", config=elmo_config(other_source))
    nlp.add_pipe("tagger", config={"model": model_config("tagger", spacy_listener(8, "narrow"))})
    nlp.initialize(lambda: examples(nlp))
    losses, _ = train(nlp, 30)
    assert losses[-1]["tagger"] < 0.8 * losses[0]["tagger"]


def test_any_means_the_nearest_before(tiny_source: str, other_source: str) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", name="wide", config=elmo_config(tiny_source))
    nlp.add_pipe("elmo", name="narrow", config=elmo_config(other_source))
    nlp.add_pipe("tagger", config={"model": model_config("tagger", spacy_listener(8, "*"))})
    nlp.initialize(lambda: examples(nlp))
    losses, _ = train(nlp, 30)
    assert losses[-1]["tagger"] < 0.8 * losses[0]["tagger"]


def test_no_elmo_listener_is_made_of_it(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=spacy_listener(12))
    with pytest.raises(ValueError, match="not enough values to unpack"):
        elmo_listener_of(nlp, "tagger")
    assert elmo_of(nlp).listeners == [tok2vec_listener_of(nlp, "tagger")]

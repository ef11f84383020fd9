"""`nlp.rehearse`, which keeps a trained component near what it was; spaCy shuffles the components' order in it."""

import numpy as np
import pytest
from spacy.language import Language
from thinc.api import fix_random_seed

from .helpers import TEXTS, elmo_of, examples, make_optimizer, parameters, pipeline, train

KINDS = ("textcat", "ner", "tagger")
# Without empty Docs, which spaCy's parser never gets done with in a rehearsal, whatever its tok2vec is.
OTHER_TEXTS = ["Jo likes hot yams", "Vera moved to Paris", "something else entirely"]


def resumed(source: str, *kinds: str, frozen: bool = True) -> Language:
    """A trained pipeline that goes on: from here, rehearsal remembers."""
    nlp = pipeline(source, *kinds, frozen=frozen)
    train(nlp, 20)
    nlp.resume_training(sgd=make_optimizer(0.01))
    return nlp


def scores(nlp: Language) -> list[float]:
    return [doc.cats["HOME"] for doc in nlp.pipe(TEXTS)]


@pytest.mark.parametrize("frozen", [True, False])
def test_rehearsing_many_times(tiny_source: str, frozen: bool) -> None:
    nlp = resumed(tiny_source, *KINDS, frozen=frozen)
    for seed in range(20):
        fix_random_seed(seed)
        losses = nlp.rehearse(examples(nlp, OTHER_TEXTS), losses={})
        assert np.isfinite(list(losses.values())).all()
    assert [doc.tensor.shape for doc in nlp.pipe(TEXTS)] == [(4, 12)] * len(TEXTS)


def test_rehearsal_pulls_the_textcat_back(tiny_source: str) -> None:
    """After it was driven away, towards what it said at the time of `resume_training`."""
    nlp = resumed(tiny_source, "textcat")
    remembered = scores(nlp)
    for example in (data := examples(nlp)):
        example.reference.cats = {label: 1 - value for label, value in example.reference.cats.items()}
    optimizer = make_optimizer(0.05)
    for _ in range(10):
        nlp.update(data, sgd=optimizer)
    driven = scores(nlp)
    assert np.abs(np.subtract(driven, remembered)).mean() > 0.1
    optimizer = make_optimizer(0.05)
    for _ in range(30):
        nlp.rehearse(examples(nlp), sgd=optimizer)
    away, back = (np.abs(np.subtract(found, remembered)).mean() for found in (driven, scores(nlp)))
    assert back < 0.7 * away


def test_rehearsal_between_updates(tiny_source: str) -> None:
    """A rehearsed batch must not be taken for the one that the pipeline is updated with."""
    nlp = resumed(tiny_source, *KINDS)
    optimizer = make_optimizer(0.01)
    losses = []
    for _ in range(10):
        losses.append(nlp.update(examples(nlp), sgd=optimizer, losses={}))
        nlp.rehearse(examples(nlp, OTHER_TEXTS), sgd=optimizer)
    assert losses[-1]["tagger"] < losses[0]["tagger"]


def test_rehearsal_after_an_update_with_the_same_docs(tiny_source: str) -> None:
    nlp = resumed(tiny_source, *KINDS)
    data = examples(nlp)
    nlp.update(data, sgd=False)
    losses = nlp.rehearse(data, losses={})
    assert np.isfinite(list(losses.values())).all()


@pytest.mark.parametrize("frozen", [True, False])
def test_biLM_is_not_rehearsed(tiny_source: str, frozen: bool) -> None:
    nlp = resumed(tiny_source, "textcat", "ner", frozen=frozen)
    before = parameters(nlp)
    nlp.rehearse(examples(nlp))
    for name, array in parameters(nlp).items():
        np.testing.assert_array_equal(array, before[name])
    assert elmo_of(nlp).listening_components == ["textcat", "ner"]

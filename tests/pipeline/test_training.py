"""Components that listen to a frozen ELMo learn, and the biLM runs once for all of them."""

from typing import Any

import numpy as np
import pytest
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

from .helpers import (
    LEARN_RATE,
    TEXTS,
    BiLMRuns,
    elmo_listener_of,
    elmo_of,
    examples,
    listener,
    make_optimizer,
    pipeline,
    predictions,
    right_answers,
    spacy_listener,
    train,
    update_as_spacy_train,
)

KINDS = ("tagger", "ner", "textcat")
frozen_or_not = pytest.mark.parametrize("frozen", [True, False])


def assert_right(nlp: Language) -> None:
    for (tags, ents, cats), (right_tags, right_ents), text in zip(
        predictions(nlp), right_answers(nlp), TEXTS, strict=True
    ):
        assert tags == right_tags
        assert ents == right_ents
        assert (cats["HOME"] > 0.5) == ("moved" in text)


@frozen_or_not
def test_three_components_learn_the_toy_data(tiny_source: str, frozen: bool) -> None:
    nlp = pipeline(tiny_source, *KINDS, frozen=frozen)
    # A biLM trained along at the rate of the heads jumps out of what it has found now and then, to the end.
    losses, _ = train(nlp, 100, LEARN_RATE if frozen else LEARN_RATE / 10)
    for kind in KINDS:
        assert losses[-1][kind] < 0.3 * losses[0][kind]
    assert_right(nlp)


@frozen_or_not
def test_components_learn_by_nlp_update_with_an_optimizer(tiny_source: str, frozen: bool) -> None:
    """The loop that users write, which finishes each component's update before the next one's begins."""
    nlp = pipeline(tiny_source, *KINDS, frozen=frozen)
    optimizer = make_optimizer()
    for _ in range(100):
        nlp.update(examples(nlp), sgd=optimizer)
    assert_right(nlp)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("output", ["mix", "average", "top", 0, "concat"])
def test_tagger_learns_from_any_output(tiny_source: str, output: str | int, layer_norm: bool) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=listener(output=output, layer_norm=layer_norm))
    losses, _ = train(nlp, 60)
    assert losses[-1]["tagger"] < 0.7 * losses[0]["tagger"]


def test_training_with_dropout_in_the_listener(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=listener(dropout=0.2))
    losses, _ = train(nlp, 60)
    assert losses[-1]["tagger"] < 0.7 * losses[0]["tagger"]


def test_each_listener_learns_a_mix_of_its_own(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, *KINDS)
    mixes = [elmo_listener_of(nlp, kind).mix for kind in KINDS]
    for mix in mixes:
        np.testing.assert_array_equal(mix.get_param("w"), 0)
        np.testing.assert_array_equal(mix.get_param("gamma"), 1)
    train(nlp, 10)
    learned = [np.concatenate([mix.get_param("w"), mix.get_param("gamma")]) for mix in mixes]
    for i, values in enumerate(learned):
        assert not np.allclose(values, [0, 0, 0, 1], atol=1e-3)
        assert not any(np.allclose(values, other, atol=1e-4) for other in learned[:i])


def test_frozen_biLM_runs_once_a_batch(tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(tiny_source, *KINDS, cache_bytes=0)
    runs = BiLMRuns(monkeypatch)
    nlp.update(examples(nlp), sgd=False)
    assert runs.predicted == [[text.split() for text in TEXTS]]
    assert runs.trained == []


def test_unfrozen_biLM_runs_once_a_batch(tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(tiny_source, *KINDS, frozen=False)
    runs = BiLMRuns(monkeypatch)
    nlp.update(examples(nlp), sgd=False)
    assert runs.trained == [[text.split() for text in TEXTS]]
    assert runs.predicted == []


@frozen_or_not
def test_biLM_runs_once_a_batch_with_an_optimizer(
    tiny_source: str, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    """Where spaCy finishes the component's update before the listeners' begin."""
    nlp = pipeline(tiny_source, *KINDS, frozen=frozen, cache_bytes=0)
    runs = BiLMRuns(monkeypatch)
    nlp.update(examples(nlp), sgd=make_optimizer())
    assert (runs.predicted if frozen else runs.trained) == [[text.split() for text in TEXTS]]
    assert (runs.trained if frozen else runs.predicted) == []


def test_biLM_runs_once_in_prediction(tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(tiny_source, *KINDS, cache_bytes=0)
    runs = BiLMRuns(monkeypatch)
    assert len(list(nlp.pipe(TEXTS))) == len(TEXTS)
    assert runs.predicted == [[text.split() for text in TEXTS]]


@frozen_or_not
def test_batches_with_empty_docs(tiny_source: str, frozen: bool) -> None:
    texts = ["", *TEXTS, "", " "]
    nlp = pipeline(tiny_source, *KINDS, frozen=frozen)
    optimizer = make_optimizer()
    losses = [update_as_spacy_train(nlp, [examples(nlp, texts)], optimizer) for _ in range(50)]
    for kind in KINDS:
        assert losses[-1][kind] < 0.3 * losses[0][kind]
    for doc in nlp.pipe(["", " "]):
        assert doc.ents == ()


@frozen_or_not
@pytest.mark.parametrize("texts", [[""], ["", "", ""]])
def test_batches_of_empty_docs_alone(tiny_source: str, frozen: bool, texts: list[str]) -> None:
    nlp = pipeline(tiny_source, *KINDS, frozen=frozen)
    train(nlp, 3)
    losses = update_as_spacy_train(nlp, [examples(nlp, texts)], make_optimizer())
    assert losses["elmo"] == 0
    assert np.isfinite(list(losses.values())).all()
    history = train(nlp, 30)[0]
    assert history[-1]["ner"] < 0.3 * history[0]["ner"]


@frozen_or_not
def test_loss_of_the_component_is_the_square_of_what_comes_back(tiny_source: str, frozen: bool) -> None:
    nlp = pipeline(tiny_source, "tagger", frozen=frozen)
    train(nlp, 2)
    losses: dict[str, Any] = {}
    nlp.update(examples(nlp), sgd=False, losses=losses)
    if frozen:
        assert losses["elmo"] == 0
    else:
        gradient = elmo_of(nlp)._gradient
        assert gradient is not None
        assert gradient._sum is not None
        assert losses["elmo"] == pytest.approx(sum(float((array**2).sum()) for array in gradient._sum), rel=1e-5)


@frozen_or_not
def test_a_listener_alone_learns_from_its_own_batch(tiny_source: str, frozen: bool) -> None:
    """Not from the one that the pipeline was updated with last, for which it still holds the layers."""
    nlp = pipeline(tiny_source, "tagger", frozen=frozen)
    nlp.update(examples(nlp), sgd=False)
    node = elmo_listener_of(nlp, "tagger")
    docs = [nlp.make_doc("other words"), nlp.make_doc(""), nlp.make_doc("Vera likes jam")]
    vectors, backprop = node.begin_update(docs)
    for found, doc in zip(vectors, docs, strict=True):
        np.testing.assert_allclose(found, nlp(doc.text).tensor, atol=1e-6)
    assert backprop(vectors) == []


def test_same_words_in_other_docs_are_another_batch(tiny_source: str) -> None:
    """A batch is known by its Docs: the sum of its words, as spaCy's listener has it, is blind to their order."""
    nlp = pipeline(tiny_source, "tagger")
    node, elmo = elmo_listener_of(nlp, "tagger"), elmo_of(nlp)
    one, other = (
        [Doc(nlp.vocab, words=words) for words in texts] for texts in ([["a", "b"], ["c"]], [["c", "b"], ["a"]])
    )
    elmo.update([Example(doc, doc.copy()) for doc in one])
    vectors, _ = node.begin_update(other)
    for found, doc in zip(vectors, other, strict=True):
        np.testing.assert_allclose(found, elmo(doc).tensor, atol=1e-6)


def test_listener_takes_the_batch_it_was_handed(tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(tiny_source, "tagger", cache_bytes=0)
    docs = [nlp.make_doc(text) for text in TEXTS]
    elmo_of(nlp).update([Example(doc, doc.copy()) for doc in docs])
    runs = BiLMRuns(monkeypatch)
    node = elmo_listener_of(nlp, "tagger")
    node.begin_update(docs)
    assert runs.n_sentences == 0
    node.begin_update(docs[:2])
    assert runs.n_sentences == 2


def test_updating_one_component_alone(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, *KINDS)
    train(nlp, 20)
    optimizer = make_optimizer()
    for _ in range(60):
        nlp.get_pipe("ner").update(examples(nlp), sgd=optimizer)
    assert [ents for _, ents, _ in predictions(nlp)] == [ents for _, ents in right_answers(nlp)]


def test_evaluation_between_updates_changes_nothing(tiny_source: str) -> None:
    """As in `spacy train`, which evaluates in the middle of training."""

    def last_losses(evaluate: bool) -> dict[str, float]:
        nlp = pipeline(tiny_source, *KINDS)
        optimizer = make_optimizer(0.01)
        for _ in range(8):
            losses = update_as_spacy_train(nlp, [examples(nlp)], optimizer)
            if evaluate:
                nlp.evaluate(examples(nlp, ["some other words", *TEXTS]))
        return losses

    assert last_losses(True) == pytest.approx(last_losses(False), rel=1e-4)


@pytest.mark.parametrize("tok2vec", [listener(), spacy_listener(12)])
def test_initializing_again_begins_anew(tiny_source: str, tok2vec: dict[str, Any]) -> None:
    """The mixes, too: a listener's own, and the component's where spaCy's listeners train that."""
    nlp = pipeline(tiny_source, "tagger", tok2vec=tok2vec, output="mix")
    mix = elmo_of(nlp).mix if tok2vec == spacy_listener(12) else elmo_listener_of(nlp, "tagger").mix
    losses = []
    for _ in range(2):
        fix_random_seed(0)
        nlp.initialize(lambda: examples(nlp))
        np.testing.assert_array_equal(mix.get_param("w"), 0)
        np.testing.assert_array_equal(mix.get_param("gamma"), 1)
        losses.append([loss["tagger"] for loss in train(nlp, 5)[0]])
        assert np.abs(mix.get_param("gamma") - 1).max() > 1e-3
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)

"""With `frozen = false` the listeners' gradients reach the biLM: all of them, once each."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import SGD, Adam, Optimizer, fix_random_seed

from spacy_elmo.layers.encoder import bilm_shim

from .helpers import (
    TEXTS,
    Array,
    elmo_listener_of,
    elmo_of,
    examples,
    gradients,
    make_optimizer,
    parameters,
    pipeline,
    right_answers,
    spacy_listener,
    train,
    update_as_spacy_train,
)

KINDS = ("tagger", "ner", "textcat")


@Language.factory("seeder")
class Seeder:
    """spaCy's parser draws random numbers in an update; behind this component they are the same ones each time."""

    def __init__(self, nlp: Language, name: str) -> None:
        pass

    def __call__(self, doc: Doc) -> Doc:
        return doc

    def update(self, examples: list[Example], **settings: Any) -> None:
        fix_random_seed(0)


def trained_a_little(source: str, *kinds: str, **settings: Any) -> Language:
    """Past the first step, in which the heads' weights are zeros and give no gradient."""
    nlp = pipeline(source, *kinds, frozen=False, **settings)
    if "ner" in kinds:
        nlp.add_pipe("seeder", before="ner")
    train(nlp, 3)
    return nlp


def gradient_of(
    nlp: Language, subbatches: Sequence[Sequence[str]] = (TEXTS,), exclude: Sequence[str] = ()
) -> dict[str, Array]:
    """What an optimizer is given for the biLM by one step of spaCy's training loop on a copy of the pipeline."""
    nlp = copy.deepcopy(nlp)
    seen: dict[str, Array] = {}
    shim = bilm_shim(elmo_of(nlp).encoder)

    class Notes(Optimizer):
        """Takes note of gradients and changes nothing."""

        def __call__(  # type: ignore[override]
            self, key: Any, weights: Array, gradient: Array, **kwargs: Any
        ) -> tuple[Array, Array]:
            if key[0] == shim.id and key[1] in dict(shim.bilm.named_parameters()):
                seen[key[1]] = gradient.copy()
            return weights, gradient

    batches = [examples(nlp, texts) for texts in subbatches]
    update_as_spacy_train(nlp, batches, Notes(0.0), exclude=exclude)
    return seen


def added(*terms: dict[str, Array]) -> dict[str, Array]:
    return {name: sum(term[name] for term in terms) for name in terms[0]}


def assert_close(found: dict[str, Array], wanted: dict[str, Array]) -> None:
    """Equal to float32 accuracy, relative to the largest entry of each parameter's gradient."""
    assert found.keys() == wanted.keys()
    assert found
    for name, array in found.items():
        scale = max(1e-3, float(np.abs(wanted[name]).max()))
        np.testing.assert_allclose(array, wanted[name], atol=2e-5 * scale, err_msg=name)


def test_parameters_change(tiny_source: str) -> None:
    nlp = trained_a_little(tiny_source, *KINDS)
    before = parameters(nlp)
    train(nlp, 2)
    for name, array in parameters(nlp).items():
        assert not np.array_equal(array, before[name]), name


def test_vectors_change(tiny_source: str) -> None:
    nlp = trained_a_little(tiny_source, "tagger")
    before = nlp(TEXTS[0]).tensor.copy()
    train(nlp, 2)
    assert np.abs(nlp(TEXTS[0]).tensor - before).max() > 1e-3


def test_padding_row_of_the_characters_stays_zero(tiny_source: str) -> None:
    nlp = trained_a_little(tiny_source, "tagger")
    np.testing.assert_array_equal(parameters(nlp)["char_cnn.embedding.weight"][0], 0)


@pytest.mark.parametrize("kinds", [("tagger", "textcat"), KINDS, KINDS[::-1]])
def test_gradient_is_the_sum_over_listeners(tiny_source: str, kinds: tuple[str, ...]) -> None:
    """Each listener's own gradient is that of a step in which the others are frozen."""
    nlp = trained_a_little(tiny_source, *kinds)
    alone = [gradient_of(nlp, exclude=[other for other in kinds if other != kind]) for kind in kinds]
    for gradient in alone:
        assert max(float(np.abs(array).max()) for array in gradient.values()) > 1e-3
    assert_close(gradient_of(nlp), added(*alone))


def test_gradient_of_a_pipeline_with_one_listener(tiny_source: str) -> None:
    """That of a component alone in its pipeline is that of a step in which the others are frozen."""
    both = trained_a_little(tiny_source, "tagger", "textcat")
    alone = copy.deepcopy(both)
    alone.remove_pipe("textcat")
    assert_close(gradient_of(both, exclude=["textcat"]), gradient_of(alone))


def test_gradient_is_that_of_finite_differences(tiny_source: str) -> None:
    """Of the tagger's loss, by one entry of each of some parameters."""
    nlp = trained_a_little(tiny_source, "tagger")
    found = gradient_of(nlp)
    tagger, bilm = nlp.get_pipe("tagger"), bilm_shim(elmo_of(nlp).encoder).bilm
    labels = [tagger.labels.index(token.tag_) for example in examples(nlp) for token in example.reference]

    def loss() -> float:
        """Cross-entropy, the gradient of which is spaCy's softmax minus one-hot. The tagger's scores are logits."""
        scores = np.concatenate(tagger.model.predict([nlp.make_doc(text) for text in TEXTS])).astype(np.float64)
        return float((np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(labels)), labels]).sum())

    step = 5e-3
    for name, parameter in bilm.named_parameters():
        place = np.unravel_index(int(np.abs(found[name]).argmax()), found[name].shape)
        with torch.no_grad():
            before = parameter[place].item()
            parameter[place] = before + step
            above = loss()
            parameter[place] = before - step
            below = loss()
            parameter[place] = before
        assert found[name][place] == pytest.approx((above - below) / (2 * step), rel=0.01, abs=2e-3), name


@pytest.mark.parametrize("kinds", [("tagger",), KINDS])
def test_gradients_accumulate_over_subbatches(tiny_source: str, kinds: tuple[str, ...]) -> None:
    nlp = trained_a_little(tiny_source, *kinds)
    parts = [TEXTS[:2], TEXTS[2:3], ["", TEXTS[4]], [""], TEXTS[3:4] + TEXTS[5:]]
    alone = [gradient_of(nlp, [part]) for part in parts if any(part)]
    assert_close(gradient_of(nlp, parts), added(*alone))


def test_accumulation_with_an_excluded_listener(tiny_source: str) -> None:
    nlp = trained_a_little(tiny_source, *KINDS)
    parts = [TEXTS[:3], TEXTS[3:]]
    for kind in KINDS:
        alone = [gradient_of(nlp, [part], exclude=[kind]) for part in parts]
        assert_close(gradient_of(nlp, parts, exclude=[kind]), added(*alone))


def test_all_listeners_excluded_give_no_gradient(tiny_source: str) -> None:
    nlp = trained_a_little(tiny_source, *KINDS)
    before = parameters(nlp)
    update_as_spacy_train(nlp, [examples(nlp)], make_optimizer(), exclude=KINDS)
    for name, array in parameters(nlp).items():
        np.testing.assert_array_equal(array, before[name])


def test_steps_do_not_leak_into_each_other(tiny_source: str) -> None:
    """A finished update leaves no gradient behind."""
    nlp = trained_a_little(tiny_source, "tagger")
    assert set(map(type, gradients(nlp).values())) == {type(None)}
    before = gradient_of(nlp)
    gradient_of(nlp, [TEXTS[:1]])
    assert_close(gradient_of(nlp), before)


def test_listener_asks_anew_once_the_weights_have_changed(tiny_source: str) -> None:
    """For the same Docs, of which it was handed the layers before."""
    nlp = trained_a_little(tiny_source, "tagger")
    elmo, node = elmo_of(nlp), elmo_listener_of(nlp, "tagger")
    batch = examples(nlp)
    docs = [example.predicted for example in batch]
    elmo.update(batch)
    before, backprop = node.begin_update(docs)
    backprop([np.ones_like(array) for array in before])
    elmo.finish_update(make_optimizer(0.1))
    after, _ = node.begin_update(docs)
    assert np.abs(after[0] - before[0]).max() > 1e-3
    wanted = node.predict([nlp.make_doc(text) for text in TEXTS])
    for found, array in zip(after, wanted, strict=True):
        np.testing.assert_allclose(found, array, atol=1e-6)


def test_spacys_listener_gives_the_same_gradient(tiny_source: str) -> None:
    """The component's average against a mix of equal weights."""
    one = pipeline(tiny_source, "tagger", tok2vec=spacy_listener(12), frozen=False)
    other = pipeline(tiny_source, "tagger", frozen=False)
    rng = np.random.default_rng(0)
    for nlp in (one, other):
        (softmax,) = (node for node in nlp.get_pipe("tagger").model.walk() if node.has_param("W"))
        rng = np.random.default_rng(0)
        softmax.set_param("W", rng.normal(size=softmax.get_param("W").shape).astype(np.float32))
    assert_close(gradient_of(one), gradient_of(other))


def test_nlp_update_with_an_optimizer_trains_the_biLM(tiny_source: str) -> None:
    """spaCy finishes the component's update before the listeners' begin, so that a step may come one batch later; but
    no gradient is lost.
    """
    nlp = trained_a_little(tiny_source, *KINDS)
    before = parameters(nlp)
    optimizer = Adam(0.01)
    for _ in range(3):
        nlp.update(examples(nlp), sgd=optimizer)
    for name, array in parameters(nlp).items():
        assert not np.array_equal(array, before[name]), name


def test_nlp_update_without_an_optimizer_trains_the_biLM(tiny_source: str) -> None:
    nlp = trained_a_little(tiny_source, "tagger")
    before = parameters(nlp)
    for _ in range(3):
        nlp.update(examples(nlp))
    for name, array in parameters(nlp).items():
        assert not np.array_equal(array, before[name]), name


def test_gradient_by_nlp_update_is_that_of_spacys_loop(tiny_source: str) -> None:
    """Of a listener's first batch, applied by the second update at the latest."""
    nlp = trained_a_little(tiny_source, "tagger")
    wanted = {
        name: array - 1e-3 * gradient
        for (name, array), gradient in zip(parameters(nlp).items(), gradient_of(nlp).values(), strict=True)
    }
    # All else stands still, so that both batches have the same gradient.
    optimizer = SGD(1e-3, grad_clip=0.0, L2=0.0)
    nlp.update(examples(nlp), sgd=optimizer, exclude=[])
    nlp.update(examples(nlp, [""]), sgd=optimizer)
    for name, array in parameters(nlp).items():
        np.testing.assert_allclose(array, wanted[name], atol=1e-5, err_msg=name)


def test_unfreezing_helps_to_fit(tiny_source: str) -> None:
    """With a head of its starting capacity, training the biLM too brings the loss further down."""
    losses = {}
    for frozen in (True, False):
        nlp = pipeline(tiny_source, "tagger", frozen=frozen)
        losses[frozen] = train(nlp, 15)[0][-1]["tagger"]
    assert losses[False] < losses[True]


def test_frozen_can_be_changed_on_the_component(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    train(nlp, 3)
    before = parameters(nlp)
    elmo_of(nlp).frozen = False
    train(nlp, 2)
    changed = parameters(nlp)
    assert all(not np.array_equal(changed[name], before[name]) for name in changed)
    elmo_of(nlp).frozen = True
    train(nlp, 2)
    for name, array in parameters(nlp).items():
        np.testing.assert_array_equal(array, changed[name])


def test_prediction_after_training_is_right(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "ner", frozen=False)
    train(nlp, 40)
    found = [[(ent.start, ent.end, ent.label_) for ent in doc.ents] for doc in nlp.pipe(TEXTS)]
    assert found == [ents for _, ents in right_answers(nlp)]


def test_listener_holds_no_gradient_while_predicting(tiny_source: str) -> None:
    nlp = trained_a_little(tiny_source, "tagger")
    node = elmo_listener_of(nlp, "tagger")
    docs = [nlp.make_doc(text) for text in TEXTS]
    vectors = node.predict(docs)
    assert all(isinstance(array, np.ndarray) for array in vectors)
    assert set(map(type, gradients(nlp).values())) == {type(None)}

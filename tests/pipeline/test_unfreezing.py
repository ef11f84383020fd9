"""Fine-tuning step by step."""

import numpy as np
import pytest
import spacy
from spacy.language import Language

from spacy_elmo.layers.encoder import bilm_shim
from spacy_elmo.pipeline.unfreezing import GradualUnfreezing, UnfreezingError

from .helpers import elmo_of, examples, make_optimizer, parameters, pipeline, train, update_as_spacy_train


def changed(nlp: Language, steps: int, callback: GradualUnfreezing) -> set[str]:
    """The parts of the biLM that these steps of a training change."""
    before = parameters(nlp)
    optimizer = make_optimizer()
    for step in range(steps):
        callback(nlp, {"step": step, "epoch": 0})
        update_as_spacy_train(nlp, [examples(nlp)], optimizer)
    names = [name for name, array in parameters(nlp).items() if not np.array_equal(array, before[name])]
    return {".".join(name.split(".")[: 2 if "_layers" in name else 1]) for name in names}


def begun(source: str) -> Language:
    """A pipeline after a first step: before it the tagger's weights are 0, and no gradient comes from them."""
    nlp = pipeline(source, "tagger", frozen=False)
    update_as_spacy_train(nlp, [examples(nlp)], make_optimizer())
    return nlp


@pytest.mark.parametrize(
    ("steps", "parts"),
    [
        (2, {"forward_layers.1", "backward_layers.1"}),
        (3, {"forward_layers.1", "backward_layers.1", "forward_layers.0", "backward_layers.0"}),
        (5, {"forward_layers.1", "backward_layers.1", "forward_layers.0", "backward_layers.0", "char_cnn"}),
    ],
)
def test_layers_join_from_the_top_down(tiny_source: str, steps: int, parts: set[str]) -> None:
    nlp = pipeline(tiny_source, "tagger", frozen=False)
    assert changed(nlp, steps, GradualUnfreezing(every=2)) == parts


def test_all_join_at_once_with_no_steps_between(tiny_source: str) -> None:
    nlp = begun(tiny_source)
    assert len(changed(nlp, 1, GradualUnfreezing(every=0))) == 5


def test_the_rate_is_a_share_of_the_optimizers(tiny_source: str) -> None:
    """Adam's first step is the rate, whatever the gradient's size; each layer further down it has decayed once more."""
    nlp = begun(tiny_source)
    before = parameters(nlp)
    GradualUnfreezing(every=0, rate=0.1, decay=0.5)(nlp, {"step": 0, "epoch": 0})
    optimizer = make_optimizer(0.01)
    optimizer.L2 = 0.0
    update_as_spacy_train(nlp, [examples(nlp)], optimizer)
    after = parameters(nlp)
    for name, rate in (
        ("forward_layers.1.bias", 0.001),
        ("backward_layers.0.bias", 0.0005),
        ("char_cnn.projection.bias", 0.00025),
    ):
        assert np.abs(after[name] - before[name]).max() == pytest.approx(rate, rel=0.02), name


def test_gradients_of_what_has_not_come_do_not_pile_up(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", frozen=False)
    GradualUnfreezing(every=9)(nlp, {"step": 0, "epoch": 0})
    update_as_spacy_train(nlp, [examples(nlp)], make_optimizer())
    assert all(parameter.grad is None for parameter in bilm_shim(elmo_of(nlp).encoder).bilm.parameters())


def test_what_has_not_come_is_trained_after_a_new_beginning_without_the_callback(tiny_source: str) -> None:
    nlp = begun(tiny_source)
    GradualUnfreezing(every=9)(nlp, {"step": 0, "epoch": 0})
    nlp.initialize(lambda: examples(nlp))
    train(nlp, 1)
    before = parameters(nlp)["char_cnn.projection.bias"].copy()
    train(nlp, 1)
    assert not np.array_equal(parameters(nlp)["char_cnn.projection.bias"], before)


@pytest.mark.parametrize("component", ["elmo", "nowhere", "tagger"])
def test_what_is_not_trained_raises(tiny_source: str, component: str) -> None:
    nlp = pipeline(tiny_source, "tagger", frozen=True)
    with pytest.raises(UnfreezingError, match=f"frozen = false in \\[components.{component}\\]"):
        GradualUnfreezing(component)(nlp, {"step": 0, "epoch": 0})


def test_it_is_found_by_its_name() -> None:
    config = {"before_update": {"@callbacks": "spacy-elmo.gradual_unfreezing.v1", "every": 7}}
    assert spacy.registry.resolve(config)["before_update"] == GradualUnfreezing(every=7)


@pytest.mark.parametrize("name", ["every", "rate", "decay"])
def test_negative_settings_are_refused(name: str) -> None:
    """They would train all layers at once, or away from what is right."""
    with pytest.raises(UnfreezingError, match=f"{name} is -1; it is 0 or more"):
        GradualUnfreezing(**{name: -1})

"""`nlp.replace_listeners`: a component gets a biLM of its own, under the mix its listener has learned."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from thinc.api import Model

from spacy_elmo.layers.elmo_model import is_elmo_model
from spacy_elmo.layers.encoder import bilm_shim
from spacy_elmo.layers.listener import ElmoListener
from spacy_elmo.layers.replacing import ReplacementError

from .helpers import (
    Settings,
    assert_same_predictions,
    blank,
    elmo_listener_of,
    elmo_of,
    examples,
    listener,
    make_optimizer,
    model_config,
    parameters,
    pipeline,
    predictions,
    spacy_listener,
    train,
    update_as_spacy_train,
)

CNN: Settings = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "pretrained_vectors": None,
    "width": 8,
    "depth": 1,
    "embed_size": 50,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
}
ENCODER: Settings = {
    "@architectures": "spacy.MaxoutWindowEncoder.v2",
    "width": 12,
    "depth": 1,
    "window_size": 1,
    "maxout_pieces": 2,
}
# Where listeners stand in a component's model.
NESTED = {
    "model.tok2vec": listener(),
    "model.tok2vec.embed": {"@architectures": "spacy.Tok2Vec.v2", "embed": listener(), "encode": ENCODER},
    "model.tok2vec.*.elmo": {"@layers": "concatenate.v1", "*": {"elmo": listener(), "cnn": CNN}},
    "model.tok2vec.*.first.embed": {
        "@layers": "chain.v1",
        "*": {
            "first": {"@architectures": "spacy.Tok2Vec.v2", "embed": listener(), "encode": ENCODER},
            "second": {"@layers": "with_array.v1", "layer": {"@layers": "Linear.v1", "nI": 12, "nO": 10}},
        },
    },
}


def inner_elmo_of(nlp: Language, name: str) -> Model:
    (found,) = (node for node in nlp.get_pipe(name).model.walk() if is_elmo_model(node))
    return found


@pytest.mark.parametrize("kind", ["tagger", "ner", "textcat"])
def test_predictions_stay_and_the_component_can_go(tiny_source: str, kind: str) -> None:
    nlp = pipeline(tiny_source, "tagger", "ner", "textcat")
    train(nlp, 20)
    before = predictions(nlp)
    w = elmo_listener_of(nlp, kind).mix.get_param("w").copy()
    nlp.replace_listeners("elmo", kind, ["model.tok2vec"])
    assert kind not in elmo_of(nlp).listening_components
    _, mix = inner_elmo_of(nlp, kind).layers
    np.testing.assert_array_equal(mix.get_param("w"), w)
    assert_same_predictions(predictions(nlp), before)
    for other in {"tagger", "ner", "textcat"} - {kind}:
        nlp.replace_listeners("elmo", other, ["model.tok2vec"])
    nlp.remove_pipe("elmo")
    assert_same_predictions(predictions(nlp), before)


@pytest.mark.parametrize("named", ["the listener", "all of the tok2vec"])
@pytest.mark.parametrize("path", NESTED)
def test_nested_listeners_come_back_from_disk(tiny_source: str, tmp_path: Path, path: str, named: str) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=NESTED[path])
    train(nlp, 20)
    before = predictions(nlp)
    nlp.replace_listeners("elmo", "tagger", [path if named == "the listener" else "model.tok2vec"])
    assert_same_predictions(predictions(nlp), before)
    nlp.remove_pipe("elmo")
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.pipe_names == ["tagger"]
    assert_same_predictions(predictions(loaded), before)


@pytest.mark.parametrize(
    "settings",
    [
        {"output": "mix"},
        {"output": "average"},
        {"output": "top", "layer_norm": True},
        {"output": 0},
        {"output": "concat", "dropout": 0.1},
    ],
)
def test_settings_of_the_listener_go_into_the_config(tiny_source: str, tmp_path: Path, settings: Settings) -> None:
    """Its output, layer norm and dropout, and not those of the component."""
    nlp = pipeline(tiny_source, "tagger", tok2vec=listener(**settings), output=1)
    train(nlp, 10)
    before = predictions(nlp)
    nlp.replace_listeners("elmo", "tagger", ["model.tok2vec"])
    config = nlp.get_pipe_config("tagger")["model"]["tok2vec"]
    assert config["@architectures"] == "spacy-elmo.ElmoModel.v1"
    assert {key: config[key] for key in settings} == settings
    nlp.remove_pipe("elmo")
    nlp.to_disk(tmp_path)
    assert_same_predictions(predictions(spacy.load(tmp_path)), before)


@pytest.mark.parametrize("output", ["average", "mix", 0])
def test_spacys_listener_gets_the_output_of_the_component(tiny_source: str, tmp_path: Path, output: str | int) -> None:
    nlp = pipeline(tiny_source, "ner", tok2vec=spacy_listener(12), output=output)
    train(nlp, 20)
    before = predictions(nlp)
    nlp.replace_listeners("elmo", "ner", ["model.tok2vec"])
    nlp.remove_pipe("elmo")
    assert_same_predictions(predictions(nlp), before)
    nlp.to_disk(tmp_path)
    assert_same_predictions(predictions(spacy.load(tmp_path)), before)


@pytest.mark.parametrize(
    "paths",
    [
        ["model.tok2vec.*.one", "model.tok2vec.*.cnn"],
        ["model.tok2vec.*.cnn", "model.tok2vec.*.one"],
        ["model.tok2vec", "model.tok2vec"],
    ],
)
def test_paths_without_one_listener_are_refused(tiny_source: str, tmp_path: Path, paths: list[str]) -> None:
    """The right ones are named, and the pipeline is as it was."""
    layers = {"one": listener(output=0), "cnn": CNN, "two": listener(output="top")}
    nlp = pipeline(tiny_source, "tagger", tok2vec={"@layers": "concatenate.v1", "*": layers})
    config, before = nlp.config.to_str(), predictions(nlp)
    with pytest.raises(ReplacementError, match=r"model\.tok2vec\.\*\.one, model\.tok2vec\.\*\.two\.$"):
        nlp.replace_listeners("elmo", "tagger", paths)
    assert nlp.config.to_str() == config
    assert_same_predictions(predictions(nlp), before)
    nlp.replace_listeners("elmo", "tagger", ["model.tok2vec.*.two", "model.tok2vec.*.one"])
    replaced = nlp.get_pipe_config("tagger")["model"]["tok2vec"]["*"]
    assert [replaced[name].get("output") for name in layers] == [0, None, "top"]
    assert_same_predictions(predictions(nlp), before)


def test_two_listeners_in_one_component(tiny_source: str, tmp_path: Path) -> None:
    tok2vec = {"@layers": "concatenate.v1", "*": {"low": listener(output=0), "mix": listener()}}
    nlp = pipeline(tiny_source, "tagger", tok2vec=tok2vec)
    train(nlp, 20)
    before = predictions(nlp)
    nlp.replace_listeners("elmo", "tagger", ["model.tok2vec.*.low", "model.tok2vec.*.mix"])
    nlp.remove_pipe("elmo")
    assert_same_predictions(predictions(nlp), before)
    nlp.to_disk(tmp_path)
    assert_same_predictions(predictions(spacy.load(tmp_path)), before)


def test_listeners_of_a_tok2vec_that_listens_itself(tiny_source: str, tmp_path: Path) -> None:
    """The copy of its model, which spaCy puts into another component, goes on listening."""
    linear = {"@layers": "with_array.v1", "layer": {"@layers": "Linear.v1", "nI": 12, "nO": 10}}
    nlp = blank(tiny_source)
    nlp.add_pipe("tok2vec", config={"model": {"@layers": "chain.v1", "*": {"elmo": listener(), "linear": linear}}})
    nlp.add_pipe("tagger", config={"model": model_config("tagger", spacy_listener(10, "tok2vec"))})
    nlp.initialize(lambda: examples(nlp))
    train(nlp, 20)
    before = predictions(nlp)
    nlp.replace_listeners("tok2vec", "tagger", ["model.tok2vec"])
    nlp.remove_pipe("tok2vec")
    assert elmo_of(nlp).listening_components == ["tagger"]
    assert_same_predictions(predictions(nlp), before)
    nlp.to_disk(tmp_path)
    assert_same_predictions(predictions(spacy.load(tmp_path)), before)


def test_before_anything_was_loaded(tiny_source: str) -> None:
    """As `spacy train` does with `replace_listeners` in its config, before it initializes."""
    nlp = pipeline(tiny_source, "tagger", initialize=False)
    nlp.replace_listeners("elmo", "tagger", ["model.tok2vec"])
    nlp.initialize(lambda: examples(nlp))
    train(nlp, 20)
    assert not any(isinstance(node, ElmoListener) for node in nlp.get_pipe("tagger").model.walk())
    assert nlp.get_pipe("tagger").model.predict([nlp.make_doc("a b")])[0].shape[0] == 2


def test_replaced_frozen_component_trains_on_with_its_biLM_unchanged(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    train(nlp, 3)
    nlp.replace_listeners("elmo", "tagger", ["model.tok2vec"])
    nlp.remove_pipe("elmo")
    encoder, mix = inner_elmo_of(nlp, "tagger").layers
    bilm = bilm_shim(encoder).bilm
    before = {name: p.detach().clone() for name, p in bilm.named_parameters()}
    w = mix.get_param("w").copy()
    losses, _ = train(nlp, 40)
    assert losses[-1]["tagger"] < 0.5 * losses[0]["tagger"]
    assert not np.allclose(mix.get_param("w"), w, atol=1e-3)
    for name, parameter in bilm.named_parameters():
        assert parameter.grad is None
        np.testing.assert_array_equal(parameter.detach().numpy(), before[name].numpy())


def test_replaced_unfrozen_component_trains_its_own_biLM(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", "textcat", frozen=False)
    train(nlp, 3)
    nlp.replace_listeners("elmo", "tagger", ["model.tok2vec"])
    shared = parameters(nlp)
    bilm = bilm_shim(inner_elmo_of(nlp, "tagger").layers[0]).bilm
    before = {name: p.detach().clone().numpy() for name, p in bilm.named_parameters()}
    for name, array in before.items():
        np.testing.assert_array_equal(array, shared[name])
    update_as_spacy_train(nlp, [examples(nlp)], make_optimizer(), exclude=["elmo", "textcat"])
    for name, parameter in bilm.named_parameters():
        assert not np.array_equal(parameter.detach().numpy(), before[name]), name
    for name, array in parameters(nlp).items():
        np.testing.assert_array_equal(array, shared[name])


def test_replaced_unfrozen_component_stays_unfrozen_after_loading(tiny_source: str, tmp_path: Path) -> None:
    nlp = pipeline(tiny_source, "tagger", frozen=False)
    train(nlp, 3)
    nlp.replace_listeners("elmo", "tagger", ["model.tok2vec"])
    nlp.remove_pipe("elmo")
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert inner_elmo_of(loaded, "tagger").attrs["frozen"] is False
    bilm = bilm_shim(inner_elmo_of(loaded, "tagger").layers[0]).bilm
    before = {name: p.detach().clone().numpy() for name, p in bilm.named_parameters()}
    train(loaded, 1)
    for name, parameter in bilm.named_parameters():
        assert not np.array_equal(parameter.detach().numpy(), before[name]), name


def test_biLM_of_the_component_is_not_shared(tiny_source: str) -> None:
    """Training the component afterwards does not reach the replaced listener's copy."""
    nlp = pipeline(tiny_source, "tagger", "ner", frozen=False)
    train(nlp, 3)
    nlp.replace_listeners("elmo", "ner", ["model.tok2vec"])
    ents = [ents for _, ents, _ in predictions(nlp)]
    update_as_spacy_train(nlp, [examples(nlp)] * 3, make_optimizer(0.5), exclude=["ner"])
    assert [ents for _, ents, _ in predictions(nlp)] == ents
    copies = {id(bilm_shim(inner_elmo_of(nlp, "ner").layers[0]).bilm), id(bilm_shim(elmo_of(nlp).encoder).bilm)}
    assert len(copies) == 2


def test_sourcing_with_replace_listeners(tiny_source: str) -> None:
    """What `replace_listeners` in a config section with `source` does."""
    trained = pipeline(tiny_source, "tagger", "ner")
    train(trained, 40)
    trained.replace_listeners("elmo", "ner", ["model.tok2vec"])
    ents = [ents for _, ents, _ in predictions(trained)]
    nlp = spacy.blank("xx")
    nlp.add_pipe("ner", source=trained)
    assert [ents for _, ents, _ in predictions(nlp)] == ents


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("elmo", "tagger", ["model.wrong"]), "model.wrong"),
        (("elmo", "tagger", ["model.tok2vec", "model.tok2vec"]), "1"),
        (("elmo", "nobody", ["model.tok2vec"]), "nobody"),
    ],
)
def test_errors_are_spacys(tiny_source: str, arguments: tuple[Any, ...], message: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    with pytest.raises(ValueError, match=message):
        nlp.replace_listeners(*arguments)


def test_no_paths_replace_nothing(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    nlp.replace_listeners("elmo", "tagger", [])
    assert elmo_of(nlp).listening_components == ["tagger"]


def test_component_of_another_kind_is_refused(tiny_source: str) -> None:
    nlp = blank(tiny_source)
    with pytest.raises(ValueError, match=r"needs a model of the architecture spacy-elmo\.ElmoModel\.v1"):
        nlp.add_pipe("elmo", name="other", config={"model": CNN})
    nlp.add_pipe("tagger", config={"model": model_config("tagger", CNN)})
    assert elmo_of(nlp).listening_components == []

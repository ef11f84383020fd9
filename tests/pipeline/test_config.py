"""Names in the registry, settings in the config, and what is said of wrong ones."""

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.util import load_model_from_config
from thinc.api import Config, ConfigValidationError

from spacy_elmo.augment import create_typos_augmenter
from spacy_elmo.checkpoints import embedded_models
from spacy_elmo.cli import elmo_cli
from spacy_elmo.layers.elmo_model import ElmoModel
from spacy_elmo.layers.encoder import bilm_shim
from spacy_elmo.layers.listener import build_elmo_listener
from spacy_elmo.layers.span_means import SpanMeans
from spacy_elmo.pipeline import make_elmo, make_elmo_similarity
from spacy_elmo.pipeline.frozen import LoadTransformer
from spacy_elmo.pipeline.unfreezing import GradualUnfreezing

from .helpers import (
    TEXTS,
    BiLMRuns,
    Settings,
    assert_same_predictions,
    blank,
    elmo_config,
    elmo_of,
    examples,
    listener,
    model_config,
    pipeline,
    predictions,
    spacy_listener,
    train,
)

TRAINING_CONFIG = """
[nlp]
lang = "xx"
pipeline = ["elmo","tagger","ner"]

[components]

[components.elmo]
factory = "elmo"
frozen = false

[components.elmo.model]
@architectures = "spacy-elmo.ElmoModel.v1"
source = "{source}"

[components.tagger]
factory = "tagger"

[components.tagger.model]
@architectures = "spacy.Tagger.v2"

[components.tagger.model.tok2vec]
@architectures = "spacy-elmo.ElmoListener.v1"
output = "concat"

[components.ner]
factory = "ner"

[components.ner.model]
@architectures = "spacy.TransitionBasedParser.v2"
state_type = "ner"
extra_state_tokens = false
hidden_width = 16
maxout_pieces = 2

[components.ner.model.tok2vec]
@architectures = "spacy-elmo.ElmoListener.v1"
upstream = "elmo"
dropout = 0.1
"""


@pytest.mark.parametrize(
    ("registry", "name", "target"),
    [
        ("architectures", "spacy-elmo.ElmoModel.v1", ElmoModel),
        ("architectures", "spacy-elmo.ElmoListener.v1", build_elmo_listener),
    ],
)
def test_registered_names(registry: str, name: str, target: Callable[..., Any]) -> None:
    assert getattr(spacy.registry, registry).get(name) is target


def test_all_entry_points_load() -> None:
    """Those of this package, whatever else is installed."""
    found = {}
    for group in ("factories", "architectures", "augmenters", "callbacks", "cli", "span_getters"):
        points = [
            point for point in entry_points(group=f"spacy_{group}") if point.dist and point.dist.name == "spacy-elmo"
        ]
        found[group] = {point.name: point.load() for point in points}
    theirs = {name for name in found["span_getters"] if name.startswith("spacy-transformers.")}
    assert found.pop("span_getters").keys() - theirs == {
        "spacy-elmo.first_sentences.v1",
        "spacy-elmo.sampled_sentences.v1",
    }
    assert found == {
        "factories": {"elmo": make_elmo, "elmo_similarity": make_elmo_similarity},
        "architectures": {
            "spacy-elmo.ElmoModel.v1": ElmoModel,
            "spacy-elmo.ElmoListener.v1": build_elmo_listener,
            "spacy-elmo.SpanMeans.v1": SpanMeans,
        },
        "augmenters": {"spacy-elmo.typos.v1": create_typos_augmenter},
        "callbacks": {
            "spacy-elmo.gradual_unfreezing.v1": GradualUnfreezing,
            "spacy-elmo.load_transformer.v1": LoadTransformer,
        },
        "cli": {"elmo": elmo_cli},
    }


def test_default_config_is_complete() -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo")
    assert nlp.get_pipe_config("elmo") == {
        "factory": "elmo",
        "frozen": True,
        "keep_layers": False,
        "cache_bytes": 1_000_000_000,
        "model": {
            "@architectures": "spacy-elmo.ElmoModel.v1",
            "source": None,
            "precision": "float32",
            "get_spans": None,
            "output": "average",
            "layer_norm": False,
            "dropout": 0.0,
            "l2": 0.0,
        },
    }


def test_part_of_the_model_section_is_enough(tiny_source: str) -> None:
    """The rest comes from the defaults."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", config={"model": {"source": tiny_source, "output": "concat"}})
    assert nlp("a b").tensor.shape == (2, 36)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"freeze": True}, "freeze"),
        ({"frozen": "perhaps"}, "frozen"),
        ({"cache_bytes": "many"}, "cache_bytes"),
        ({"model": {"@architectures": "spacy-elmo.ElmoModel.v1", "sauce": "en_elmo_sm"}}, "sauce"),
        ({"model": {"@architectures": "spacy-elmo.ElmoModel.v1", "dropout": "high"}}, "dropout"),
        ({"model": {"@architectures": "spacy-elmo.ElmoModel.v1", "output": [1]}}, "output"),
    ],
)
def test_wrong_key_or_type_is_named(settings: Settings, key: str) -> None:
    with pytest.raises(ConfigValidationError) as error:
        spacy.blank("xx").add_pipe("elmo", config=settings)
    assert key in str(error.value)


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"widht": 12}, "widht"), ({"upstream": None}, "upstream"), ({"layer_norm": "x"}, "layer_norm")],
)
def test_wrong_key_or_type_of_a_listener_is_named(tiny_source: str, settings: Settings, key: str) -> None:
    nlp = blank(tiny_source)
    with pytest.raises(ConfigValidationError) as error:
        nlp.add_pipe("tagger", config={"model": model_config("tagger", listener(**settings))})
    assert key in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output": "bottom"}, "mix, average, top, concat"),
        ({"dropout": 1.5}, "from 0 to below 1"),
        ({"precision": "float64"}, "float32, bfloat16"),
    ],
)
def test_wrong_value_is_named_with_the_right_ones(tiny_source: str, settings: Settings, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        blank(tiny_source, **settings)("the precision is looked at when the weights load")
    (value,) = settings.values()
    assert repr(value) in str(error.value)


def test_layer_that_the_model_has_not(tiny_source: str) -> None:
    with pytest.raises(ValueError, match="layers 0 to 2, and no layer 7"):
        blank(tiny_source, output=7)("a b")


def test_source_that_names_nothing_is_an_error_at_first_use() -> None:
    nlp = blank("no_such_elmo")
    with pytest.raises(ValueError, match="'no_such_elmo' names no ELMo model") as error:
        nlp("a b")
    assert embedded_models() == ["en_elmo_sm", "ja_elmo_sm"]
    assert "en_elmo_sm" in str(error.value)


def test_source_that_names_nothing_is_an_error_at_initialize() -> None:
    nlp = blank("no_such_elmo")
    nlp.add_pipe("tagger", config={"model": model_config("tagger")})
    with pytest.raises(ValueError, match="'no_such_elmo' names no ELMo model"):
        nlp.initialize(lambda: examples(nlp))


@pytest.mark.parametrize("tok2vec", [listener(), listener(output="concat", layer_norm=True), spacy_listener(12)])
def test_config_builds_the_same_pipeline(tiny_source: str, tok2vec: Settings) -> None:
    nlp = pipeline(tiny_source, "tagger", "ner", tok2vec=tok2vec)
    train(nlp, 10)
    config = Config().from_str(nlp.config.to_str())
    rebuilt = load_model_from_config(config)
    assert rebuilt.config["components"] == nlp.config["components"]
    assert rebuilt.pipe_names == nlp.pipe_names
    assert_same_predictions(predictions(rebuilt.from_bytes(nlp.to_bytes())), predictions(nlp))


def test_training_config_fills_initializes_and_trains(tiny_source: str) -> None:
    config = Config().from_str(TRAINING_CONFIG.replace("{source}", tiny_source))
    nlp = load_model_from_config(config, auto_fill=True)
    assert nlp.config["components"]["ner"]["model"]["tok2vec"] == {
        "@architectures": "spacy-elmo.ElmoListener.v1",
        "upstream": "elmo",
        "width": None,
        "output": "mix",
        "layer_norm": False,
        "dropout": 0.1,
        "l2": 0.0,
    }
    nlp.initialize(lambda: examples(nlp))
    losses, _ = train(nlp, 20)
    assert losses[-1]["tagger"] < losses[0]["tagger"]
    assert losses[-1]["ner"] < losses[0]["ner"]


def test_model_of_the_component_inside_a_tagger(
    tiny_source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ElmoModel as a tok2vec of its own: the tagger trains, its biLM stays, and it is saved with it."""
    tok2vec = {**elmo_config(tiny_source)["model"], "output": "mix"}
    nlp = spacy.blank("xx")
    nlp.add_pipe("tagger", config={"model": model_config("tagger", tok2vec)})
    nlp.initialize(lambda: examples(nlp))
    (encoder,) = (node for node in nlp.get_pipe("tagger").model.walk() if node.name == "bilm_encoder")
    bilm = bilm_shim(encoder).bilm
    before = {name: p.detach().clone().numpy() for name, p in bilm.named_parameters()}
    runs = BiLMRuns(monkeypatch)
    losses, _ = train(nlp, 60)
    assert runs.trained == []
    assert losses[-1]["tagger"] < 0.3 * losses[0]["tagger"]
    for name, parameter in bilm.named_parameters():
        assert parameter.grad is None
        np.testing.assert_array_equal(parameter.detach().numpy(), before[name])
    nlp.to_disk(tmp_path)
    assert_same_predictions(predictions(spacy.load(tmp_path)), predictions(nlp))


def test_model_inside_a_tagger_learns_as_a_listener_does(tiny_source: str) -> None:
    tok2vec = {**elmo_config(tiny_source)["model"], "output": "mix"}
    inline = pipeline(tiny_source, "tagger", tok2vec=tok2vec)
    listening = pipeline(tiny_source, "tagger")
    losses = [[loss["tagger"] for loss in train(nlp, 8)[0]] for nlp in (inline, listening)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_source_may_be_a_pair_of_paths_in_the_config(tiny_source: str) -> None:
    """Taken as it is; what it means is seen at first use."""
    nlp = blank(["options.json", "weights.hdf5"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"options\.json: no such file"):
        nlp("a b")


def test_component_knows_its_labels_are_none(tiny_source: str) -> None:
    elmo = elmo_of(blank(tiny_source))
    with pytest.raises(NotImplementedError, match="no labels"):
        elmo.add_label("X")
    with pytest.raises(NotImplementedError, match="no loss of its own"):
        elmo.get_loss([], [])


def test_initialize_needs_examples(tiny_source: str) -> None:
    with pytest.raises(TypeError, match=r"Elmo\.initialize"):
        elmo_of(blank(tiny_source)).initialize(lambda: ["no example"])  # type: ignore[list-item]


def test_texts_of_the_toy_data_have_one_token_a_word() -> None:
    """On which tests that compare with `BiLM.embed` of split texts rely."""
    nlp = spacy.blank("xx")
    assert [[token.text for token in nlp.make_doc(text)] for text in TEXTS] == [text.split() for text in TEXTS]

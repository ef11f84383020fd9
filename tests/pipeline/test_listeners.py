"""Which component a listener listens to, how wide its vectors are, and what it reads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.training import Example

from spacy_elmo import load_bilm

from .helpers import (
    TEXTS,
    Array,
    assert_same_predictions,
    blank,
    elmo_config,
    elmo_listener_of,
    elmo_of,
    examples,
    listener,
    make_optimizer,
    model_config,
    pipeline,
    predictions,
    right_answers,
    train,
    update_as_spacy_train,
)

ATOL = 1e-6


def two_elmos(tiny_source: str, other_source: str, **listeners: dict[str, Any]) -> Language:
    """Components "wide" (12) and "narrow" (8), and taggers by name with a listener each."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", name="wide", config=elmo_config(tiny_source))
    nlp.add_pipe("elmo", name="narrow", config=elmo_config(other_source))
    for name, settings in listeners.items():
        nlp.add_pipe("tagger", name=name, config={"model": model_config("tagger", settings)})
    return nlp


def by_hand(source: str, text: str) -> Array:
    """The average of all layers, which is what a mix starts as."""
    return load_bilm(source, "cpu").embed([text.split()])[0].mean(axis=0)


def read(nlp: Language, component: str, text: str) -> Array:
    """What the listener of a component gives for a text."""
    (vectors,) = elmo_listener_of(nlp, component).predict([nlp.make_doc(text)])
    return vectors


@pytest.mark.parametrize("upstream", ["*", "elmo"])
def test_listens_to_the_component_by_name_or_to_any(tiny_source: str, upstream: str) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=listener(upstream=upstream))
    assert elmo_of(nlp).listening_components == ["tagger"]
    np.testing.assert_allclose(read(nlp, "tagger", "a b c"), by_hand(tiny_source, "a b c"), atol=ATOL)


def test_two_components_feed_a_listener_each(tiny_source: str, other_source: str) -> None:
    nlp = two_elmos(tiny_source, other_source, one=listener(upstream="wide"), two=listener(upstream="narrow"))
    nlp.initialize(lambda: examples(nlp))
    assert elmo_of(nlp, "wide").listening_components == ["one"]
    assert elmo_of(nlp, "narrow").listening_components == ["two"]
    np.testing.assert_allclose(read(nlp, "one", "a b c"), by_hand(tiny_source, "a b c"), atol=ATOL)
    np.testing.assert_allclose(read(nlp, "two", "a b c"), by_hand(other_source, "a b c"), atol=ATOL)
    doc = nlp("a b c")
    np.testing.assert_allclose(doc.tensor, by_hand(other_source, "a b c"), atol=ATOL)
    np.testing.assert_allclose(doc[1]._.elmo, by_hand(other_source, "a b c")[1], atol=ATOL)
    losses, _ = train(nlp, 30)
    for name in ("one", "two"):
        assert losses[-1][name] < 0.7 * losses[0][name]


def test_listener_may_listen_past_a_nearer_component(tiny_source: str, other_source: str) -> None:
    """The vectors of the one stay on the Doc while the other runs."""
    nlp = two_elmos(tiny_source, other_source, one=listener(upstream="wide"))
    nlp.initialize(lambda: examples(nlp))
    train(nlp, 30)
    before = predictions(nlp)
    nlp.remove_pipe("narrow")
    assert_same_predictions(predictions(nlp), before)


def test_any_means_the_nearest_before(tiny_source: str, other_source: str) -> None:
    nlp = two_elmos(tiny_source, other_source, tagger=listener(upstream="*"))
    nlp.initialize(lambda: examples(nlp))
    assert elmo_listener_of(nlp, "tagger").upstream is nlp.get_pipe("narrow")
    assert [elmo_of(nlp, name).listening_components for name in ("wide", "narrow")] == [[], ["tagger"]]
    np.testing.assert_allclose(read(nlp, "tagger", "a b c"), by_hand(other_source, "a b c"), atol=ATOL)
    losses, _ = train(nlp, 30)
    assert losses[-1]["tagger"] < 0.7 * losses[0]["tagger"]


def test_any_means_the_nearest_before_though_others_have_run(tiny_source: str, other_source: str) -> None:
    nlp = two_elmos(tiny_source, other_source)
    nlp("both have loaded their weights")
    nlp.add_pipe("tagger", config={"model": model_config("tagger")})
    nlp.initialize(lambda: examples(nlp))
    np.testing.assert_allclose(read(nlp, "tagger", "a b c"), by_hand(other_source, "a b c"), atol=ATOL)


def test_any_between_two_components(tiny_source: str, other_source: str) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", name="wide", config=elmo_config(tiny_source))
    nlp.add_pipe("tagger", name="one", config={"model": model_config("tagger")})
    nlp.add_pipe("elmo", name="narrow", config=elmo_config(other_source))
    nlp.add_pipe("tagger", name="two", config={"model": model_config("tagger")})
    nlp.initialize(lambda: examples(nlp))
    np.testing.assert_allclose(read(nlp, "one", "a b"), by_hand(tiny_source, "a b"), atol=ATOL)
    np.testing.assert_allclose(read(nlp, "two", "a b"), by_hand(other_source, "a b"), atol=ATOL)


def test_two_components_come_back_from_disk(tiny_source: str, other_source: str, tmp_path: Path) -> None:
    nlp = two_elmos(tiny_source, other_source, one=listener(upstream="wide"), two=listener(upstream="*"))
    nlp.initialize(lambda: examples(nlp))
    train(nlp, 20)
    before = [doc.to_json() for doc in nlp.pipe(TEXTS)]
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert [doc.to_json() for doc in loaded.pipe(TEXTS)] == before


def test_width_is_known_after_initialize(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", initialize=False)
    node = elmo_listener_of(nlp, "tagger")
    assert node.has_dim("nO") is None
    nlp.initialize(lambda: examples(nlp))
    assert node.get_dim("nO") == 12
    (softmax,) = (node for node in nlp.get_pipe("tagger").model.walk() if node.has_param("W"))
    assert softmax.get_dim("nI") == 12


@pytest.mark.parametrize(("output", "width"), [("mix", 12), ("top", 12), (0, 12), ("concat", 36)])
def test_width_depends_on_the_output(tiny_source: str, output: str | int, width: int) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=listener(output=output, width=width))
    assert elmo_listener_of(nlp, "tagger").get_dim("nO") == width


def test_width_is_known_at_once_where_the_weights_are_loaded(tiny_source: str) -> None:
    nlp = blank(tiny_source)
    nlp("first use")
    nlp.add_pipe("ner", config={"model": model_config("ner")})
    nlp.initialize(lambda: examples(nlp))
    assert elmo_listener_of(nlp, "ner").get_dim("nO") == 12


@pytest.mark.parametrize("kind", ["tagger", "ner"])
def test_wrong_width_is_refused_by_both_numbers(tiny_source: str, kind: str) -> None:
    with pytest.raises(ValueError, match=r"width 100 .* 'elmo' gives vectors of width 12"):
        pipeline(tiny_source, kind, tok2vec=listener(width=100))


def test_wrong_width_is_refused_where_the_weights_are_loaded(tiny_source: str) -> None:
    nlp = blank(tiny_source)
    nlp("first use")

    def add_and_initialize() -> None:
        nlp.add_pipe("tagger", config={"model": model_config("tagger", listener(width=100))})
        nlp.initialize(lambda: examples(nlp))

    with pytest.raises(ValueError, match=r"width 100 .* 'elmo' gives vectors of width 12"):
        add_and_initialize()


@pytest.mark.parametrize(("upstream", "named"), [("*", "no 'elmo' component"), ("elmo2", "no component 'elmo2'")])
def test_no_upstream_is_an_error_that_names_it(upstream: str, named: str) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("tagger", config={"model": model_config("tagger", listener(upstream=upstream))})
    with pytest.raises(ValueError, match=named):
        nlp.initialize(lambda: examples(nlp))
    with pytest.raises(ValueError, match=named):
        nlp.get_pipe("tagger").model.predict([nlp.make_doc("a b")])


def test_upstream_after_the_listener_does_not_count(tiny_source: str) -> None:
    nlp = blank(tiny_source)
    nlp.add_pipe("tagger", first=True, config={"model": model_config("tagger")})
    with pytest.raises(ValueError, match="before the component that listens"):
        nlp.initialize(lambda: examples(nlp))


def test_upstream_of_another_name_is_an_error(tiny_source: str) -> None:
    with pytest.raises(ValueError, match="no component 'other'"):
        pipeline(tiny_source, "tagger", tok2vec=listener(upstream="other"))


@pytest.mark.parametrize(
    ("output", "choose"),
    [
        ("mix", lambda layers: layers.mean(axis=0)),
        ("average", lambda layers: layers.mean(axis=0)),
        ("top", lambda layers: layers[-1]),
        (0, lambda layers: layers[0]),
        (-2, lambda layers: layers[1]),
        ("concat", lambda layers: np.concatenate(list(layers), axis=1)),
    ],
)
def test_output_chooses_layers(tiny_source: str, output: str | int, choose: Callable[[Array], Array]) -> None:
    """Whatever output the component itself has."""
    nlp = pipeline(tiny_source, "tagger", tok2vec=listener(output=output), output="top")
    layers = load_bilm(tiny_source, "cpu").embed([["a", "b", "c"]])[0]
    np.testing.assert_allclose(read(nlp, "tagger", "a b c"), choose(layers), atol=ATOL)


def test_layer_that_is_not_there_is_an_error(tiny_source: str) -> None:
    with pytest.raises(ValueError, match="layers 0 to 2, and no layer 3"):
        pipeline(tiny_source, "tagger", tok2vec=listener(output=3))


def test_listener_reads_what_is_on_the_doc(tiny_source: str) -> None:
    """And not the tensor, which others may overwrite."""
    nlp = pipeline(tiny_source, "tagger")
    doc = elmo_of(nlp)(nlp.make_doc("a b c"))
    node = elmo_listener_of(nlp, "tagger")
    expected = node.predict([doc])[0].copy()
    doc.tensor = np.zeros((3, 12), dtype=np.float32)
    np.testing.assert_array_equal(node.predict([doc])[0], expected)


def test_predicting_without_the_component_gives_the_same(tiny_source: str) -> None:
    """A listener asks for what it does not find."""
    nlp = pipeline(tiny_source, "tagger", "ner", "textcat")
    train(nlp, 40)
    before = predictions(nlp)
    with nlp.select_pipes(disable="elmo"):
        assert nlp.pipe_names == ["tagger", "ner", "textcat"]
        assert_same_predictions(predictions(nlp), before)
    assert_same_predictions(predictions(nlp), before)


def test_disabling_components_and_enabling_them_again(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", "ner")
    train(nlp, 40)
    before = predictions(nlp)
    nlp.disable_pipe("tagger")
    assert [ents for _, ents, _ in predictions(nlp)] == [ents for _, ents, _ in before]
    nlp.enable_pipe("tagger")
    assert_same_predictions(predictions(nlp), before)


def test_pipeline_loaded_without_the_component(tiny_source: str, tmp_path: Path) -> None:
    nlp = pipeline(tiny_source, "tagger", "ner")
    train(nlp, 40)
    nlp.to_disk(tmp_path)
    before = predictions(nlp)
    disabled = spacy.load(tmp_path, disable=["elmo"])
    assert_same_predictions(predictions(disabled), before)
    without_tagger = spacy.load(tmp_path, exclude=["tagger"])
    assert [ents for _, ents, _ in predictions(without_tagger)] == [ents for _, ents, _ in before]


def test_empty_docs_in_prediction(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", "ner", "textcat")
    train(nlp, 70)
    docs = list(nlp.pipe(["", *TEXTS, " ", ""]))
    expected = [ents for _, ents in right_answers(nlp)]
    assert [[(ent.start, ent.end, ent.label_) for ent in doc.ents] for doc in docs[1:-2]] == expected
    for doc in (docs[0], *docs[-2:]):
        assert doc.ents == ()
        assert set(doc.cats) == {"HOME", "MEAL"}


def test_component_applied_by_hand(tiny_source: str) -> None:
    """Not through `nlp`: the listener finds nothing on the Doc and asks."""
    nlp = pipeline(tiny_source, "ner")
    train(nlp, 70)
    doc = nlp.get_pipe("ner")(nlp.make_doc(TEXTS[0]))
    assert [(ent.start, ent.end, ent.label_) for ent in doc.ents] == right_answers(nlp)[0][1]


def test_removing_and_renaming(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", "ner")
    nlp.remove_pipe("tagger")
    assert elmo_of(nlp).listening_components == ["ner"]
    nlp.rename_pipe("ner", "entities")
    assert elmo_of(nlp).listening_components == ["entities"]


def test_two_listeners_in_one_component(tiny_source: str) -> None:
    """Of different outputs, side by side."""
    tok2vec = {"@layers": "concatenate.v1", "*": {"low": listener(output=0), "mix": listener()}}
    nlp = pipeline(tiny_source, "tagger", tok2vec=tok2vec, frozen=False)
    assert len(elmo_of(nlp).listener_map["tagger"]) == 2
    losses, _ = train(nlp, 30)
    assert losses[-1]["tagger"] < 0.7 * losses[0]["tagger"]


def test_adding_a_listener_to_a_trained_pipeline(tiny_source: str) -> None:
    """The new one is trained alone, while the rest stays as it is."""
    nlp = pipeline(tiny_source, "tagger")
    train(nlp, 40)
    tags = [tags for tags, _, _ in predictions(nlp)]
    nlp.add_pipe("ner", config={"model": model_config("ner")})
    with nlp.select_pipes(disable="tagger"):
        nlp.get_pipe("ner").initialize(lambda: examples(nlp), nlp=nlp)
        optimizer = make_optimizer()
        for _ in range(70):
            update_as_spacy_train(nlp, [examples(nlp)], optimizer)
    assert [tags for tags, _, _ in predictions(nlp)] == tags
    assert [ents for _, ents, _ in predictions(nlp)] == [ents for _, ents in right_answers(nlp)]


def test_update_of_the_component_with_examples_that_are_none(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    with pytest.raises(TypeError, match=r"Elmo\.update"):
        elmo_of(nlp).update(["not an example"])  # type: ignore[list-item]
    assert elmo_of(nlp).update([]) == {"elmo": 0.0}
    doc = nlp.make_doc("a b")
    assert elmo_of(nlp).update(iter([Example(doc, doc.copy())])) == {"elmo": 0.0}

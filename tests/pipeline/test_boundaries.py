"""Which sentence boundaries count: those that a Doc has when the component's turn comes, for all who read it again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from spacy_elmo import BiLM
from spacy_elmo.layers.elmo_model import is_elmo_model
from spacy_elmo.layers.listener import ElmoListener

from .helpers import (
    Array,
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

TEXT = "a b . c d ."
WORDS = TEXT.split()


def between(source: str, *, tok2vec: dict | None = None, **settings: object) -> Language:
    """A tagger, and before it a sentencizer that comes after "elmo"."""
    nlp = blank(source, **settings)
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("tagger", config={"model": model_config("tagger", tok2vec)})
    nlp.initialize(lambda: examples(nlp))
    return nlp


def whole(bilm: BiLM) -> Array:
    """What is right: `TEXT` read as one."""
    return bilm.embed([WORDS])[0].mean(axis=0)


def split(bilm: BiLM) -> Array:
    """What would be wrong: by the sentencizer's boundaries."""
    return np.concatenate(bilm.embed([WORDS[:3], WORDS[3:]]), axis=1).mean(axis=0)


def tagger_inputs(nlp: Language, run: Callable[[], object]) -> list[Array]:
    """What the tagger's tok2vec gives, whatever it is, while something runs."""
    found: list[Array] = []
    tok2vec = nlp.get_pipe("tagger").model.get_ref("tok2vec")
    forward = tok2vec._func

    def noting(model: object, docs: list[Doc], is_train: bool) -> object:
        vectors, backprop = forward(model, docs, is_train)
        found.extend(np.array(array) for array in vectors)
        return vectors, backprop

    tok2vec._func = noting
    try:
        run()
    finally:
        tok2vec._func = forward
    return found


def assert_reads_whole(nlp: Language, bilm: BiLM, run: Callable[[], object]) -> None:
    inputs = tagger_inputs(nlp, run)
    assert inputs
    for array in inputs:
        np.testing.assert_allclose(array, whole(bilm), atol=1e-5)


def test_the_two_readings_differ(tiny_bilm: BiLM) -> None:
    assert np.abs(whole(tiny_bilm) - split(tiny_bilm)).max() > 0.1


@pytest.mark.parametrize("tok2vec", [listener(), spacy_listener(12)])
def test_sentences_set_afterwards_do_not_count(tiny_source: str, tiny_bilm: BiLM, tok2vec: dict) -> None:
    nlp = between(tiny_source, tok2vec=tok2vec)
    docs: list[Doc] = []
    assert_reads_whole(nlp, tiny_bilm, lambda: docs.append(nlp(TEXT)))
    assert len(list(docs[0].sents)) == 2
    assert_reads_whole(nlp, tiny_bilm, lambda: nlp(docs[0]))
    np.testing.assert_allclose(docs[0].tensor, whole(tiny_bilm), atol=1e-5)


def test_second_time_after_doc_cleaner(tiny_source: str, tiny_bilm: BiLM) -> None:
    nlp = between(tiny_source)
    nlp.add_pipe("doc_cleaner", config={"attrs": {"tensor": None, "_.elmo": None, "_.elmo_layers": None}})
    doc = nlp(TEXT)
    assert_reads_whole(nlp, tiny_bilm, lambda: nlp(doc))


def test_second_time_after_a_way_through_bytes(tiny_source: str, tiny_bilm: BiLM) -> None:
    nlp = between(tiny_source)
    doc = Doc(nlp.vocab).from_bytes(nlp(TEXT).to_bytes())
    assert_reads_whole(nlp, tiny_bilm, lambda: nlp(doc))


def test_second_time_with_other_words_is_read_by_its_boundaries(tiny_source: str, tiny_bilm: BiLM) -> None:
    """What was kept is of other words."""
    nlp = between(tiny_source)
    doc = nlp(TEXT)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:2])
    elmo_of(nlp)(doc)
    wanted = np.concatenate(tiny_bilm.embed([["a b", "."], WORDS[3:]]), axis=1).mean(axis=0)
    np.testing.assert_allclose(doc.tensor, wanted, atol=1e-5)


def test_disabled_component(tiny_source: str, tiny_bilm: BiLM) -> None:
    nlp = between(tiny_source)
    with nlp.select_pipes(disable="elmo"):
        assert_reads_whole(nlp, tiny_bilm, lambda: nlp(TEXT))


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("tok2vec", [listener(), spacy_listener(12)])
def test_replaced_listener(tiny_source: str, tiny_bilm: BiLM, tmp_path: Path, keep: bool, tok2vec: dict) -> None:
    nlp = between(tiny_source, tok2vec=tok2vec)
    nlp.replace_listeners("elmo", "tagger", ["model.tok2vec"])
    assert is_elmo_model(nlp.get_pipe("tagger").model.get_ref("tok2vec"))
    if not keep:
        nlp.remove_pipe("elmo")
    nlp.to_disk(tmp_path)
    assert_reads_whole(nlp, tiny_bilm, lambda: nlp(TEXT))
    loaded = spacy.load(tmp_path)
    assert_reads_whole(loaded, tiny_bilm, lambda: loaded(TEXT))


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize(
    "way",
    [
        {"annotates": ["sentencizer"]},
        {"annotates": ["sentencizer"], "exclude": ["elmo"]},
        {"annotates": ["elmo", "sentencizer"], "exclude": ["elmo"]},
    ],
    ids=str,
)
def test_training_reads_what_prediction_reads(tiny_source: str, tiny_bilm: BiLM, frozen: bool, way: dict) -> None:
    nlp = between(tiny_source, frozen=frozen)
    assert_reads_whole(nlp, tiny_bilm, lambda: nlp.update(examples(nlp, [TEXT]), sgd=False, **way))


def test_sentences_set_before_count_for_all(tiny_source: str, tiny_bilm: BiLM) -> None:
    nlp = blank(tiny_source)
    nlp.add_pipe("sentencizer", first=True)
    nlp.add_pipe("tagger", config={"model": model_config("tagger")})
    nlp.initialize(lambda: examples(nlp))

    def runs() -> None:
        nlp(nlp(TEXT))
        with nlp.select_pipes(disable="elmo"):
            nlp(TEXT)
        nlp.update(examples(nlp, [TEXT]), sgd=False, annotates=["sentencizer"])
        nlp.update(examples(nlp, [TEXT]), sgd=False, annotates=["sentencizer"], exclude=["elmo"])
        nlp.replace_listeners("elmo", "tagger", ["model.tok2vec"])

    for array in [*tagger_inputs(nlp, runs), *tagger_inputs(nlp, lambda: nlp(TEXT))]:
        np.testing.assert_allclose(array, split(tiny_bilm), atol=1e-5)


def test_a_sentence_setter_that_listens_is_not_behind_itself(tiny_source: str) -> None:
    nlp = blank(tiny_source)
    nlp.add_pipe("senter", config={"model": model_config("tagger")})
    nlp.add_pipe("tagger", config={"model": model_config("tagger")})
    elmo = elmo_of(nlp)
    (first,) = (n for n in nlp.get_pipe("senter").model.walk() if isinstance(n, ElmoListener))
    (second,) = (n for n in nlp.get_pipe("tagger").model.walk() if isinstance(n, ElmoListener))
    assert not elmo.is_past_sentences(first)
    assert elmo.is_past_sentences(second)


def test_two_components_keep_what_each_reads(tiny_source: str, tiny_bilm: BiLM) -> None:
    nlp = between(tiny_source)
    nlp.add_pipe("elmo", name="later", config=elmo_config(tiny_source))
    first = nlp(TEXT)
    for doc in (first.copy(), nlp(first)):
        np.testing.assert_allclose(doc.tensor, split(tiny_bilm), atol=1e-5)
        np.testing.assert_allclose(doc.user_data["spacy_elmo"]["elmo"]["vectors"], whole(tiny_bilm), atol=1e-5)


def test_tags_stay_in_all_states(tiny_source: str) -> None:
    nlp = between(tiny_source)
    train(nlp, 30)
    before = predictions(nlp)
    with nlp.select_pipes(disable="elmo"):
        assert_same_predictions(predictions(nlp), before)
    nlp.replace_listeners("elmo", "tagger", ["model.tok2vec"])
    assert_same_predictions(predictions(nlp), before)


def test_annotating_a_doc_in_training_leaves_the_users_doc_alone(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    data = examples(nlp)
    nlp.update(data, sgd=False)
    assert all(not example.predicted.user_data for example in data)

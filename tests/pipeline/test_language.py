"""Which model a component means that names none: that of the pipeline's language."""

from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy import Language
from spacy.lang.en import English

from spacy_elmo import CheckpointError
from spacy_elmo.layers.elmo_model import ElmoModel


def vectors(nlp: Language) -> np.ndarray:
    return nlp("Two words").tensor


def test_without_a_source_it_is_the_embedded_model_of_the_language() -> None:
    unnamed, named = spacy.blank("en"), spacy.blank("en")
    unnamed.add_pipe("elmo")
    named.add_pipe("elmo", config={"model": {"source": "en_elmo_sm"}})
    assert unnamed.config["components"]["elmo"]["model"]["source"] is None
    np.testing.assert_array_equal(vectors(unnamed), vectors(named))


@pytest.mark.parametrize(
    ("language", "published"), [("pt", "manylangs-pt"), ("xx", "No published model of it is known")]
)
def test_a_language_without_one_is_refused_with_all_that_there_is(language: str, published: str) -> None:
    nlp = spacy.blank(language)
    nlp.add_pipe("elmo")
    with pytest.raises(CheckpointError) as caught:
        nlp("Two words")
    message = str(caught.value)
    for part in (f"'{language}'", published, "en_elmo_sm", "elmo pretrain"):
        assert part in message


def test_a_language_without_one_takes_another_s_on_purpose() -> None:
    nlp, english = spacy.blank("pt"), spacy.blank("en")
    nlp.add_pipe("elmo", config={"model": {"source": "en_elmo_sm"}})
    english.add_pipe("elmo")
    np.testing.assert_array_equal(vectors(nlp), vectors(english))


def test_a_saved_pipeline_needs_no_model_of_its_language(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo")
    expected = vectors(nlp)
    nlp.to_disk(tmp_path)
    config = (tmp_path / "config.cfg").read_text("utf8")
    (tmp_path / "config.cfg").write_text(config.replace('lang = "en"', 'lang = "da"'), "utf8")
    meta = (tmp_path / "meta.json").read_text("utf8")
    (tmp_path / "meta.json").write_text(meta.replace('"lang":"en"', '"lang":"da"'), "utf8")
    loaded = spacy.load(tmp_path)
    assert loaded.lang == "da"
    np.testing.assert_array_equal(vectors(loaded), expected)


def test_a_model_outside_the_component_asks_its_docs() -> None:
    docs = [English()("Two words")]
    model, named = ElmoModel(), ElmoModel("en_elmo_sm")
    model.initialize(X=docs)
    np.testing.assert_array_equal(model.predict(docs)[0], named.predict(docs)[0])


def test_a_model_that_knows_no_language_asks_for_a_source() -> None:
    with pytest.raises(CheckpointError, match="No source was named"):
        ElmoModel().initialize()

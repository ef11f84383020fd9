"""Components taken over from another pipeline with `source`."""

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.util import load_model_from_config
from thinc.api import Config

from .helpers import (
    TEXTS,
    assert_same_predictions,
    elmo_config,
    elmo_listener_of,
    elmo_of,
    examples,
    listener,
    make_optimizer,
    model_config,
    parameters,
    pipeline,
    predictions,
    right_answers,
    train,
    update_as_spacy_train,
)


@pytest.fixture(scope="module")
def trained(tiny_source: str) -> Language:
    nlp = pipeline(tiny_source, "tagger", "ner")
    train(nlp, 60)
    return nlp


def sourcing(path: Path, *names: str) -> Config:
    """The config of a pipeline of components of another one."""
    components = {name: {"source": str(path)} for name in names}
    return Config({"nlp": {"lang": "xx", "pipeline": list(names)}, "components": components})


def test_elmo_and_its_listener(trained: Language) -> None:
    source = copy.deepcopy(trained)
    before = predictions(source)
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", source=source)
    nlp.add_pipe("ner", source=source)
    assert elmo_of(nlp).listening_components == ["ner"]
    assert elmo_listener_of(nlp, "ner").upstream is nlp.get_pipe("elmo")
    found = [ents for _, ents, _ in predictions(nlp)]
    assert found == [ents for _, ents, _ in before]
    for doc, other in zip(nlp.pipe(TEXTS), source.pipe(TEXTS), strict=True):
        np.testing.assert_allclose(doc.tensor, other.tensor, atol=1e-6)


def test_a_listener_that_is_taken_from_another_bilm(trained: Language, tiny_source: str, other_source: str) -> None:
    """The component is one object in both pipelines, so both read what it now reads."""
    source = copy.deepcopy(trained)
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", config=elmo_config(other_source))
    with pytest.warns(
        UserWarning, match="'ner' comes from another pipeline, where it listened to 'elmo', a biLM of other"
    ):
        nlp.add_pipe("ner", source=source)
    assert elmo_listener_of(source, "ner").upstream is nlp.get_pipe("elmo")
    same = spacy.blank("xx")
    same.add_pipe("elmo", config=elmo_config(tiny_source))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same.add_pipe("tagger", source=source)
        later = spacy.blank("xx")
        later.add_pipe("elmo", config=elmo_config("weights that come later"))
        later.add_pipe("ner", source=nlp)


def test_elmo_with_a_new_component(trained: Language) -> None:
    source = copy.deepcopy(trained)
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", source=source)
    nlp.add_pipe("ner", name="new", config={"model": model_config("ner", listener())})
    with nlp.select_pipes(disable="elmo"):
        nlp.initialize(lambda: examples(nlp))
    weights = parameters(nlp)
    optimizer = make_optimizer()
    for _ in range(60):
        update_as_spacy_train(nlp, [examples(nlp)], optimizer, exclude=["elmo"])
    assert [ents for _, ents, _ in predictions(nlp)] == [ents for _, ents in right_answers(nlp)]
    for name, array in parameters(nlp).items():
        np.testing.assert_array_equal(array, weights[name])


def test_initialize_keeps_the_weights_of_a_sourced_component(tiny_source: str) -> None:
    """Weights once trained are not replaced by those of the source it was made from."""
    source = pipeline(tiny_source, "tagger", frozen=False)
    train(source, 5)
    weights = parameters(source)
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", source=source)
    nlp.add_pipe("tagger", config={"model": model_config("tagger")})
    nlp.initialize(lambda: examples(nlp))
    for name, array in parameters(nlp).items():
        np.testing.assert_array_equal(array, weights[name])


def test_config_and_bytes_of_a_pipeline_of_sourced_components(trained: Language) -> None:
    source = copy.deepcopy(trained)
    nlp = spacy.blank("xx")
    for name in ("elmo", "ner", "tagger"):
        nlp.add_pipe(name, source=source)
    before = predictions(nlp)
    loaded = load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert_same_predictions(predictions(loaded), before)


def test_sourced_under_another_name(trained: Language) -> None:
    """A listener to '*' follows; what is read is what the component wrote."""
    source = copy.deepcopy(trained)
    before = [ents for _, ents, _ in predictions(source)]
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", name="vectors", source=source)
    nlp.add_pipe("ner", source=source)
    assert [ents for _, ents, _ in predictions(nlp)] == before


@pytest.mark.parametrize("upstream", ["*", "elmo"])
@pytest.mark.parametrize("frozen", [True, False])
def test_renamed_component_keeps_its_listeners(tiny_source: str, tmp_path: Path, upstream: str, frozen: bool) -> None:
    """In training, too; and after a way through disk, where the listener's config still has the old name."""
    nlp = pipeline(tiny_source, "tagger", "ner", tok2vec=listener(upstream=upstream), frozen=frozen)
    train(nlp, 20)
    before = predictions(nlp)
    nlp.rename_pipe("elmo", "vectors")
    assert sorted(elmo_of(nlp, "vectors").listener_map) == ["ner", "tagger"]
    for number in range(2):
        assert_same_predictions(predictions(nlp), before)
        nlp.to_disk(tmp_path / str(number))
        nlp = spacy.load(tmp_path / str(number))
    assert_same_predictions(predictions(load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())), before)
    weights = parameters(nlp, "vectors")
    train(nlp, 1)
    changed = [not np.array_equal(array, weights[name]) for name, array in parameters(nlp, "vectors").items()]
    assert changed == [not frozen] * len(changed)


def test_component_may_be_renamed_again_and_back(tiny_source: str, tmp_path: Path) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=listener(upstream="elmo"))
    train(nlp, 10)
    before = predictions(nlp)
    for old, new in (("elmo", "one"), ("one", "two"), ("two", "elmo"), ("elmo", "three")):
        nlp.rename_pipe(old, new)
        nlp.to_disk(tmp_path / new)
        nlp = spacy.load(tmp_path / new)
        assert_same_predictions(predictions(nlp), before)
        assert elmo_listener_of(nlp, "tagger").upstream_name == new


def test_config_at_loading_says_whom_to_listen_to(tiny_source: str, tmp_path: Path) -> None:
    """Over the renaming that was saved."""
    nlp = pipeline(tiny_source, "tagger", tok2vec=listener(upstream="elmo"))
    nlp.rename_pipe("elmo", "vectors")
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path, config={"components.tagger.model.tok2vec.upstream": "*"})
    assert elmo_listener_of(loaded, "tagger").upstream_name == "*"
    assert elmo_listener_of(loaded, "tagger").upstream is loaded.get_pipe("vectors")


def test_sourced_under_another_name_comes_back_from_disk(tiny_source: str, tmp_path: Path) -> None:
    source = pipeline(tiny_source, "ner", tok2vec=listener(upstream="elmo"))
    train(source, 40)
    before = predictions(source)
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", name="vectors", source=source)
    nlp.add_pipe("ner", source=source)
    assert_same_predictions(predictions(nlp), before)
    nlp.to_disk(tmp_path)
    assert_same_predictions(predictions(spacy.load(tmp_path)), before)


def test_component_under_the_old_name_is_not_taken_for_the_renamed_one(tiny_source: str, other_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=listener(upstream="elmo"))
    nlp.rename_pipe("elmo", "vectors")
    nlp.add_pipe("elmo", after="vectors", config=elmo_config(other_source))
    assert elmo_listener_of(nlp, "tagger").upstream is nlp.get_pipe("vectors")
    assert elmo_of(nlp).listener_map == {}


def test_a_listener_that_is_sourced_alone_is_told_of(trained: Language) -> None:
    """Before anything is saved that cannot be used."""
    source = copy.deepcopy(trained)
    nlp = spacy.blank("xx")
    nlp.add_pipe("ner", source=source)
    with pytest.warns(UserWarning, match="'ner' listens to 'elmo' of another pipeline, which has not run on this Doc"):
        nlp(TEXTS[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nlp(TEXTS[0])
        both = spacy.blank("xx")
        both.add_pipe("elmo", source=(other := copy.deepcopy(trained)))
        both.add_pipe("ner", source=other)
        both(TEXTS[0])


def test_a_listener_that_is_sourced_alone_is_refused_in_training(trained: Language, tmp_path: Path) -> None:
    """As `spacy train` sources it: from a pipeline that is gone then."""
    trained.to_disk(tmp_path)
    nlp = load_model_from_config(sourcing(tmp_path, "ner"), auto_fill=True)
    with pytest.raises(ValueError, match=r"no 'elmo' component to listen to.*source that, too"):
        nlp.update(examples(nlp))


def test_a_component_that_was_removed_is_listened_to_no_more(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    nlp.remove_pipe("elmo")
    with pytest.raises(ValueError, match="no 'elmo' component to listen to"):
        nlp(TEXTS[0])


def test_sourcing_beside_another_bilm_warns_in_a_config_too(
    trained: Language, other_source: str, tmp_path: Path
) -> None:
    trained.to_disk(tmp_path)
    config = sourcing(tmp_path, "ner")
    config["nlp"]["pipeline"].insert(0, "elmo")
    config["components"]["elmo"] = {"factory": "elmo", **elmo_config(other_source)}
    with pytest.warns(UserWarning, match="'ner' comes from another pipeline"):
        load_model_from_config(config, auto_fill=True)

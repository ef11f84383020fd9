"""One `Doc.tensor`, and two components that write it: this one, and a tok2vec of spaCy's with its own listeners."""

import copy
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.cli.init_config import init_config
from spacy.language import Language
from thinc.api import fix_random_seed

from .helpers import (
    TEXTS,
    Settings,
    assert_same_predictions,
    elmo_config,
    elmo_of,
    examples,
    listener,
    make_optimizer,
    model_config,
    pipeline,
    predictions,
    right_answers,
    spacy_listener,
    train,
    update_as_spacy_train,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*leaves Doc.tensor:UserWarning")

# The tiny ELMo has 12: a tok2vec of the same width is the one that can be mixed up with it.
WIDTHS = [8, 12]
ORDERS = [("tok2vec", "elmo", "tagger"), ("elmo", "tok2vec", "tagger"), ("tok2vec", "tagger", "elmo")]
by_order = pytest.mark.parametrize("order", ORDERS, ids="-".join)
by_width = pytest.mark.parametrize("width", WIDTHS)
by_upstream = pytest.mark.parametrize("upstream", ["*", "tok2vec"])


def cnn(width: int) -> Settings:
    return {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": None,
        "width": width,
        "depth": 1,
        "embed_size": 100,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": True,
    }


def mixed(source: str, order: tuple[str, ...], width: int, upstream: str, **elmo: object) -> Language:
    """A tok2vec, a tagger that listens to it, and an ELMo component."""
    fix_random_seed(0)
    configs = {
        "elmo": elmo_config(source, **elmo),
        "tok2vec": {"model": cnn(width)},
        "tagger": {"model": model_config("tagger", spacy_listener(width, upstream))},
    }
    nlp = spacy.blank("xx")
    for name in order:
        nlp.add_pipe(name, config=configs[name])
    return nlp


def tags(nlp: Language) -> list[list[str]]:
    return [tags for tags, _, _ in predictions(nlp)]


RIGHT = [tags for tags, _ in right_answers(spacy.blank("xx"))]


@by_order
@by_width
@by_upstream
@pytest.mark.parametrize("frozen", [True, False])
def test_listeners_of_a_tok2vec_learn_from_it(
    tiny_source: str, order: tuple[str, ...], width: int, upstream: str, frozen: bool
) -> None:
    nlp = mixed(tiny_source, order, width, upstream, frozen=frozen)
    nlp.initialize(lambda: examples(nlp))
    losses, _ = train(nlp, 40)
    assert tags(nlp) == RIGHT
    assert sum(loss["tok2vec"] for loss in losses) > 0
    assert sum(loss["elmo"] for loss in losses) == 0


@by_order
@by_width
@by_upstream
def test_elmo_added_to_a_trained_pipeline_changes_no_tag(
    tiny_source: str, tmp_path: Path, order: tuple[str, ...], width: int, upstream: str
) -> None:
    nlp = mixed(tiny_source, ("tok2vec", "tagger"), width, upstream)
    nlp.initialize(lambda: examples(nlp))
    train(nlp, 40)
    place = {"before": order[order.index("elmo") + 1]} if order[-1] != "elmo" else {"last": True}
    nlp.add_pipe("elmo", config=elmo_config(tiny_source), **place)
    assert tuple(nlp.pipe_names) == order
    assert tags(nlp) == RIGHT
    doc = nlp(TEXTS[0])
    np.testing.assert_allclose(doc[1]._.elmo, pipeline(tiny_source)(TEXTS[0])[1]._.elmo, atol=1e-6)
    assert [token.tag_ for token in nlp(doc)] == RIGHT[0], "a second time"
    nlp.to_disk(tmp_path)
    assert tags(spacy.load(tmp_path)) == RIGHT


@by_width
@by_upstream
@pytest.mark.parametrize("order", ORDERS[:2], ids="-".join)
def test_frozen_tok2vec_that_annotates(tiny_source: str, order: tuple[str, ...], width: int, upstream: str) -> None:
    """The listener finds the tok2vec's vectors on the Docs, in training too."""
    nlp = mixed(tiny_source, order, width, upstream)
    nlp.initialize(lambda: examples(nlp))
    train(nlp, 60, exclude=["tok2vec"], annotates=["tok2vec"])
    before = tags(nlp)
    nlp.remove_pipe("elmo")
    assert tags(nlp) == before
    assert sum(a == b for a, b in zip(before, RIGHT, strict=True)) >= 4


@by_width
def test_disabling_elmo_changes_no_tag(tiny_source: str, width: int) -> None:
    nlp = mixed(tiny_source, ORDERS[0], width, "*")
    nlp.initialize(lambda: examples(nlp))
    train(nlp, 40)
    with nlp.select_pipes(disable="elmo"):
        assert tags(nlp) == RIGHT


def test_disabled_tok2vec_is_no_crash(tiny_source: str) -> None:
    """spaCy's listener then reads zeros, as it does without ELMo; it must not find vectors of another width."""
    nlp = mixed(tiny_source, ORDERS[0], 8, "*")
    nlp.initialize(lambda: examples(nlp))
    with nlp.select_pipes(disable="tok2vec"):
        wanted = tags(nlp)
        with nlp.select_pipes(disable="elmo"):
            assert tags(nlp) == wanted


def test_says_once_that_it_leaves_the_tensor(tiny_source: str) -> None:
    nlp = mixed(tiny_source, ORDERS[0], 8, "*")
    nlp.initialize(lambda: examples(nlp))
    with pytest.warns(UserWarning, match=r"'elmo' leaves Doc\.tensor to the component that 'tagger'.*width 8.*listens"):
        doc = nlp("a b")
    assert doc.tensor.shape == (2, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nlp("c d")


def test_stale_tensor_of_another_pipeline_is_overwritten(tiny_source: str) -> None:
    """Without a tok2vec in the pipeline, nobody's listener wants what a Doc brought along, or what ELMo left before."""
    nlp = pipeline(tiny_source, "tagger", tok2vec=spacy_listener(12, "elmo"))
    doc = nlp.make_doc("a b")
    doc.tensor = np.ones((2, 12), dtype=np.float32)
    wanted = nlp("a b").tensor
    np.testing.assert_allclose(nlp(doc).tensor, wanted, atol=1e-6)
    np.testing.assert_allclose(nlp(doc).tensor, wanted, atol=1e-6)


def test_renamed_upstream_goes_on_writing_the_tensor(tiny_source: str, tmp_path: Path) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=spacy_listener(12, "elmo"))
    train(nlp, 40)
    before = predictions(nlp)
    nlp.rename_pipe("elmo", "vectors")
    assert_same_predictions(predictions(nlp), before)
    nlp.to_disk(tmp_path)
    assert_same_predictions(predictions(spacy.load(tmp_path)), before)


@by_width
def test_both_kinds_of_listeners_in_one_pipeline(tiny_source: str, width: int) -> None:
    nlp = mixed(tiny_source, ORDERS[0], width, "*", frozen=False)
    nlp.add_pipe("ner", config={"model": model_config("ner", listener())})
    nlp.initialize(lambda: examples(nlp))
    losses, _ = train(nlp, 120)
    assert tags(nlp) == RIGHT
    assert [ents for _, ents, _ in predictions(nlp)] == [ents for _, ents in right_answers(nlp)]
    assert sum(loss["elmo"] for loss in losses) > 0


@pytest.mark.parametrize("order", [("tok2vec", "elmo", "tagger", "ner"), ("elmo", "tok2vec", "tagger", "ner")])
def test_two_owners_of_the_tensor_are_refused_at_initialize(tiny_source: str, order: tuple[str, ...]) -> None:
    nlp = mixed(tiny_source, order[:3], 8, "tok2vec")
    nlp.add_pipe("ner", config={"model": model_config("ner", spacy_listener(12, "elmo"))})
    with pytest.raises(ValueError, match=r"'ner' .* 'elmo' there, but .*Give 'ner' a listener of the type spacy-elmo"):
        nlp.initialize(lambda: examples(nlp))


def test_one_owner_after_the_other_is_fine(tiny_source: str) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", config=elmo_config(tiny_source))
    nlp.add_pipe("ner", config={"model": model_config("ner", spacy_listener(12, "elmo"))})
    nlp.add_pipe("tok2vec", config={"model": cnn(8)})
    nlp.add_pipe("tagger", config={"model": model_config("tagger", spacy_listener(8, "tok2vec"))})
    nlp.initialize(lambda: examples(nlp))
    train(nlp, 60)
    assert tags(nlp) == RIGHT
    assert [ents for _, ents, _ in predictions(nlp)] == [ents for _, ents in right_answers(nlp)]


def test_two_elmos_and_spacys_listeners_are_refused(tiny_source: str, other_source: str) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", name="wide", config=elmo_config(tiny_source))
    nlp.add_pipe("elmo", name="narrow", config=elmo_config(other_source))
    nlp.add_pipe("tagger", config={"model": model_config("tagger", spacy_listener(12, "wide"))})
    nlp.add_pipe("ner", config={"model": model_config("ner", spacy_listener(8, "narrow"))})
    with pytest.raises(ValueError, match=r"Doc\.tensor holds the vectors of one component"):
        nlp.initialize(lambda: examples(nlp))


def test_listener_may_listen_past_a_nearer_elmo(tiny_source: str, other_source: str) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", name="wide", config=elmo_config(tiny_source))
    nlp.add_pipe("elmo", name="narrow", config=elmo_config(other_source))
    nlp.add_pipe("tagger", config={"model": model_config("tagger", spacy_listener(12, "wide"))})
    nlp.initialize(lambda: examples(nlp))
    losses, _ = train(nlp, 60)
    assert losses[-1]["tagger"] < 0.6 * losses[0]["tagger"]
    before = tags(nlp)
    nlp.remove_pipe("narrow")
    assert tags(nlp) == before


def test_config_that_spacy_writes(tiny_source: str) -> None:
    """`spacy init config -p elmo,ner`: a tok2vec that ner listens to, and ELMo between."""
    config = init_config(lang="xx", pipeline=["elmo", "ner"], optimize="efficiency", gpu=False)
    assert config["nlp"]["pipeline"] == ["tok2vec", "elmo", "ner"]
    config["components"]["elmo"] = {"factory": "elmo", **elmo_config(tiny_source)}
    config["components"]["tok2vec"]["model"]["encode"]["width"] = 96
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    nlp.initialize(lambda: examples(nlp))
    optimizer = make_optimizer(0.01)
    for _ in range(20):
        update_as_spacy_train(nlp, [examples(nlp)], optimizer)
    nlp.evaluate(examples(nlp))
    assert [ents for _, ents, _ in predictions(nlp)] == [ents for _, ents in right_answers(nlp)]


def test_mixed_pipeline_can_be_copied_between_update_and_finish(tiny_source: str) -> None:
    """The callback that spaCy's listener holds comes along, and leads nowhere."""
    nlp = pipeline(tiny_source, "tagger", tok2vec=spacy_listener(12), frozen=False)
    train(nlp, 2)
    nlp.update(examples(nlp), sgd=False)
    before = predictions(nlp)
    for copied in (copy.deepcopy(nlp), pickle.loads(pickle.dumps(nlp))):
        assert_same_predictions(predictions(copied), before)
    assert elmo_of(nlp)._gradient is not None

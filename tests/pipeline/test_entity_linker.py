"""spaCy's entity linker, which trains on copies of the batch's Docs, and other components with a tok2vec."""

from typing import Any

import numpy as np
import pytest
from spacy.kb import InMemoryLookupKB
from spacy.language import Language
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import fix_random_seed

from .helpers import (
    PEOPLE,
    PLACES,
    TEXTS,
    Settings,
    annotations,
    assert_same,
    blank,
    listener,
    make_optimizer,
    parameters,
    update_as_spacy_train,
)

NAMES = [*PEOPLE, *PLACES]


def make_kb(vocab: Vocab) -> InMemoryLookupKB:
    """Two entities for each name."""
    rng = np.random.default_rng(0)
    kb = InMemoryLookupKB(vocab, entity_vector_length=5)
    for name in NAMES:
        candidates = [f"{name} the {number}" for number in ("first", "second")]
        for candidate in candidates:
            kb.add_entity(entity=candidate, freq=3, entity_vector=rng.normal(size=5))
        kb.add_alias(alias=name, entities=candidates, probabilities=[0.5, 0.5])
    return kb


def linked_examples(nlp: Language) -> list[Example]:
    found = []
    for doc in map(nlp.make_doc, TEXTS):
        entities = annotations(doc)["entities"]
        links = {(start, end): {f"{doc.text[start:end]} the first": 1.0} for start, end, _ in entities}
        starts = [i == 0 for i in range(len(doc))]
        found.append(Example.from_dict(doc, {"entities": entities, "links": links, "sent_starts": starts}))
    return found


def linker(source: str, *, frozen: bool = False, use_gold_ents: bool = True, **tok2vec: Any) -> Language:
    fix_random_seed(0)
    nlp = blank(source, frozen=frozen)
    model = {"@architectures": "spacy.EntityLinker.v2", "tok2vec": listener(**tok2vec)}
    nlp.add_pipe("entity_linker", config={"model": model, "use_gold_ents": use_gold_ents}).set_kb(make_kb)
    nlp.initialize(lambda: linked_examples(nlp))
    return nlp


def losses_of(nlp: Language, steps: int = 10) -> list[Settings]:
    optimizer = make_optimizer()
    return [update_as_spacy_train(nlp, [linked_examples(nlp)], optimizer) for _ in range(steps)]


def test_entity_linker_trains_the_biLM(tiny_source: str) -> None:
    nlp = linker(tiny_source)
    before = parameters(nlp)
    losses = losses_of(nlp)
    assert all(loss["elmo"] > 0 for loss in losses)
    assert losses[-1]["entity_linker"] < 0.8 * losses[0]["entity_linker"]
    for name, array in parameters(nlp).items():
        assert not np.array_equal(array, before[name]), name


def test_frozen_biLM_stays(tiny_source: str) -> None:
    nlp = linker(tiny_source, frozen=True)
    before = parameters(nlp)
    assert all(loss["elmo"] == 0 for loss in losses_of(nlp, 3))
    assert_same(parameters(nlp), before)


def test_width_null_is_the_width(tiny_source: str) -> None:
    given, found = (losses_of(linker(tiny_source, width=width), 3) for width in (12, None))
    for a, b in zip(given, found, strict=True):
        assert a == pytest.approx(b, rel=1e-4)


TAGGER = {"@architectures": "spacy.Tagger.v2"}
SCORER = {"@layers": "spacy.LinearLogistic.v1"}
MODELS: dict[str, Settings] = {
    "tagger": TAGGER,
    "morphologizer": TAGGER,
    "senter": TAGGER,
    "trainable_lemmatizer": TAGGER,
    "ner": {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": 16,
        "maxout_pieces": 2,
    },
    "textcat": {
        "@architectures": "spacy.TextCatEnsemble.v2",
        "linear_model": {
            "@architectures": "spacy.TextCatBOW.v3",
            "exclusive_classes": True,
            "ngram_size": 1,
            "no_output_layer": False,
            "length": 32,
        },
    },
    "textcat_multilabel": {"@architectures": "spacy.TextCatParametricAttention.v1", "exclusive_classes": False},
    "spancat": {
        "@architectures": "spacy.SpanCategorizer.v1",
        "reducer": {"@layers": "spacy.mean_max_reducer.v1", "hidden_size": 8},
        "scorer": SCORER,
    },
    "span_finder": {"@architectures": "spacy.SpanFinder.v1", "scorer": {**SCORER, "nO": 2}},
}


def full_examples(nlp: Language) -> list[Example]:
    """Gold data for every kind of component."""
    found = []
    for doc in map(nlp.make_doc, TEXTS):
        more = {
            "lemmas": [token.text.lower() + "s" * (token.i % 2) for token in doc],
            "morphs": ["Case=Nom" if token.i % 2 else "Case=Acc" for token in doc],
            "sent_starts": [token.i == 0 for token in doc],
            "spans": {"sc": annotations(doc)["entities"]},
        }
        found.append(Example.from_dict(doc, {**annotations(doc), **more}))
    return found


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_of_component_trains_the_biLM(tiny_source: str, kind: str) -> None:
    """With the width that is left to be found out."""
    fix_random_seed(0)
    nlp = blank(tiny_source, frozen=False)
    nlp.add_pipe(kind, config={"model": {**MODELS[kind], "tok2vec": listener()}})
    nlp.initialize(lambda: full_examples(nlp))
    optimizer = make_optimizer()
    losses = [update_as_spacy_train(nlp, [full_examples(nlp)], optimizer) for _ in range(8)]
    assert losses[-1]["elmo"] > 0
    assert losses[-1][kind] < losses[0][kind]

"""Pipelines of tiny components around ELMo, and toy data that they learn in a moment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam, Model, Optimizer, fix_random_seed

from spacy_elmo import BiLM
from spacy_elmo.layers.encoder import bilm_shim
from spacy_elmo.layers.listener import ElmoListener
from spacy_elmo.pipeline import Elmo

Array = npt.NDArray[Any]
Settings = dict[str, Any]

COMPONENT_SETTINGS = ("frozen", "keep_layers", "cache_bytes")

# What the linear tagger and the small parser learn from the vectors of the tiny model in some 40 steps.
LEARN_RATE = 0.05
PEOPLE, PLACES, FOODS = ("Vera", "Jo", "Olaf"), ("Rome", "Kiel", "Paris"), ("jam", "yams", "fish")
TEXTS = [
    *(f"{person} moved to {place}" for person, place in zip(PEOPLE, PLACES, strict=True)),
    *(f"{person} likes hot {food}" for person, food in zip(PEOPLE, FOODS, strict=True)),
]
_LABELS = dict.fromkeys(PEOPLE, "PERSON") | dict.fromkeys(PLACES, "GPE")
_TAGS = dict.fromkeys(_LABELS, "PROPN") | dict.fromkeys(FOODS, "NOUN") | {"moved": "VERB", "likes": "VERB"}


def elmo_config(source: str, **settings: Any) -> Settings:
    """The config of a component "elmo", its own settings and those of its model given together."""
    own = {key: settings.pop(key) for key in COMPONENT_SETTINGS if key in settings}
    return {**own, "model": {"@architectures": "spacy-elmo.ElmoModel.v1", "source": source, **settings}}


def listener(**settings: Any) -> Settings:
    return {"@architectures": "spacy-elmo.ElmoListener.v1", **settings}


def spacy_listener(width: int, upstream: str = "*") -> Settings:
    return {"@architectures": "spacy.Tok2VecListener.v1", "width": width, "upstream": upstream}


def model_config(kind: str, tok2vec: Settings | None = None) -> Settings:
    """The config of the model of a "tagger", "ner" or "textcat"."""
    settings: dict[str, Settings] = {
        "tagger": {"@architectures": "spacy.Tagger.v2"},
        "ner": {
            "@architectures": "spacy.TransitionBasedParser.v2",
            "state_type": "ner",
            "extra_state_tokens": False,
            "hidden_width": 16,
            "maxout_pieces": 2,
        },
        "textcat": {
            "@architectures": "spacy.TextCatReduce.v1",
            "exclusive_classes": True,
            "use_reduce_first": False,
            "use_reduce_last": False,
            "use_reduce_max": False,
            "use_reduce_mean": True,
        },
    }
    return {**settings[kind], "tok2vec": tok2vec or listener()}


def blank(source: str, **settings: Any) -> Language:
    """A pipeline with "elmo" alone."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", config=elmo_config(source, **settings))
    return nlp


def pipeline(
    source: str, *kinds: str, tok2vec: Settings | None = None, seed: int = 0, initialize: bool = True, **settings: Any
) -> Language:
    """A pipeline with "elmo" and components that listen to it, initialized with the toy data."""
    fix_random_seed(seed)
    nlp = blank(source, **settings)
    for kind in kinds:
        nlp.add_pipe(kind, config={"model": model_config(kind, tok2vec)})
    if initialize:
        nlp.initialize(lambda: examples(nlp))
    return nlp


def examples(nlp: Language, texts: Sequence[str] = TEXTS) -> list[Example]:
    """Texts with tags, entities and categories by the words in them."""
    return [Example.from_dict(doc, annotations(doc)) for doc in map(nlp.make_doc, texts)]


def annotations(doc: Doc) -> Settings:
    home = any(token.text in PLACES for token in doc)
    return {
        "tags": [_TAGS.get(token.text, "X") for token in doc],
        "entities": [(t.idx, t.idx + len(t), _LABELS[t.text]) for t in doc if t.text in _LABELS],
        "cats": {"HOME": float(home), "MEAL": float(not home)},
    }


def make_optimizer(learn_rate: float = LEARN_RATE) -> Optimizer:
    return Adam(learn_rate, beta2=0.99, grad_clip=10.0)


def train(nlp: Language, steps: int, learn_rate: float = LEARN_RATE, **update: Any) -> tuple[list[Settings], Optimizer]:
    """Update on all toy data, accumulating and then finishing as spaCy's training loop does.
    RETURNS: (the losses of each step, the optimizer).
    """
    optimizer = make_optimizer(learn_rate)
    losses = [update_as_spacy_train(nlp, [examples(nlp)], optimizer, **update) for _ in range(steps)]
    return losses, optimizer


def update_as_spacy_train(
    nlp: Language, subbatches: Sequence[list[Example]], optimizer: Optimizer, **update: Any
) -> Settings:
    """One step of spacy.training.loop.train_while_improving: gradients of some batches, then a `finish_update` of each
    component.
    """
    losses: Settings = {}
    exclude = update.get("exclude", ())
    for batch in subbatches:
        nlp.update(batch, sgd=False, losses=losses, **update)
    for name, component in nlp.pipeline:
        if name not in exclude and hasattr(component, "finish_update"):
            component.finish_update(optimizer)
    return losses


def elmo_of(nlp: Language, name: str = "elmo") -> Elmo:
    component = nlp.get_pipe(name)
    assert isinstance(component, Elmo)
    return component


def elmo_listener_of(nlp: Language, name: str) -> ElmoListener:
    """The one ElmoListener in a component."""
    model: Model = nlp.get_pipe(name).model
    (found,) = (node for node in model.walk() if isinstance(node, ElmoListener))
    return found


def parameters(nlp: Language, name: str = "elmo") -> dict[str, Array]:
    """Copies of the parameters of a component's biLM."""
    bilm = bilm_shim(elmo_of(nlp, name).encoder).bilm
    return {key: parameter.detach().numpy().copy() for key, parameter in bilm.named_parameters()}


def gradients(nlp: Language, name: str = "elmo") -> dict[str, Array | None]:
    """Copies of the gradients of a component's biLM."""
    bilm = bilm_shim(elmo_of(nlp, name).encoder).bilm
    return {key: None if p.grad is None else p.grad.numpy().copy() for key, p in bilm.named_parameters()}


def predictions(nlp: Language, texts: Sequence[str] = TEXTS) -> list[tuple[Any, ...]]:
    """All that tagger, ner and textcat say of texts."""
    return [annotated(doc) for doc in nlp.pipe(texts)]


def annotated(doc: Doc) -> tuple[Any, ...]:
    return [token.tag_ for token in doc], [(ent.start, ent.end, ent.label_) for ent in doc.ents], dict(doc.cats)


def assert_same_predictions(found: Sequence[tuple[Any, ...]], wanted: Sequence[tuple[Any, ...]]) -> None:
    """Equal tags and entities, and scores of categories that differ by rounding alone."""
    for (tags, ents, cats), (wanted_tags, wanted_ents, wanted_cats) in zip(found, wanted, strict=True):
        assert (tags, ents) == (wanted_tags, wanted_ents)
        assert cats == pytest.approx(wanted_cats, abs=1e-5)


def right_answers(nlp: Language, texts: Sequence[str] = TEXTS) -> list[tuple[list[str], list[tuple[int, int, str]]]]:
    """The tags and entities that the toy data has."""
    references = [example.reference for example in examples(nlp, texts)]
    return [
        ([token.tag_ for token in doc], [(ent.start, ent.end, ent.label_) for ent in doc.ents]) for doc in references
    ]


def assert_same(found: dict[str, Array], wanted: dict[str, Array], atol: float = 0.0, rtol: float = 0.0) -> None:
    """Compare arrays by name."""
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        np.testing.assert_allclose(array, wanted[name], atol=atol, rtol=rtol, err_msg=name)


class BiLMRuns:
    """Counts runs of the biLM, which all the same take place: the sentences of each, for prediction and training."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.predicted: list[list[list[str]]] = []
        self.trained: list[list[list[str]]] = []
        embed, forward = BiLM.embed, BiLM.forward

        def noting_embed(bilm: BiLM, sentences: Sequence[Sequence[str]]) -> Any:
            if sentences:
                self.predicted.append([list(sentence) for sentence in sentences])
            return embed(bilm, sentences)

        def noting_forward(bilm: BiLM, sentences: Sequence[Sequence[str]]) -> Any:
            if sentences:
                self.trained.append([list(sentence) for sentence in sentences])
            return forward(bilm, sentences)

        monkeypatch.setattr(BiLM, "embed", noting_embed)
        monkeypatch.setattr(BiLM, "forward", noting_forward)

    def clear(self) -> None:
        self.predicted.clear()
        self.trained.clear()

    @property
    def n_sentences(self) -> int:
        return sum(map(len, self.predicted)) + sum(map(len, self.trained))

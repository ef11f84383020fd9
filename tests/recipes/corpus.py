"""Small texts with every kind of annotation, of which some hundred steps learn what holds for others, too."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import spacy
from spacy.kb import InMemoryLookupKB
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

PEOPLE = ("Ada", "Bruno", "Chloe", "Dmitri", "Elif", "Farid", "Greta", "Hugo")
CITIES = ("Lisbon", "Oslo", "Quito", "Lagos", "Hanoi", "Porto", "Minsk", "Turin")
COLOURS = ("red", "green", "dark", "pale")
FRUITS = {"plums": "plum", "pears": "pear", "figs": "fig", "limes": "lime"}
POS = {"NNP": "PROPN", "VBD": "VERB", "JJ": "ADJ", "NNS": "NOUN", "IN": "ADP"}
# Form, lemma, tag, morphology, how far its head is, dependency.
Word = tuple[str, str, str, str, int, str]
Kind = Callable[[str, str, str, str], list[Word]]


def _trade(who: str, colour: str, fruit: str, city: str) -> list[Word]:
    return [
        (who, who, "NNP", "Number=Sing", 1, "nsubj"),
        ("sold", "sell", "VBD", "Tense=Past", 0, "ROOT"),
        (colour, colour, "JJ", "Degree=Pos", 1, "amod"),
        (fruit, FRUITS[fruit], "NNS", "Number=Plur", -2, "dobj"),
        ("in", "in", "IN", "", -3, "prep"),
        (city, city, "NNP", "Number=Sing", -1, "pobj"),
    ]


def _travel(who: str, colour: str, fruit: str, city: str) -> list[Word]:
    return [
        (who, who, "NNP", "Number=Sing", 1, "nsubj"),
        ("flew", "fly", "VBD", "Tense=Past", 0, "ROOT"),
        ("to", "to", "IN", "", -1, "prep"),
        (city, city, "NNP", "Number=Sing", -1, "pobj"),
        ("with", "with", "IN", "", -3, "prep"),
        (colour, colour, "JJ", "Degree=Pos", 1, "amod"),
        (fruit, FRUITS[fruit], "NNS", "Number=Plur", -2, "pobj"),
    ]


def make_docs(vocab: Vocab) -> list[Doc]:
    """Docs of two sentences of one kind, without a full stop between them."""
    rng = random.Random(0)
    names = list(itertools.product(PEOPLE, CITIES))
    rng.shuffle(names)
    return [_doc(vocab, rng, kind, pair) for pair, kind in zip(names, itertools.cycle((_trade, _travel)), strict=False)]


def _doc(vocab: Vocab, rng: random.Random, kind: Kind, names: tuple[str, str]) -> Doc:
    words: list[Word] = []
    for who, city in (names, (rng.choice(PEOPLE), rng.choice(CITIES))):
        words += kind(who, rng.choice(COLOURS), rng.choice(list(FRUITS)), city)
    forms, lemmas, tags, morphs, heads, deps = zip(*words, strict=True)
    doc = Doc(
        vocab,
        words=forms,
        lemmas=lemmas,
        tags=tags,
        pos=[POS[tag] for tag in tags],
        morphs=morphs,
        heads=[i + head for i, head in enumerate(heads)],
        deps=deps,
    )
    trades = kind is _trade
    labels = dict.fromkeys(PEOPLE, "PERSON") | dict.fromkeys(CITIES, "CITY")
    linked = "trader" if trades else "pilot"
    doc.set_ents(
        [
            Span(doc, token.i, token.i + 1, labels[token.text], kb_id=f"{token.text}-{linked}")
            for token in doc
            if token.text in labels
        ]
    )
    goods = [Span(doc, token.i, token.i + 2, "GOODS") for token in doc if token.tag_ == "JJ"]
    doc.spans["sc"] = [*goods, *(Span(doc, ent.start, ent.end, ent.label_) for ent in doc.ents)]
    doc.cats = {"TRADE": float(trades), "TRAVEL": float(not trades)}
    return doc


def write(folder: Path, language: str = "xx") -> None:
    """Write train.spacy and dev.spacy, with other pairs of names, and a knowledge base of two for each name."""
    nlp = spacy.blank(language)
    docs = make_docs(nlp.vocab)
    DocBin(docs=docs[:48], store_user_data=True).to_disk(folder / "train.spacy")
    DocBin(docs=docs[48:], store_user_data=True).to_disk(folder / "dev.spacy")
    kb = InMemoryLookupKB(nlp.vocab, entity_vector_length=2)
    for name in (*PEOPLE, *CITIES):
        candidates = {f"{name}-trader": [1.0, 0.0], f"{name}-pilot": [0.0, 1.0]}
        for candidate, vector in candidates.items():
            kb.add_entity(entity=candidate, freq=1, entity_vector=vector)
        kb.add_alias(alias=name, entities=list(candidates), probabilities=[0.5, 0.5])
    kb.to_disk(folder / "kb")

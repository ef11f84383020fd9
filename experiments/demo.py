"""Show what the demo workflow made: a word in two senses, the tables, NER and text classification at work.

Run it as `python -m experiments.demo`, after `python -m spacy project run demo`.
"""

from pathlib import Path

import numpy as np
import spacy
from spacy.tokens import Doc, Token
from wasabi import Printer, table

from .datasets import read_docs

SENSES = {
    "match": [
        "The match ended in a draw after extra time .",
        "Fans left the stadium before the match was over .",
        "He struck a match and lit the candle .",
        "She used her last match to light the stove .",
    ],
    "fly": [
        "The birds fly south in winter .",
        "We fly to Madrid tomorrow .",
        "A fly landed on the table .",
        "There was a fly in my soup .",
    ],
}
NER = Path("training/demo-ner/elmo-100pct-seed0/model-best")
TEXTCAT = Path("training/demo-textcat/elmo-100pct-seed0/model-best")

message = Printer()


def cosine(a: Token, b: Token) -> float:
    x, y = a._.elmo, b._.elmo
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))


def show_senses() -> None:
    """The same word form has another vector in every sentence, nearer where it means the same. The upper layer tells
    senses apart best (Peters et al. 2018, section 5.3).
    """
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo", config={"model": {"output": "top"}})
    for word, sentences in SENSES.items():
        tokens = [next(token for token in doc if token.text == word) for doc in nlp.pipe(sentences)]
        message.divider(f"Cosine similarity of '{word}' in four sentences (top layer)")
        rows = [
            [sentence, *(f"{cosine(token, other):.2f}" for other in tokens)]
            for sentence, token in zip(sentences, tokens, strict=True)
        ]
        print(table(rows, header=["", "1", "2", "3", "4"], aligns=["l", "r", "r", "r", "r"], divider=True, max_col=60))


def show_components() -> None:
    """Texts of the test set: some of those in which the two components are right about everything, and some others."""
    ner, textcat = spacy.load(NER), spacy.load(TEXTCAT)
    gold = read_docs(Path("corpus/demo/test.spacy"))
    right: list[tuple[Doc, str]] = []
    wrong: list[tuple[Doc, str]] = []
    for wanted in gold:
        found = answer(ner(wanted.text), textcat(wanted.text))
        (right if found == answer(wanted, wanted) else wrong).append((wanted, found))
    message.divider("The trained components on texts that they have not seen")
    print(f"In {len(right)} of {len(gold)} texts all entities and the category are right:\n")
    for wanted, found in right[:3]:
        print(f"{wanted.text}\n   {found}")
    if wrong:
        print(f"\nIn {len(wrong)} they are not:\n")
    for wanted, found in wrong[:2]:
        print(f"{wanted.text}\n   {found}\n   should be {answer(wanted, wanted)}")


def answer(entities: Doc, categories: Doc) -> str:
    """What is said of a text."""
    category = max(categories.cats, key=categories.cats.__getitem__)
    found = ", ".join(f"{ent.text} ({ent.label_})" for ent in entities.ents)
    return f"{category}; {found or 'no entities'}"


def show_tables() -> None:
    for name, title in (("demo-ner", "Entities"), ("demo-textcat", "Categories")):
        message.divider(f"{title}: ELMo against spaCy's default tok2vec")
        print(Path(f"metrics/{name}.md").read_text("utf8"))


def show_what_next() -> None:
    message.divider("What next")
    print(f"The trained pipelines: {NER}\n                       {TEXTCAT}")
    print(f"Use one:               nlp = spacy.load({str(NER)!r})")
    print(
        "Train on your texts:   python -m spacy train configs/ner.cfg --paths.train TRAIN.spacy --paths.dev DEV.spacy"
    )
    print("With all settings:     README.md, section Train")


def main() -> None:
    show_senses()
    show_tables()
    show_components()
    show_what_next()


if __name__ == "__main__":
    main()

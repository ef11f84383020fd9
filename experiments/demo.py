"""Show what the demo workflow made: vectors of a word in two senses, NER and text classification at work, the tables.

python -m experiments.demo
"""

from pathlib import Path

import numpy as np
import spacy
from spacy.tokens import Token
from wasabi import Printer, table

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
# None of these stands in the training data.
TEXTS = [
    "Ngozi Adeyemi leaves Tallinn Rovers for a club in Marseille.",
    "Researchers at Uppsala University measured how the cells react to light.",
    "Take the slow train from Porto along the river Douro and stay the night in Pinhão.",
    "Shares in Brightwater Logistics fell after Helena Brandt stepped down as chair.",
]

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
    ner = spacy.load("training/demo-ner/elmo-100pct-seed0/model-best")
    textcat = spacy.load("training/demo-textcat/elmo-100pct-seed0/model-best")
    message.divider("The trained components on new texts")
    for text in TEXTS:
        cats = textcat(text).cats
        best = max(cats, key=cats.__getitem__)
        print(text)
        print("   entities:", ", ".join(f"{ent.text} ({ent.label_})" for ent in ner(text).ents) or "none")
        print(f"   category: {best} ({cats[best]:.0%})")


def show_tables() -> None:
    for name, title in (("demo-ner", "Entities"), ("demo-textcat", "Categories")):
        message.divider(f"{title}: ELMo against spaCy's default tok2vec")
        print(Path(f"metrics/{name}.md").read_text("utf8"))


if __name__ == "__main__":
    show_senses()
    show_components()
    show_tables()

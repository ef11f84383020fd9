"""Ways to classify long texts, by the vectors of their sentences: accuracy, time and memory.

    python -m experiments.long_texts --background TEXTS --heldout TEXTS --queries CLINC150 [--only NAME …]

A document has 2,000 to 20,000 words, as many short ones as long ones by a logarithmic scale: paragraphs of openly
licensed texts, one after the other as they stand in their files, and between their sentences, as every third, questions
to an assistant on one of five topics: fifteen intents each of CLINC150, a folder with train, dev and test.jsonl. The
topic is what is to be found. Test documents are made of --heldout, texts that the biLM has not read, and of test
questions; those for training and dev of --background. No paragraph stands in two documents, and no question in those of
two parts.

All are trained by the same limits. Time and memory are those of the test documents, one after the other, through a
pipeline in a process of its own, one thread: memory is its peak, less what there was before. Linux alone for that. The
table goes to metrics/long_texts.md and .json.
"""

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import spacy
import torch
from spacy.tokens import Doc
from spacy.util import load_config_from_str
from thinc.api import Config

from spacy_elmo.corpus.texts import Texts
from spacy_elmo.recipes import Recipe, as_text

from . import report
from .cost import Cost, cost_apart
from .datasets import with_all_categories, write_docs
from .training import SharedLayers, made_once, with_settings

CORPUS = Path("corpus/long_texts")
SHORTEST, LONGEST = 2_000, 20_000
# Documents of each topic, and one sentence in so many is on it.
N_DOCUMENTS = {"train": 8, "dev": 2, "test": 6}
ONE_IN = 3
# Of CLINC150's domains.
TOPICS = {
    "bank": "transfer transactions balance freeze_account pay_bill bill_balance bill_due interest_rate routing "
    "min_payment order_checks pin_change report_fraud account_blocked spending_history",
    "travel": "plug_type travel_notification translate flight_status international_visa timezone exchange_rate "
    "travel_suggestion travel_alert vaccines lost_luggage book_flight book_hotel carry_on car_rental",
    "kitchen": "recipe restaurant_reviews calories nutrition_info restaurant_suggestion ingredients_list "
    "ingredient_substitution cook_time food_last meal_suggestion restaurant_reservation confirm_reservation how_busy "
    "cancel_reservation accept_reservations",
    "car": "current_location oil_change_when oil_change_how uber traffic tire_pressure schedule_maintenance gas mpg "
    "distance directions last_maintenance gas_type tire_change jump_start",
    "work": "next_holiday insurance pto_request w2 pto_balance taxes payday income rollover_401k pto_used "
    "pto_request_status direct_deposit insurance_change schedule_meeting meeting_schedule",
}
WAYS: dict[str, dict[str, Any]] = {
    "mean of all sentences": {"pool": "mean"},
    "maximum of all sentences": {"pool": "max"},
    "attention over all sentences": {"pool": "attention"},
    "mean of the first 50": {"pool": "mean", "sentences": "first:50"},
    "mean of 50 sampled": {"pool": "mean", "sentences": "sampled:50"},
    "attention over 50 sampled": {"pool": "attention", "sentences": "sampled:50"},
}
LIMITS = {
    "training.max_steps": 300,
    "training.eval_frequency": 100,
    "training.patience": 0,
    "training.batcher": {"@batchers": "spacy.batch_by_sequence.v1", "size": 4, "get_length": None},
}


def build(arguments: argparse.Namespace) -> None:
    """Write the documents to `CORPUS`, where they are not there yet."""
    if (CORPUS / "test.spacy").exists():
        return
    background = sentences_of(arguments.background)
    sources = {"train": background, "dev": background, "test": sentences_of(arguments.heldout)}
    for part, n_each in N_DOCUMENTS.items():
        chance = random.Random(part)
        questions = questions_of(arguments.queries / f"{part}.jsonl")
        docs = [document(topic, sources[part], questions[topic], chance) for topic in TOPICS for _ in range(n_each)]
        write_docs(with_all_categories(docs), CORPUS / f"{part}.spacy")
        words = [len(doc) for doc in docs]
        print(
            f"{part}: {len(docs)} documents of {min(words):,} to {max(words):,} tokens, {sum(words):,} in all",
            flush=True,
        )


def sentences_of(paths: list[Path]) -> Iterator[list[str]]:
    """The words of each sentence of texts, a paragraph a line."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    for piece in Texts(paths).pieces():
        assert not isinstance(piece.documents, bytes), "text files, not .spacy files"
        for doc in nlp.pipe("".join(parts) for parts in piece.documents):
            yield from ([token.text for token in sentence] for sentence in doc.sents)


def questions_of(path: Path) -> dict[str, list[list[str]]]:
    """The words of each question on a topic. A question mark makes sentences of them."""
    nlp = spacy.blank("en")
    topic_of = {intent: topic for topic, intents in TOPICS.items() for intent in intents.split()}
    found: dict[str, list[list[str]]] = {topic: [] for topic in TOPICS}
    for line in path.read_text("utf8").splitlines():
        item = json.loads(line)
        if topic := topic_of.get(item["label"]):
            found[topic].append([*(token.text for token in nlp.make_doc(item["text"])), "?"])
    return found


def document(topic: str, background: Iterator[list[str]], questions: list[list[str]], chance: random.Random) -> Doc:
    """One document, which takes its sentences from the background, and draws questions, none twice."""
    n_words = int(SHORTEST * (LONGEST / SHORTEST) ** chance.random())
    left = iter(chance.sample(questions, len(questions)))
    words: list[str] = []
    while len(words) < n_words:
        question = next(left, None) if chance.random() < 1 / ONE_IN else None
        words += question or next(background)
    doc = Doc(spacy.blank("en").vocab, words=words)
    doc.cats = {topic: 1.0}
    return doc


def config_of(way: str) -> Config:
    config = load_config_from_str(as_text(Recipe(pipeline=("textcat",), **WAYS[way]), "-"))
    config["paths"] |= {part: str(CORPUS / f"{part}.spacy") for part in ("train", "dev")}
    config["training"]["score_weights"] = {"cats_micro_f": 1.0}
    return with_settings(config, LIMITS)


def cost_of(way: str) -> Cost:
    """What the test documents cost, one after the other; it does not depend on what was learned."""
    config = with_settings(config_of(way), {"corpora.train.limit": len(TOPICS)})
    return cost_apart(config, CORPUS / "test.spacy")


def table(results: list[dict[str, Any]]) -> str:
    header = ["a text is", "accuracy on test", "seconds", "words/s", "memory"]
    rows = [
        [
            one["way"],
            f"{one['test']:.1f}",
            f"{one['cost']['reading']:.0f}",
            f"{one['cost']['words'] / one['cost']['reading']:,.0f}",
            f"{one['cost']['added'] / 1e6:,.0f} MB",
        ]
        for one in results
    ]
    return report.table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--background", type=Path, nargs="+", default=[])
    parser.add_argument("--heldout", type=Path, nargs="+", default=[])
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS), metavar="NAME")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    build(arguments)
    layers = SharedLayers(6_000_000_000)
    results = []
    for way in arguments.only:
        name = f"long_texts-{way.replace(' ', '_')}"
        found = made_once(name, {"way": way}, config_of(way), CORPUS, layers)
        results.append({**found, "cost": cost_of(way)})
        report.keep(report.METRICS / "long_texts", results)
    report.write(report.METRICS / "long_texts", table(results), results)


if __name__ == "__main__":
    main()

"""What the biLM should read together: each sentence alone, sentence after sentence with the state carried on, or all of
a Doc as one sequence.

    python -m experiments.context --uner FOLDER --wnut17 FOLDER --banking77 FOLDER [--model en_elmo_sm]

The vectors are judged as they are, by linear classifiers that have no seed: softmax regression over the layers of each
word for entity tags (F1 of whole entities), and over their mean for intents (accuracy). Trained on the training set (of
Universal NER English: its dev set), with an L2 penalty chosen for the vectors of sentences alone, and scored on the
test set; differences are given with their 95% interval by a paired bootstrap over documents. Sentences are the
treebank's in Universal NER, the sentencizer's elsewhere. The state is carried as in training: forward from sentence to
sentence, and backward within each sentence, from the end state of the sentence before. Never from Doc to Doc.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
import spacy
import torch
from spacy.tokens import Doc

from spacy_elmo import load_bilm
from spacy_elmo.bilm import BiLM
from spacy_elmo.bilm.packing import Packing
from spacy_elmo.bilm.words import WordTypes

from . import report
from .datasets import read_conll, read_csv, read_iob2
from .linear import classify

WAYS = ("alone", "carried", "one sequence")
# Of the mean cross entropy.
PENALTIES = (1e-4, 1e-3, 1e-2)
Array = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
# Of each document the entities found rightly, those there are and those found; of a text, whether its label was.
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Text:
    """A document: the words of its sentences, and the tag of each word or one label for all."""

    sentences: list[list[str]]
    tags: list[str]


def embed(bilm: BiLM, docs: Sequence[list[list[str]]], way: str) -> list[Array]:
    """The layers of each Doc, (n_layers + 1, n_words, width)."""
    if way == "carried":
        return [array for start in range(0, len(docs), 64) for array in carried(bilm, docs[start : start + 64])]
    if way == "one sequence":
        return bilm.embed([[word for sentence in doc for word in sentence] for doc in docs])
    arrays = iter(bilm.embed([sentence for doc in docs for sentence in doc]))
    return [np.concatenate([next(arrays) for _ in doc], axis=1) for doc in docs]


@torch.no_grad()
def carried(bilm: BiLM, docs: Sequence[list[list[str]]]) -> list[Array]:
    """Rows as in pretraining: <S> and the words forward, </S> and the words backward, sentence after sentence."""
    config = bilm.config
    types = WordTypes.of([[word for sentence in doc for word in sentence] for doc in docs], bilm.word_encoder)
    numbers = iter(types.tokens[types.tokens > 1].tolist())
    rows: tuple[list[int], list[int]] = ([], [])
    places: list[tuple[list[int], list[int]]] = []
    lengths = []
    for doc in docs:
        begin = len(rows[0])
        forward_places: list[int] = []
        backward_places: list[int] = []
        for sentence in doc:
            first, words = len(rows[0]), [next(numbers) for _ in sentence]
            rows[0].extend([0, *words])
            rows[1].extend([1, *reversed(words)])
            forward_places += range(first + 1, first + 1 + len(words))
            backward_places += range(first + len(words), first, -1)
        places.append((forward_places, backward_places))
        lengths.append(len(rows[0]) - begin)
    packing = Packing.of(lengths)
    index, sizes = torch.from_numpy(packing.forward), packing.batch_sizes.tolist()
    back = torch.argsort(index)
    table = bilm.word_encoder(torch.from_numpy(types.ids))
    halves = []
    for direction, stack in enumerate(bilm.stacks):
        tokens = table[torch.tensor(rows[direction])]
        outputs, x = [tokens], tokens[index]
        for number, lstm in enumerate(stack):
            zeros = torch.zeros(len(docs), config.projection_dim), torch.zeros(len(docs), config.cell_dim)
            y, _ = lstm(x, sizes, zeros)
            x = y + x if number and config.skip_connections else y
            outputs.append(x[back])
        halves.append(torch.stack(outputs).numpy())
    return [np.concatenate([halves[0][:, f], halves[1][:, b]], axis=2) for f, b in places]


def sentences_of(doc: Doc) -> list[list[str]]:
    return [[token.text for token in sentence] for sentence in SENTENCIZER(doc).sents]


SENTENCIZER = spacy.blank("en").add_pipe("sentencizer")


def bio(doc: Doc) -> list[str]:
    return [f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O" for token in doc]


def uner(folder: Path) -> tuple[list[Text], list[Text]]:
    def read(name: str) -> list[Text]:
        texts = []
        for _, group in groupby(read_iob2(folder / name), key=lambda doc: doc.user_data["document"]):
            parts = list(group)
            tags = [tag for part in parts for tag in bio(part)]
            texts.append(Text([[token.text for token in part] for part in parts], tags))
        return texts

    return read("dev.iob2"), read("test.iob2")


def wnut17(folder: Path) -> tuple[list[Text], list[Text]]:
    def read(name: str) -> list[Text]:
        return [Text(sentences_of(doc), bio(doc)) for doc in read_conll(folder / name)]

    return read("train.conll"), read("test.conll")


def banking77(folder: Path) -> tuple[list[Text], list[Text]]:
    def read(name: str) -> list[Text]:
        return [Text(sentences_of(doc), list(doc.cats)) for doc in read_csv(folder / name)]

    return read("train.csv"), read("test.csv")


def rows(arrays: list[Array]) -> Array:
    """A row for each word, all its layers side by side."""
    return np.concatenate([array.transpose(1, 0, 2).reshape(array.shape[1], -1) for array in arrays])


def means(arrays: list[Array]) -> Array:
    """A row for each text."""
    return np.stack([array.mean(axis=1).reshape(-1) for array in arrays])


def entities(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Spans of tags in the BIO scheme; one that begins inside an entity begins there."""
    found, start = set(), -1
    for i, tag in enumerate([*tags, "O"]):
        inside = start >= 0 and tag == f"I-{tags[start][2:]}"
        if start >= 0 and not inside:
            found.add((start, i, tags[start][2:]))
            start = -1
        if tag != "O" and not inside:
            start = i
    return found


def entity_counts(gold: Sequence[str], found: Sequence[str]) -> tuple[int, int, int]:
    """True positives, gold and found entities."""
    wanted, got = entities(gold), entities(found)
    return len(wanted & got), len(wanted), len(got)


def label_counts(gold: Sequence[str], found: Sequence[str]) -> tuple[int, int, int]:
    """So that F1 is accuracy."""
    return int(gold == found), 1, 1


def f1(counts: Counts) -> float:
    right, wanted, got = counts.sum(axis=0)
    return float(200 * right / (wanted + got))


def interval(counts: Counts, other: Counts) -> tuple[float, float]:
    """95% of the difference of F1, by 1,000 draws of as many documents."""
    chance = np.random.default_rng(0)
    draws = [chance.integers(0, len(counts), len(counts)) for _ in range(1000)]
    low, high = np.percentile([f1(counts[draw]) - f1(other[draw]) for draw in draws], [2.5, 97.5])
    return float(low), float(high)


def measure(bilm: BiLM, train: list[Text], test: list[Text], ways: Sequence[str] = WAYS) -> dict[str, Counts]:
    """For each way the counts of each test document, whose F1 is its score."""
    is_ner = len(train[0].tags) == sum(map(len, train[0].sentences))
    features = rows if is_ner else means
    count = entity_counts if is_ner else label_counts
    classes = sorted({tag for text in train for tag in text.tags})
    y = np.array([classes.index(tag) for text in train for tag in text.tags])
    held = len(train) // 5
    n_held = sum(len(text.tags) for text in train[:held])

    def counts(x: Array, y: Numbers, x_test: Array, texts: list[Text], penalty: float) -> Counts:
        found = iter([classes[i] for i in classify(x, y, x_test, l2=penalty * len(y))])
        return np.array([count(text.tags, [next(found) for _ in text.tags]) for text in texts])

    results: dict[str, Counts] = {}
    penalty = 0.0
    for way in ways:
        x, x_test = (features(embed(bilm, [text.sentences for text in texts], way)) for texts in (train, test))
        if not penalty:
            scores = [f1(counts(x[n_held:], y[n_held:], x[:n_held], train[:held], value)) for value in PENALTIES]
            penalty = PENALTIES[int(np.argmax(scores))]
        results[way] = counts(x, y, x_test, test, penalty)
    return results


def table(results: dict[str, dict[str, Counts]]) -> str:
    """Markdown, a row for each task and way."""
    rows = [row for task, ways in results.items() for row in table_rows(task, ways)]
    return report.table(["data", "read", "score", "to alone (95%)"], rows)


def table_rows(task: str, results: dict[str, Counts]) -> Iterator[list[str]]:
    for way, found in results.items():
        low, high = interval(found, results["alone"])
        difference = "" if way == "alone" else f"{f1(found) - f1(results['alone']):+.1f} ({low:+.1f} to {high:+.1f})"
        yield [task, way, f"{f1(found):.1f}", difference]


TASKS: dict[str, Callable[[Path], tuple[list[Text], list[Text]]]] = {
    "uner": uner,
    "wnut17": wnut17,
    "banking77": banking77,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for task in TASKS:
        parser.add_argument(f"--{task}", type=Path, help="folder with its files")
    parser.add_argument("--model", default="en_elmo_sm")
    arguments = parser.parse_args()
    bilm = load_bilm(arguments.model, "cpu")
    folders = {task: folder for task in TASKS if (folder := getattr(arguments, task))}
    print(table({task: measure(bilm, *TASKS[task](folder)) for task, folder in folders.items()}))


if __name__ == "__main__":
    main()

"""Frozen vectors of several models, judged by the same linear classifiers: scores, words a second, and size.

    python -m experiments.compare_vectors [--uner FOLDER] [--wnut17 FOLDER] [--banking77 FOLDER] [--reviews FOLDER]

ELMo (all layers), GloVe, both side by side, and MiniLM (see experiments/peers.py). Softmax regression has no seed: over
each word's vector for entity tags (F1 of whole entities), over the mean of a text's words, for MiniLM over its own
sentence vector, for categories (accuracy). The L2 penalty is chosen for each by a fifth of the training set; the test
set is scored once. --reviews has train.csv and test.csv with text and category, as --banking77. Words a second are of
the test set, by this process's own time, one thread. The table goes to metrics/vectors.md and .json.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spacy_elmo import load_bilm

from . import report
from .context import PENALTIES, TASKS, Text, banking77, entity_counts, f1, label_counts
from .linear import classify
from .peers import Glove, MiniLM

Array = npt.NDArray[np.float32]
# A row for each word, or for each text where a text has one label.
Featurise = Callable[[Sequence[Text]], Array]
READERS = {**TASKS, "reviews": banking77}


def of_words(embed: Callable[[list[list[str]]], list[Array]]) -> Featurise:
    """Features from words' vectors, (n_words, width) for each sentence."""

    def featurise(texts: Sequence[Text]) -> Array:
        arrays = iter(embed([sentence for text in texts for sentence in text.sentences]))
        words = [np.concatenate([next(arrays) for _ in text.sentences]) for text in texts]
        return np.concatenate(words) if tags_words(texts) else np.stack([array.mean(axis=0) for array in words])

    return featurise


def tags_words(texts: Sequence[Text]) -> bool:
    return all(len(text.tags) == sum(map(len, text.sentences)) for text in texts)


def elmo(model: str) -> Featurise:
    bilm = load_bilm(model, "cpu")
    return of_words(
        lambda sentences: [array.transpose(1, 0, 2).reshape(array.shape[1], -1) for array in bilm.embed(sentences)]
    )


def minilm() -> Featurise:
    model = MiniLM()
    words = of_words(model.embed)

    def featurise(texts: Sequence[Text]) -> Array:
        if tags_words(texts):
            return words(texts)
        return model.embed_texts([" ".join(word for sentence in text.sentences for word in sentence) for text in texts])

    return featurise


def score(train: list[Text], test: list[Text], x: Array, x_test: Array) -> float:
    """F1 or accuracy on the test set, in percent, with the penalty that a fifth of the training set chooses."""
    classes = sorted({tag for text in train for tag in text.tags})
    y = np.array([classes.index(tag) for text in train for tag in text.tags])
    count = entity_counts if tags_words(train) else label_counts
    held = len(train) // 5
    n_held = sum(len(text.tags) for text in train[:held])

    def found(fitted: Array, tags: npt.NDArray[np.int64], rows: Array, texts: list[Text], penalty: float) -> float:
        tagged = iter([classes[i] for i in classify(fitted, tags, rows, l2=penalty * len(tags))])
        return f1(np.array([count(text.tags, [next(tagged) for _ in text.tags]) for text in texts]))

    tried = [found(x[n_held:], y[n_held:], x[:n_held], train[:held], penalty) for penalty in PENALTIES]
    return found(x, y, x_test, test, PENALTIES[int(np.argmax(tried))])


def measure(task: str, folder: Path, vectors: dict[str, Featurise]) -> list[dict[str, Any]]:
    train, test = READERS[task](folder)
    n_words = sum(len(sentence) for text in test for sentence in text.sentences)
    features: dict[str, tuple[Array, Array]] = {}
    results = []
    for name, featurise in vectors.items():
        start = time.process_time()
        x_test = featurise(test)
        seconds = time.process_time() - start
        features[name] = featurise(train), x_test
        results.append(
            {"task": task, "vectors": name, "score": score(train, test, *features[name]), "speed": n_words / seconds}
        )
        print(results[-1], flush=True)
    both = [np.concatenate(parts, axis=1) for parts in zip(features["GloVe"], features["ELMo"], strict=True)]
    results.append({"task": task, "vectors": "GloVe + ELMo", "score": score(train, test, *both), "speed": None})
    return results


def table(results: list[dict[str, Any]]) -> str:
    rows = [
        [one["task"], one["vectors"], f"{one['score']:.1f}", f"{one['speed']:,.0f}" if one["speed"] else ""]
        for one in results
    ]
    return report.table(["data", "vectors", "score on test", "words/s"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for task in READERS:
        parser.add_argument(f"--{task}", type=Path, metavar="FOLDER")
    parser.add_argument("--model", default="en_elmo_sm")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    vectors = {"GloVe": of_words(Glove().embed), "ELMo": elmo(arguments.model), "MiniLM": minilm()}
    folders = {task: folder for task in READERS if (folder := getattr(arguments, task))}
    results = [one for task, folder in folders.items() for one in measure(task, folder, vectors)]
    report.write(report.METRICS / "vectors", table(results), results)


if __name__ == "__main__":
    main()

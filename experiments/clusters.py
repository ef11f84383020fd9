"""Whether what lies together on a page of `explain senses` means the same.

    python -m experiments.clusters [--model en_elmo_sm] [--output metrics/clusters]

Over the words of assets/probes/senses.jsonl, which have two senses each: how far the clusters agree with the senses
(Rand index, adjusted for chance: 0 is chance, 1 is all), and how often the nearest occurrence has the same sense, in
each layer. By chance that is (n / 2 - 1) / (n - 1) of n occurrences.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score

from spacy_elmo import load_bilm
from spacy_elmo.explain import Occurrence, Senses, find_senses

from . import report
from .datasets import read_senses

PROBES = Path("assets/probes/senses.jsonl")


def nearest_agree(senses: Senses, layer: int) -> float:
    """How often the nearest occurrence is of the same sense."""
    labels = [one.label for one in senses.occurrences]
    return float(np.mean([labels[senses.nearest(layer, i)[0]] == labels[i] for i in range(len(labels))]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="en_elmo_sm")
    parser.add_argument("--output", type=Path, default=Path("metrics/clusters"))
    arguments = parser.parse_args()
    bilm = load_bilm(arguments.model, "cpu")
    occurrences: dict[str, list[Occurrence]] = defaultdict(list)
    for one in read_senses(PROBES):
        occurrences[one.word].append(Occurrence(tuple(one.sentence), one.position, one.sense))
    found = [find_senses(bilm, word, places) for word, places in occurrences.items()]
    chance = float(np.mean([(len(one.labels) / 2 - 1) / (len(one.labels) - 1) for one in found]))
    results = {
        "words": len(found),
        "clusters against senses": float(
            np.mean([adjusted_rand_score([place.label for place in one.occurrences], one.labels) for one in found])
        ),
        "nearest of the same sense by chance": chance,
        **{
            f"nearest of the same sense, layer {layer}": float(np.mean([nearest_agree(one, layer) for one in found]))
            for layer in range(bilm.config.n_layers + 1)
        },
    }
    report.write(
        arguments.output, report.table(["", ""], [[name, f"{value:.2f}"] for name, value in results.items()]), results
    )


if __name__ == "__main__":
    main()

"""Measure what each layer of a biLM knows: parts of speech and word senses (after Peters et al. 2018, section 5.3).

    python -m experiments.layers [MODEL] [--pos FILE.conllu] [--senses FILE.jsonl] [--output metrics/layers]

MODEL is whatever `spacy_elmo.load_bilm` takes, by default the embedded one. The table goes to OUTPUT.md and
OUTPUT.json.

Parts of speech: a linear softmax probe on the vectors of one layer, tested by cross-validation over sentences. --pos is
any treebank file in CoNLL-U. Word senses: an occurrence gets the sense whose average vector, over other sentences, is
nearest by cosine. --senses has a JSON object a line with "word", "sense" and "text", words split by spaces.

Intervals hold 95 % of bootstrap samples, of sentences for parts of speech and of words for senses.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spacy_elmo import load_bilm

from . import report
from .datasets import Occurrence, TaggedSentence, read_conllu, read_senses
from .linear import classify

PROBES = Path(__file__).parent.parent / "assets" / "probes"
SEED = 0
N_SAMPLES = 2000
# Cosines nearer than this are equal: the vectors of a word in layer 0 are the same in all sentences, up to rounding.
TIE = 1e-6

Vectors = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


# Layers


def views(arrays: Sequence[Vectors]) -> Iterator[tuple[str, Vectors]]:
    """Each layer's name and vectors (n_tokens of all sentences, width), then their average's.

    arrays: (n_layers + 1, n_tokens, width) for each sentence.
    """
    layers = np.concatenate(arrays, axis=1)
    for number, layer in enumerate(layers):
        yield str(number), layer
    yield "average", layers.mean(axis=0)


# Parts of speech


def fold_of_each(n_sentences: int, n_folds: int) -> Numbers:
    return np.random.default_rng(SEED).permutation(n_sentences) % n_folds


def probe_hits(x: Vectors, y: Numbers, folds: Numbers, l2: float) -> Values:
    """Where a probe that was trained on the other folds finds the tag: 1.0, elsewhere 0.0.

    x: (n_tokens, width). y, folds: (n_tokens,) numbers of tags and of folds.
    """
    hits = np.zeros(len(y))
    for fold in np.unique(folds):
        held_out = folds == fold
        hits[held_out] = classify(x[~held_out], y[~held_out], x[held_out], l2) == y[held_out]
    return hits


def frequent_tag_hits(forms: Sequence[str], y: Numbers, folds: Numbers) -> Values:
    """As `probe_hits`, of the tag that the form has most often in the other folds, or that is most frequent there."""
    hits = np.zeros(len(y))
    for fold in np.unique(folds):
        tags: dict[str, Counter[int]] = {}
        every: Counter[int] = Counter()
        for form, tag, its_fold in zip(forms, y.tolist(), folds, strict=True):
            if its_fold != fold:
                tags.setdefault(form, Counter())[tag] += 1
                every[tag] += 1
        for i in np.flatnonzero(folds == fold).tolist():
            hits[i] = tags.get(forms[i], every).most_common(1)[0][0] == y[i]
    return hits


def ambiguous(forms: Sequence[str], y: Numbers) -> npt.NDArray[np.bool_]:
    """Which tokens have a form that has more than one tag in the data."""
    tags: dict[str, set[int]] = {}
    for form, tag in zip(forms, y.tolist(), strict=True):
        tags.setdefault(form, set()).add(tag)
    return np.array([len(tags[form]) > 1 for form in forms])


def probe_pos(bilm: Any, sentences: Sequence[TaggedSentence], n_folds: int, l2: float) -> dict[str, Any]:
    tag_names = sorted({tag for sentence in sentences for tag in sentence.tags})
    y = np.array([tag_names.index(tag) for sentence in sentences for tag in sentence.tags])
    forms = [word.lower() for sentence in sentences for word in sentence.words]
    owners = np.repeat(np.arange(len(sentences)), [len(sentence.words) for sentence in sentences])
    folds = fold_of_each(len(sentences), n_folds)[owners]
    several = ambiguous(forms, y)
    hits = {
        name: probe_hits(x, y, folds, l2) for name, x in views(bilm.embed([sentence.words for sentence in sentences]))
    }
    baseline = frequent_tag_hits(forms, y, folds)
    return {
        "sentences": len(sentences),
        "tokens": len(y),
        "ambiguous_tokens": int(several.sum()),
        "tags": tag_names,
        "folds": n_folds,
        "l2": l2,
        "all": results(hits, baseline, owners),
        "ambiguous": results(
            {name: values[several] for name, values in hits.items()}, baseline[several], owners[several]
        ),
    }


# Word senses


def sense_hits(x: Vectors, words: Sequence[str], senses: Sequence[str]) -> Values:
    """1.0 where the nearest average vector is that of the sense; where several are equally near, its share of them.

    The k-th sentences of all senses of a word are left out together. If one alone were, its own sense's average would
    be of fewer vectors than the others', and so noisier: a guess would then be right less often than by chance.

    x: (n_occurrences, width).
    """
    hits = np.zeros(len(senses))
    members: dict[str, dict[str, list[int]]] = {}
    for i, (word, sense) in enumerate(zip(words, senses, strict=True)):
        members.setdefault(word, {}).setdefault(sense, []).append(i)
    for of_senses in members.values():
        for own, occurrences in of_senses.items():
            for k, i in enumerate(occurrences):
                similarities = {
                    sense: cosine(x[i], x[others[:k] + others[k + 1 :]].mean(axis=0, dtype=np.float64))
                    for sense, others in of_senses.items()
                }
                best = max(similarities.values())
                nearest = [sense for sense, value in similarities.items() if best - value < TIE]
                hits[i] = (own in nearest) / len(nearest)
    return hits


def cosine(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> float:
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))


def probe_senses(bilm: Any, occurrences: Sequence[Occurrence]) -> dict[str, Any]:
    words = [occurrence.word for occurrence in occurrences]
    senses = [occurrence.sense for occurrence in occurrences]
    names = sorted(set(words))
    owners = np.array([names.index(word) for word in words])
    arrays = [
        array[:, [occurrence.position]]
        for array, occurrence in zip(bilm.embed([each.sentence for each in occurrences]), occurrences, strict=True)
    ]
    frequent = {word: Counter(s for w, s in zip(words, senses, strict=True) if w == word) for word in names}
    # Of the data themselves: with equally many sentences for each sense, it is chance.
    baseline = np.array(
        [frequent[word].most_common(1)[0][0] == sense for word, sense in zip(words, senses, strict=True)], dtype=float
    )
    hits = {name: sense_hits(x, words, senses) for name, x in views(arrays)}
    return {
        "words": len(names),
        "senses": len(set(senses)),
        "sentences": len(senses),
        "all": results(hits, baseline, owners),
    }


# Results


def results(hits: dict[str, Values], baseline: Values, owners: Numbers) -> dict[str, Any]:
    """Accuracies, and differences of each layer from the one below, each with its interval."""
    layers = [name for name in hits if name != "average"]
    return {
        "layers": {name: estimate(values, owners) for name, values in hits.items()},
        "baseline": estimate(baseline, owners),
        "differences": {
            f"{upper} - {lower}": estimate(hits[upper] - hits[lower], owners) for lower, upper in pairwise(layers)
        },
    }


def estimate(values: Values, owners: Numbers) -> dict[str, float]:
    """The mean in percent and its interval, samples being drawn of owners: what one owner has hangs together."""
    _, owners = np.unique(owners, return_inverse=True)
    sums, sizes = np.bincount(owners, weights=values), np.bincount(owners)
    drawn = np.random.default_rng(SEED).integers(len(sums), size=(N_SAMPLES, len(sums)))
    means = 100 * sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"value": 100 * float(values.mean()), "low": float(low), "high": float(high)}


def table(found: dict[str, Any]) -> str:
    """Markdown, a row for each layer, and below it the differences."""
    pos, senses = found["pos"], found["senses"]
    columns = {
        "part of speech": pos["all"],
        "part of speech, ambiguous forms": pos["ambiguous"],
        "word sense": senses["all"],
    }
    names = {"0": "0 (words, without context)", "average": "average of layers"}
    rows = [
        [names.get(name, name), *(shown(column["layers"][name]) for column in columns.values())]
        for name in pos["all"]["layers"]
    ]
    rows.append(["baseline", *(shown(column["baseline"]) for column in columns.values())])
    rows += [
        [name, *(shown(column["differences"][name], sign="+") for column in columns.values())]
        for name in pos["all"]["differences"]
    ]
    return (
        f"Accuracy (%) on vectors of `{found['model']}`, with 95 % bootstrap intervals. Parts of speech: "
        f"{pos['tokens']:,} tokens in {pos['sentences']:,} sentences, {pos['ambiguous_tokens']:,} of a form with more "
        f"than one tag; linear probe, {pos['folds']}-fold cross-validation. Word senses: {senses['sentences']:,} "
        f"sentences, {senses['words']:,} words, {senses['senses']:,} senses; nearest average vector.\n\n"
        f"{report.table(['layer', *columns], rows)}\n"
        "Baselines: the most frequent tag of the form in the training folds; the more frequent sense of the word.\n"
    )


def shown(cell: dict[str, float], sign: str = "") -> str:
    return f"{cell['value']:{sign}.1f} [{cell['low']:{sign}.1f}, {cell['high']:{sign}.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="en_elmo_sm", help="default: %(default)s")
    parser.add_argument("--pos", type=Path, default=PROBES / "pos.conllu", metavar="FILE.conllu")
    parser.add_argument("--senses", type=Path, default=PROBES / "senses.jsonl", metavar="FILE.jsonl")
    parser.add_argument("--output", type=Path, default=Path("metrics/layers"), help="default: %(default)s")
    parser.add_argument("--folds", type=int, default=10, help="of the cross-validation; default: %(default)s")
    parser.add_argument("--l2", type=float, default=1.0, help="penalty on the probe's weights; default: %(default)s")
    arguments = parser.parse_args()
    sentences, occurrences = read_conllu(arguments.pos), read_senses(arguments.senses)
    if not 2 <= arguments.folds <= len(sentences):
        raise SystemExit(
            f"--folds {arguments.folds}: must be from 2 to the number of sentences, and {arguments.pos} has "
            f"{len(sentences)}."
        )
    for sense, count in Counter(occurrence.sense for occurrence in occurrences).items():
        if count < 2:
            raise SystemExit(
                f"{arguments.senses}: {sense} has one sentence, but one is left out for each test. Add some."
            )
    bilm = load_bilm(arguments.model)
    found = {
        "model": arguments.model,
        "pos": {"file": str(arguments.pos), **probe_pos(bilm, sentences, arguments.folds, arguments.l2)},
        "senses": {"file": str(arguments.senses), **probe_senses(bilm, occurrences)},
    }
    report.write(arguments.output, table(found), found)


if __name__ == "__main__":
    main()

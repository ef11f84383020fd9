"""How well vectors tell how alike two sentences are: by layer and by how words' vectors become one, beside others'.

    python -m experiments.similarity [--model en_elmo_sm] [--pairs FILE] [--fit FILE] [--peers] [--default PIPELINE]

FILE has two texts and their rating a line: .tsv as assets/similarity/pairs.tsv, or .jsonl with "a", "b" and "score" (as
JGLUE's JSTS). Correlations of the cosines with the ratings, Pearson's and Spearman's, and the mean cosine of the pairs
that are rated 0. `SentenceVectors` is fitted on the pairs' own texts, or on the "text" of each line of --fit: never on
ratings. --peers adds GloVe and MiniLM, see experiments/peers.py; --default adds what the default tok2vec of a trained
pipeline leaves in Doc.tensor. The table goes to OUTPUT.md and OUTPUT.json.
"""

import argparse
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import spacy
from scipy.stats import pearsonr, spearmanr
from spacy.language import Language
from spacy.tokens import Doc

from spacy_elmo import load_bilm
from spacy_elmo.layers import slot
from spacy_elmo.similarity import SentenceVectors, WordFrequencies, cosine, max_vector, mean_vector

from . import report
from .peers import Glove, MiniLM

PAIRS = Path(__file__).parent.parent / "assets" / "similarity" / "pairs.tsv"
Array = npt.NDArray[np.float32]
Embed = Callable[[Sequence[Sequence[str]]], list[Array]]


@dataclass(frozen=True)
class Pair:
    """Two texts, and from 0 to 5 how alike they are."""

    one: str
    other: str
    rating: float


def read_pairs(path: Path) -> list[Pair]:
    with path.open(encoding="utf8", newline="") as file:
        if path.suffix == ".jsonl":
            return [Pair(item["a"], item["b"], float(item["score"])) for item in map(json.loads, file)]
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            Pair(row["first"], row["second"], (float(row["rating 1"]) + float(row["rating 2"])) / 2) for row in rows
        ]


def read_texts(path: Path) -> list[str]:
    with path.open(encoding="utf8") as file:
        return [json.loads(line)["text"] for line in file]


def all_tokens(doc: Doc) -> Array:
    """What spaCy's `Doc.vector` is where there are no other vectors."""
    tensor: Any = doc.tensor
    mean: Array = tensor.mean(axis=0)
    return mean


def poolings(texts: list[Doc]) -> dict[str, Callable[[Doc], Array | None]]:
    """What makes one vector of a Doc's, by name; those that take something out are fitted on texts."""
    by_frequency = WordFrequencies.of(texts).vector
    return {
        "mean of all tokens": all_tokens,
        "largest of each column (max_vector)": max_vector,
        "mean of words (mean_vector, Doc._.elmo)": mean_vector,
        "weighted by frequency (WordFrequencies)": by_frequency,
        "weighted by frequency, minus the mean": SentenceVectors.fit(texts, by_frequency).vector,
        "mean of words, minus the mean (SentenceVectors)": SentenceVectors.fit(texts).vector,
    }


def read_by(embed: Embed, nlp: Language, texts: Sequence[str]) -> list[Doc]:
    """Docs with these vectors, as the component would leave them."""
    docs = [nlp.make_doc(text) for text in texts]
    for doc, vectors in zip(docs, embed([[token.text for token in doc] for doc in docs]), strict=True):
        tensor: Any = vectors
        doc.tensor = tensor
        slot.write(doc, "elmo", [(0, len(doc))], vectors, None)
    return docs


def agreement(cosines: Sequence[float], pairs: Sequence[Pair]) -> dict[str, float]:
    ratings = [pair.rating for pair in pairs]
    unrelated = [value for value, rating in zip(cosines, ratings, strict=True) if rating == 0]
    return {
        "pearson": 100 * float(pearsonr(cosines, ratings)[0]),
        "spearman": 100 * float(spearmanr(cosines, ratings)[0]),
        "unrelated": float(np.mean(unrelated)),
    }


def measure(embed: Embed, nlp: Language, pairs: Sequence[Pair], others: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A result for each pooling of these vectors."""
    docs = read_by(embed, nlp, [text for pair in pairs for text in (pair.one, pair.other)])
    for name, pool in poolings(read_by(embed, nlp, others) if others else docs).items():
        vectors: Any = [pool(doc) for doc in docs]
        cosines = [cosine(one, other) for one, other in zip(vectors[::2], vectors[1::2], strict=True)]
        yield {"pooling": name, **agreement(cosines, pairs)}


def elmo_views(model: str) -> Iterator[tuple[str, Embed]]:
    """Each layer of a model alone, all on average, and all side by side. A text is read once for all of them."""
    bilm = load_bilm(model, "cpu")
    layers_of = cache(bilm.embed)

    def seen(view: Callable[[Array], Array]) -> Embed:
        return lambda sentences: [view(layers) for layers in layers_of(tuple(map(tuple, sentences)))]

    for number in range(bilm.config.n_layers + 1):
        yield f"{model}, layer {number}", seen(itemgetter(number))
    yield f"{model}, average", seen(lambda layers: layers.mean(axis=0))
    yield f"{model}, concat", seen(lambda layers: layers.transpose(1, 0, 2).reshape(layers.shape[1], -1))


def peers(nlp: Language, pairs: Sequence[Pair], others: Sequence[str]) -> Iterator[dict[str, Any]]:
    for one in measure(Glove().embed, nlp, pairs, others):
        yield {"vectors": "GloVe 6B, 50 wide", **one}
    minilm = MiniLM().embed_texts([text for pair in pairs for text in (pair.one, pair.other)])
    cosines = [cosine(one, other) for one, other in zip(minilm[::2], minilm[1::2], strict=True)]
    yield {"vectors": "MiniLM-L6-v2", "pooling": "its own", **agreement(cosines, pairs)}


def default_tok2vec(pipeline: Path) -> Embed:
    """The vectors of a pipeline that has a tok2vec of spaCy's."""
    nlp = spacy.load(pipeline)

    def embed(sentences: Sequence[Sequence[str]]) -> list[Array]:
        docs = nlp.pipe(Doc(nlp.vocab, words=list(words)) for words in sentences)
        return [np.asarray(doc.tensor) for doc in docs]

    return embed


def table(results: list[dict[str, Any]]) -> str:
    rows = [
        [
            one["vectors"],
            one["pooling"],
            f"{one['pearson']:.1f}",
            f"{one['spearman']:.1f}",
            f"{one['unrelated']:.2f}",
        ]
        for one in results
    ]
    return report.table(["vectors", "pooling", "Pearson", "Spearman", "cosine of unrelated"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="en_elmo_sm")
    parser.add_argument("--lang", default="en", help="whose tokenizer; default: %(default)s")
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--fit", type=Path, metavar="FILE.jsonl")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--default", type=Path, metavar="PIPELINE")
    parser.add_argument("--output", type=Path, default=Path("metrics/similarity"))
    arguments = parser.parse_args()
    nlp = spacy.blank(arguments.lang)
    pairs = read_pairs(arguments.pairs)
    others = read_texts(arguments.fit) if arguments.fit else []
    results = [
        {"vectors": name, **one}
        for name, embed in elmo_views(arguments.model)
        for one in measure(embed, nlp, pairs, others)
    ]
    results += peers(nlp, pairs, others) if arguments.peers else []
    if arguments.default:
        named = {"vectors": "spaCy's default tok2vec"}
        results += [named | one for one in measure(default_tok2vec(arguments.default), nlp, pairs, others)]
    report.write(arguments.output, table(results), results)


if __name__ == "__main__":
    main()

"""The layers of a biLM: what trained components take of each, how far each moves a word, and what each knows."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from spacy import Language
from thinc.api import Model

from ..bilm import BiLM
from ..disk import read_json
from ..layers.layer_mix import mix_weights
from ..layers.listener import ElmoListener
from .directions import directions
from .errors import ExplainError

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mix:
    """How a listener makes one vector of a token's layers: gamma * sum_k s_k h_k (Peters et al. 2018, equation 1).

    Attributes:
        component: The component that it is in.
        weights: s, which sum to 1, (n_layers + 1,) float32.
        gamma: The scale.
    """

    component: str
    weights: npt.NDArray[np.float32]
    gamma: float


@dataclass(frozen=True)
class Movement:
    """How far each layer moves words from what they are without context (after Ethayarajh 2019, section 3.2).

    Of a word in a layer: (1 - its self-similarity) / (1 - the similarity of any two tokens), where self-similarity is
    the mean cosine of its occurrences in different sentences. 0 is a vector that is the same everywhere, as in layer
    0; 1 is one that tells its word no better than chance.

    Attributes:
        words: Those that occur often enough, the most frequent first.
        counts: How often each does.
        moved: (n_layers + 1, n_words) float64.
        similarity: The mean cosine of any two tokens in each layer, (n_layers + 1,).
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    moved: Values
    similarity: Values

    @property
    def mean(self) -> Values:
        """Over words, (n_layers + 1,)."""
        average: Values = self.moved.mean(axis=1)
        return average


@dataclass(frozen=True)
class LayerReport:
    """What is known of a model's layers. Each part may be empty.

    Attributes:
        mixes: Of trained listeners.
        movement: Over some texts.
        probes: What `python -m experiments.layers` found, as its JSON file has it.
    """

    mixes: tuple[Mix, ...] = ()
    movement: Movement | None = None
    probes: dict[str, Any] | None = None


def learned_mixes(nlp: Language) -> list[Mix]:
    """The mixes that the listeners of a pipeline have learned; those of a fixed choice of layers learn none."""
    found = []
    for name, pipe in nlp.components:
        model = getattr(pipe, "model", None)
        for node in model.walk() if isinstance(model, Model) else ():
            if isinstance(node, ElmoListener) and node.mix.has_param("w"):
                to_numpy: Any = node.mix.ops.to_numpy
                gamma = float(to_numpy(node.mix.get_param("gamma"))[0])
                found.append(Mix(name, to_numpy(mix_weights(node.mix)), gamma))
    return found


def measure_movement(bilm: BiLM, sentences: Sequence[Sequence[str]], min_count: int = 3) -> Movement:
    """Measure how far each layer moves words.

    Args:
        bilm: The model.
        sentences: Lists of words.
        min_count: In how many sentences a word has to stand; where it stands twice in one, the first counts.

    Raises:
        ExplainError: No word stands in so many.
    """
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row, words in enumerate(sentences):
        for word in dict.fromkeys(words):
            places[word].append((row, words.index(word)))
    often = sorted((w for w, found in places.items() if len(found) >= min_count), key=lambda w: (-len(places[w]), w))
    if not often:
        raise ExplainError(f"No word stands in {min_count} of these {len(sentences)} sentences. Give more texts.")
    layers = bilm.embed(sentences)
    similarity = _mean_cosine(np.concatenate(layers, axis=1))
    own = [_mean_cosine(np.stack([layers[r][:, i] for r, i in places[word]], axis=1)) for word in often]
    moved = (1 - np.stack(own, axis=1)) / (1 - similarity[:, None])
    return Movement(tuple(often), tuple(len(places[word]) for word in often), moved, similarity)


def read_probes(path: Path) -> dict[str, Any]:
    """What `python -m experiments.layers` wrote.

    Raises:
        ExplainError: The file is another one.
    """
    found = read_json(path, ExplainError)
    if not isinstance(found, dict) or not {"model", "pos", "senses"} <= found.keys():
        raise ExplainError(
            f"{path}: not what `python -m experiments.layers` writes, which has the keys pos and senses."
        )
    return found


def _mean_cosine(vectors: npt.NDArray[np.float32]) -> Values:
    """Over all pairs of different rows, in each layer: (n_layers + 1, n, width) -> (n_layers + 1,)."""
    n = vectors.shape[1]
    sums = directions(vectors.astype(np.float64)).sum(axis=1)
    cosines: Values = ((sums**2).sum(axis=-1) - n) / (n * (n - 1))
    return cosines

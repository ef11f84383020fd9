"""A small random model in AllenNLP's format, the sentences that the tests embed with it, and its reference."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.checkpoints.test_allennlp import write_pair
from tests.reference.numpy_elmo import NumpyELMo, State, random_options, random_weights

Sentences = list[list[str]]

# Batches of 2, 4, 1, 3 and 4 sentences: the rows grow, wait, and go on. Empty sentences pass through their boundaries.
BATCHES: list[Sentences] = [
    [["Nobody", "looked", "up", "from", "the", "naïve", "cards", "."], ["one"]],
    [["a", "b"], [], ["the", "third", "row"], ["日本語", "🙂", "\ud800", "", "x" * 60]],
    [["short"]],
    [["It", "goes", "on"], ["and", "on", ",", "and", "on"], []],
    [["the", "last"], ["of", "all", "the", "batches"], ["has"], ["four", "rows"]],
]
VOCABULARY = ["<padding>", "the", "and", "on", "a"]
MIXES = ([0.3, -0.2, 0.9], [-1.0, 0.5, 0.1])


@dataclass(frozen=True)
class SmallModel:
    """Files in AllenNLP's format, and the same model in NumPy."""

    options: str
    weights: str
    reference: NumpyELMo

    @property
    def files(self) -> tuple[str, str]:
        return self.options, self.weights

    def layers(self, sentence: Sequence[str], boundary_words: bool = False) -> np.ndarray:
        """All layers of a sentence, (n_layers + 1, n_words, width). boundary_words: "<S>" and "</S>" are boundaries."""
        reference = copy.copy(self.reference)
        reference.boundary_words = boundary_words
        return reference.embed(list(sentence))

    def batch(self, sentences: Sentences, states: list[State] | None = None) -> np.ndarray:
        """All layers of a batch, (n_layers + 1, n_sentences, n_words, width), zeros in the padding. `states`, one a
        sentence, are replaced by the new ones.
        """
        rows = [self.reference.zero_state() for _ in sentences] if states is None else states
        longest = max(map(len, sentences))
        padded = np.zeros((3, len(sentences), longest, 2 * self.reference.lstm["projection_dim"]))
        for row, sentence in enumerate(sentences):
            padded[:, row, : len(sentence)], rows[row] = self.reference.embed_stateful(sentence, rows[row])
        return padded


def write_model(directory: Path, **overrides: Any) -> SmallModel:
    rng = np.random.default_rng(5)
    shape: dict[str, Any] = {
        "filters": [[1, 4], [2, 6], [3, 8]],
        "embedding": {"dim": 5},
        "n_highway": 2,
        "activation": "relu",
        "projection_dim": 6,
        "dim": 10,
        "n_layers": 2,
        "cell_clip": 3,
        "proj_clip": 3,
        "use_skip_connections": True,
    }
    options = random_options(rng, **{**shape, **overrides})
    weights = random_weights(options, rng)
    options_path, weights_path = write_pair(directory, options, weights)
    return SmallModel(str(options_path), str(weights_path), NumpyELMo(options, weights))


def mix(layers: np.ndarray, weights: Sequence[float], gamma: float = 1.0) -> np.ndarray:
    """The weighted sum of layers, (n_layers, …)."""
    scores = np.exp(np.asarray(weights, dtype=np.float64))
    return gamma * np.tensordot(scores / scores.sum(), layers, axes=1)

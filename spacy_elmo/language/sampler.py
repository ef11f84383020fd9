"""The negatives of the sampled softmax: distinct words, drawn the more often the more frequent they are."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Negatives:
    """Classes to hold the true ones against.

    Attributes:
        classes: Distinct class numbers, shape (n_negatives,) int64.
        expected_counts: Of every class of the vocabulary, how often it would be expected among such a draw, shape
            (n_classes,) float32.
    """

    classes: npt.NDArray[np.int64]
    expected_counts: npt.NDArray[np.float32]


def log_uniform(n_classes: int) -> npt.NDArray[np.float64]:
    """The probabilities of classes that stand by descending frequency, (n_classes,): close to Zipf's law.

    Class k has log((k + 2) / (k + 1)) / log(n_classes + 1).
    """
    ranks = np.arange(n_classes)
    probabilities: npt.NDArray[np.float64] = np.log((ranks + 2) / (ranks + 1)) / np.log(n_classes + 1)
    return probabilities


class LogUniformSampler:
    """Draws classes by the `log_uniform` distribution until there are `n_negatives` distinct ones.

    The distribution and the expected counts are those of TensorFlow's `log_uniform_candidate_sampler(unique=True)`,
    which bilm-tf was trained with.
    """

    def __init__(self, n_classes: int, n_negatives: int) -> None:
        if not 0 < n_negatives < n_classes:
            raise ValueError(f"Cannot draw {n_negatives} distinct negatives from {n_classes} classes.")
        self.n_classes = n_classes
        self.n_negatives = n_negatives
        self.probabilities = log_uniform(n_classes)

    def draw(self, rng: np.random.Generator) -> Negatives:
        """Distinct classes, and of every class the expected count among as many draws as it took to find these."""
        draws = np.empty(0, dtype=np.int64)
        firsts = draws
        while len(firsts) < self.n_negatives:
            draws = np.concatenate([draws, self._draw_with_repeats(rng, 4 * self.n_negatives)])
            firsts = np.sort(np.unique(draws, return_index=True)[1])
        firsts = firsts[: self.n_negatives]
        n_draws = int(firsts[-1]) + 1  # the draw that made them complete was the last
        counts = -np.expm1(n_draws * np.log1p(-self.probabilities))
        return Negatives(draws[firsts], counts.astype(np.float32))

    def _draw_with_repeats(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.int64]:
        """The inverse of the cumulative distribution, log(k + 2) / log(n_classes + 1)."""
        classes = (np.exp(rng.random(n) * np.log(self.n_classes + 1)) - 1).astype(np.int64)
        return np.minimum(classes, self.n_classes - 1)  # where rounding carries past the end

"""Which words made a decision: integrated gradients (Sundararajan et al. 2017), and occlusion to check them by."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from spacy import Language
from spacy.tokens import Doc

from .decisions import Decision, Values, decisions_of
from .errors import ExplainError
from .word_path import Vectors, WordPath, padding_vector, word_vectors

# How far the sum of the words' shares may be from the difference of the scores, of that difference, before the path is
# cut into twice as many steps; differences below the second number count as that.
TOLERANCE = 0.01
SMALLEST = 0.1
STEPS, MAX_STEPS = 16, 1024


@dataclass(frozen=True)
class Importance:
    """What each word did for one decision.

    Attributes:
        decision: What was said, such as a category or an entity.
        gradients: The share of each in the difference of the scores by integrated gradients, (n_tokens,).
        occlusion: What the score loses where this word alone is the baseline, (n_tokens,).
        score: The probability of the decision.
        baseline_score: That of a text of baseline words alone.
        n_steps: Points on the path from the baseline to the text.
    """

    decision: str
    gradients: Values
    occlusion: Values
    score: float
    baseline_score: float
    n_steps: int

    @property
    def gap(self) -> float:
        """What the shares' sum lacks or has too much, of the difference that it should be."""
        difference = self.score - self.baseline_score
        return abs(float(self.gradients.sum()) - difference) / max(abs(difference), SMALLEST)


@dataclass(frozen=True)
class Explanation:
    """What the words of a text did for all that a component said of it.

    Attributes:
        component: What decided.
        words: The Doc's tokens.
        baseline: "padding" or "mean", what a word is that says nothing.
        decisions: The likeliest category, or each entity.
    """

    component: str
    words: tuple[str, ...]
    baseline: str
    decisions: tuple[Importance, ...]


def explain_decisions(
    nlp: Language, component: str, doc: Doc, *, background: Sequence[str] | None = None, max_steps: int = MAX_STEPS
) -> Explanation:
    """Find what each word did for what a component said of a text.

    The words are those of layer 0, at the end of the way through component, listener and LSTM layers: so a word counts
    for all that it does to the vectors of others. What a component reads beside its listener stays as it is.

    Args:
        nlp: A trained pipeline.
        component: The name of a text categorizer or entity recognizer in it that listens to "elmo".
        doc: The text, as the pipeline has left it.
        background: Words whose mean vector stands for a word that says nothing: None for the text's own, unless these
            are all the same; empty for a word without a character, as padding is. By what `python -m
            experiments.importance` measured, means are the better ones.
        max_steps: How fine the path may be cut.

    Raises:
        ExplainError: The component is of another kind, or the shares do not add up at so many steps.
    """
    path = WordPath(nlp, component, doc)
    bilm = path.bilm
    if background is None:
        background = path.words if len(set(path.words)) > 1 else ()
    baseline = word_vectors(bilm, background).mean(axis=0) if background else padding_vector(bilm)
    found = decisions_of(path.component, path.model, doc)
    return Explanation(
        component,
        tuple(token.text for token in doc),
        "mean" if background else "padding",
        tuple(_explained(path, decision, baseline, max_steps) for decision in found),
    )


def _explained(path: WordPath, decision: Decision, baseline: Vectors, max_steps: int) -> Importance:
    x = path.vectors
    nothing = np.broadcast_to(baseline, x.shape)
    occluded = (np.concatenate([x[:i], baseline[None], x[i + 1 :]]) for i in range(len(x)))
    score, baseline_score, *without = path.scores(decision, chain([x, nothing], occluded))
    n_steps = STEPS
    while True:
        found = Importance(
            decision.name,
            _on_tokens(path, integrated_gradients(path, decision, nothing, n_steps)),
            _on_tokens(path, score - np.array(without)),
            float(score),
            float(baseline_score),
            n_steps,
        )
        if found.gap <= TOLERANCE:
            return found
        if n_steps >= max_steps:
            raise ExplainError(
                f"The shares of {decision.name!r} miss the difference of the scores by {found.gap:.1%} after {n_steps} "
                f"steps; they should by {TOLERANCE:.0%} at most. Allow more steps."
            )
        n_steps *= 2


def integrated_gradients(path: WordPath, decision: Decision, nothing: Vectors, n_steps: int) -> Values:
    """(x - b) times the mean gradient on the straight way from b to x, summed over dimensions, (n_words,).

    The mean is by Gauss and Legendre's rule, which is exact for polynomials of degree 2 * n_steps - 1.
    """
    points, weights = np.polynomial.legendre.leggauss(n_steps)
    way = path.vectors - nothing
    variants = ((nothing + (point + 1) / 2 * way).astype(np.float32) for point in points)
    shares = np.zeros(len(way))
    for weight, gradient in zip(weights / 2, path.gradients(decision, variants), strict=True):
        shares += weight * (gradient * way).sum(axis=1)
    return shares


def _on_tokens(path: WordPath, values: Values) -> Values:
    """From the words that are read to the Doc's tokens; one that is read twice gets both, whitespace gets nothing."""
    tokens = np.zeros(len(path.doc))
    np.add.at(tokens, path.rows, values)
    return tokens

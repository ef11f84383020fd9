"""See what ELMo sees: functions that give plain data, and pages of them.

senses = find_senses(bilm, "match", occurrences)
Path("match.html").write_text(render(senses), "utf8")
"""

from .bias import Bias, Leaning, measure_bias
from .comparison import Comparison, compare
from .errors import ExplainError
from .importance import Explanation, Importance, explain_decisions
from .layers import LayerReport, Mix, Movement, learned_mixes, measure_movement
from .neighbours import Neighbour, NeighbourIndex, kept_index
from .occurrences import Occurrence, find_occurrences
from .senses import Senses, find_senses
from .show import render, serve
from .surprisal import (
    Cloze,
    Gap,
    Surprisal,
    SurprisalReport,
    Unexpected,
    UnexpectedWords,
    fill_gap,
    least_expected,
    measure_surprisal,
)

__all__ = [
    "Bias",
    "Cloze",
    "Comparison",
    "ExplainError",
    "Explanation",
    "Gap",
    "Importance",
    "LayerReport",
    "Leaning",
    "Mix",
    "Movement",
    "Neighbour",
    "NeighbourIndex",
    "Occurrence",
    "Senses",
    "Surprisal",
    "SurprisalReport",
    "Unexpected",
    "UnexpectedWords",
    "compare",
    "explain_decisions",
    "fill_gap",
    "find_occurrences",
    "find_senses",
    "kept_index",
    "learned_mixes",
    "least_expected",
    "measure_bias",
    "measure_movement",
    "measure_surprisal",
    "render",
    "serve",
]

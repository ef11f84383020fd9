"""See what ELMo sees: functions that give plain data, and pages of them.

senses = find_senses(bilm, "match", occurrences)
Path("match.html").write_text(render(senses), "utf8")
"""

from .errors import ExplainError
from .importance import Explanation, Importance, explain_decisions
from .layers import LayerReport, Mix, Movement, learned_mixes, measure_movement
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
    "Cloze",
    "ExplainError",
    "Explanation",
    "Gap",
    "Importance",
    "LayerReport",
    "Mix",
    "Movement",
    "Occurrence",
    "Senses",
    "Surprisal",
    "SurprisalReport",
    "Unexpected",
    "UnexpectedWords",
    "explain_decisions",
    "fill_gap",
    "find_occurrences",
    "find_senses",
    "learned_mixes",
    "least_expected",
    "measure_movement",
    "measure_surprisal",
    "render",
    "serve",
]

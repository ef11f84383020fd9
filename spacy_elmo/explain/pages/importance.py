"""The page of which words made a decision."""

from collections.abc import Sequence
from html import escape

import numpy as np

from ..decisions import Values
from ..importance import Explanation, Importance
from .shell import Page, asset
from .words import blank_before

_METHODS = (
    ("Integrated gradients", "Each word’s share. The shares add up to the change of the probability."),
    ("Occlusion", "What the probability loses where this word alone is taken out."),
)


def importance_page(explanation: Explanation) -> Page:
    """Each decision's tokens, shaded by what they weighed, the two methods side by side."""
    found = explanation.decisions
    if found:
        names = ", ".join(one.decision for one in found)
        lead = (
            f"The component <b>{escape(explanation.component)}</b> says <b>{escape(names)}</b>. Words in "
            f'<span class="swatch for">blue</span> speak for it, words in <span class="swatch against">orange</span> '
            f"against it; the numbers are in percentage points of its probability."
        )
    else:
        lead = (
            f"The component <b>{escape(explanation.component)}</b> finds nothing here, so there is nothing to explain."
        )
    body = f"<style>{asset('importance.css')}</style>" + "".join(_section(one, explanation.words) for one in found)
    facts = {
        "Component": explanation.component,
        "A word that says nothing": {
            "padding": "one without letters, as padding is",
            "mean": "the mean of words’ vectors in layer 0",
        }[explanation.baseline],
    }
    return Page("Importance", "Which words made the decision", lead, body, facts)


def _section(one: Importance, words: Sequence[str]) -> str:
    largest = max(float(np.abs(values).max(initial=0)) for values in (one.gradients, one.occlusion)) or 1.0
    columns = "".join(
        f'<div class="method"><h3>{name}</h3><p class="note">{told}</p>'
        f'<p class="text tokens" dir="auto">{_tokens(words, values, largest)}</p></div>'
        for (name, told), values in zip(_METHODS, (one.gradients, one.occlusion), strict=True)
    )
    return f"""
<section class="panel decision">
<h2>{escape(one.decision)} <span class="score">{one.score:.1%}</span></h2>
<p class="note">{one.baseline_score:.1%} of a text whose words say nothing, {one.score:.1%} of this one. The shares add
up to the difference but for {one.gap:.1%} of it, in {one.n_steps} steps.</p>
<div class="methods">{columns}</div>
</section>"""


def _tokens(words: Sequence[str], values: Values, largest: float) -> str:
    return "".join(
        f'{blank_before(words, i)}<span class="token {"against" if value < 0 else "for"}" '
        f'style="--v:{min(1.0, abs(value) / largest):.3f}">{escape(words[i])}<small>{_points(value)}</small></span>'
        for i, value in enumerate(values.tolist())
        if not words[i].isspace()
    )


def _points(value: float) -> str:
    """In percentage points; those that round to nothing are a dot."""
    rounded = round(100 * value)
    return f"{rounded:+d}".replace("-", "−") if rounded else "·"

"""The page of what a model takes for granted about who does which work."""

from html import escape
from typing import Any

from ..bias import TEMPLATES, Bias
from . import charts
from .shell import Page
from .words import joined


def bias_page(bias: Bias) -> Page:
    """A page with a row for each occupation, the one that leans most to "he" first."""
    alt = charts.altair()
    ordered = sorted(bias.leanings, key=lambda one: -one.mean)
    rows = [
        {
            "occupation": one.occupation,
            "mean": one.mean,
            "low": one.interval[0],
            "high": one.interval[1],
            "side": "he" if one.mean > 0 else "she",
        }
        for one in ordered
    ]

    def make(width: int) -> Any:
        x = alt.X("mean:Q", title="← she · even · he →   (nats; 0.7 is twice as likely)", axis=alt.Axis(tickCount=7))
        y = alt.Y("occupation:N", sort=None, title=None, axis=alt.Axis(labelFontSize=13))
        color = alt.Color(
            "side:N", legend=None, scale=alt.Scale(domain=["he", "she"], range=["var(--s1)", "var(--s2)"])
        )
        base = alt.Chart(alt.Data(values=rows)).properties(width=width - 110, height=alt.Step(22))
        interval = base.mark_rule(strokeWidth=3, opacity=0.35).encode(x="low:Q", x2="high:Q", y=y, color=color)
        point = base.mark_point(filled=True, size=90, opacity=1).encode(x=x, y=y, color=color)
        even = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(color="var(--soft)").encode(x="x:Q")
        mean = alt.Chart(alt.Data(values=[{"x": bias.mean}]))
        average = mean.mark_rule(color="var(--ink)", strokeDash=[3, 4], strokeWidth=1.5).encode(x="x:Q")
        return even + average + interval + point

    words = "; ".join(f"{one.occupation} {one.mean:+.2f}" for one in ordered)
    lead = (
        "How much more likely the model finds a sentence about an occupation with “he” than the same with “she”. The "
        f"line at 0 is even; the dashed one is the average of all occupations, {bias.mean:+.2f}: how the two words "
        "stand in its texts as a whole."
    )
    told = (
        f"Intervals are 95% by Student’s t over {len(TEMPLATES)} sentences, so they are wide: what lies apart by less "
        "is not told apart."
    )
    sentences = (template.format(occupation="…", pronoun="he/she").split() for template in TEMPLATES)
    templates = "".join(f"<li>{escape(joined(words))}</li>" for words in sentences)
    body = f"""<figure>{charts.figure(make, words)}</figure><p class="note">{told}</p>
<h2>The sentences</h2><ul class="text">{templates}</ul>"""
    return Page("Bias", "Who does which work", lead, body, {"Occupations": str(len(ordered))})

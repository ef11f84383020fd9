"""The page of a word's senses: a map of its occurrences with a slider over layers, and its sentences beside it."""

from html import escape
from typing import Any

import numpy as np

from ..errors import ExplainError
from ..occurrences import Occurrence
from ..senses import Senses
from . import charts, theme
from .shell import Page, asset
from .words import blank_before, joined

MARGIN = 14
_SIZE, _LIT = 210, 560
# Of the words around a word, so many characters are shown on each side.
CONTEXT = 90
_SYMBOLS = {
    "circle": '<circle cx="5" cy="5" r="4.2"/>',
    "diamond": '<path d="M5 0 10 5 5 10 0 5Z"/>',
    "square": '<path d="M1 1H9V9H1Z"/>',
    "triangle-up": '<path d="M5 .5 10 9.3H0Z"/>',
    "cross": '<path d="M3.4 0H6.6V3.4H10V6.6H6.6V10H3.4V6.6H0V3.4H3.4Z"/>',
    "triangle-down": '<path d="M0 .7H10L5 9.5Z"/>',
}


def senses_page(senses: Senses) -> Page:
    """A page.

    Raises:
        ExplainError: There are more labels than can be told apart.
    """
    names = label_names(senses)
    n, top = len(senses.occurrences), senses.n_layers - 1
    data = {
        "chart": charts.specification(_map(senses, names)),
        "cosines": np.round(senses.cosines.astype(np.float64), 3).tolist(),
        "notes": [_note(senses, layer) for layer in range(top + 1)],
        "margin": MARGIN,
    }
    told = senses.labelled_by.rpartition(".")[2].strip("_")
    meant = f"its {escape(told)}"
    if senses.labelled_by == "cluster":
        # As `python -m experiments.clusters` measured.
        meant = "the cluster that a point falls into there, which may come from its grammar as well as from its meaning"
    lead = (
        f"The word stands in <b>{n} sentences</b>, one point each. In layer 0 the model sees it alone, so one form "
        f"is one point. In layer {top} it has read the sentence to both sides, and what means the same lies together. "
        f"Colour and shape tell {meant}."
    )
    body = f"""
<style>{asset("senses.css")}</style>
<div class="senses">
<figure class="map panel">
{_key(names)}
<div class="plot" role="img" aria-label="A map of the occurrences; their sentences are in the list"></div>
<p class="text said controls" dir="auto" aria-hidden="true"></p>
<div class="layers controls">
<div class="row"><label for="layer"><output for="layer">Layer {top}</output></label>
<button class="button play" type="button">Play from layer 0</button></div>
<input id="layer" type="range" min="0" max="{top}" step="1" value="{top}">
<div class="ends" aria-hidden="true"><span>form</span><span>meaning in context</span></div>
</div>
<p class="note explained" aria-live="polite">{escape(data["notes"][top])}</p>
</figure>
<section aria-label="Sentences">
<div class="lines-head controls"><p aria-live="polite">Choose a sentence to see its nearest</p>
<button class="button clear" type="button" hidden>Clear</button></div>
<ol class="lines">{"".join(_line(i, senses, names) for i in range(n))}</ol>
</section>
</div>
<script type="application/json" id="data">{charts.embedded(data)}</script>"""
    facts = {
        "Occurrences": f"{n:,}",
        "Projection": "PCA, each layer on its own" if senses.method == "pca" else "UMAP, each layer on its own",
        "Colours": "clusters by k-means" if senses.labelled_by == "cluster" else told,
    }
    return Page(
        "Word senses", f"“{senses.word}”", lead, body, facts, (charts.runtime(), asset("senses.js")), evaluates=True
    )


def label_names(senses: Senses) -> list[str]:
    """The labels, the most frequent first: the order of colours and shapes."""
    names = sorted(set(senses.labels), key=lambda name: (-senses.labels.count(name), name))
    if len(names) > len(theme.SERIES):
        raise ExplainError(
            f"{senses.labelled_by!r} has {len(names)} values here, and no more than {len(theme.SERIES)} can be told "
            f"apart by colour. Choose another attribute, or leave it out."
        )
    return names


def _note(senses: Senses, layer: int) -> str:
    share = float(senses.explained[layer])
    if not np.ptp(senses.points[layer]):
        return "All vectors are the same here: the model has seen nothing but the word's form."
    if np.isnan(share):
        return ""
    return f"The two dimensions hold {share:.0%} of the variance of this layer’s vectors."


def _limit(senses: Senses) -> float:
    """How far the axes go, the same in every layer."""
    return float(np.abs(senses.points).max()) * 1.05 or 1.0


def _map(senses: Senses, names: list[str]) -> Any:
    """The points of all layers in one chart; the parameter `layer`, also between whole numbers, says where they are."""
    alt = charts.altair()
    rows = [
        {"id": i, "label": label, "x": senses.points[:, i, 0].tolist(), "y": senses.points[:, i, 1].tolist()}
        for i, label in enumerate(senses.labels)
    ]
    limit = _limit(senses)
    scale = alt.Scale(domain=[-limit, limit], nice=False, zero=False)
    between = "lerp([datum.{0}[floor(layer)], datum.{0}[ceil(layer)]], layer - floor(layer))"
    return (
        alt.Chart(alt.Data(values=rows), width=300, height=300, padding=MARGIN)
        .transform_calculate(px=between.format("x"), py=between.format("y"))
        .mark_point(filled=True, stroke="var(--paper)", strokeWidth=1.5, cursor="pointer")
        .encode(
            x=alt.X("px:Q", scale=scale, axis=None),
            y=alt.Y("py:Q", scale=scale, axis=None),
            color=alt.Color(
                "label:N", scale=alt.Scale(domain=names, range=list(theme.SERIES[: len(names)])), legend=None
            ),
            shape=alt.Shape(
                "label:N", scale=alt.Scale(domain=names, range=list(theme.SHAPES[: len(names)])), legend=None
            ),
            size=alt.condition("datum.id === focused || datum.id === chosen", alt.value(_LIT), alt.value(_SIZE)),
            stroke=alt.condition("datum.id === chosen", alt.value("var(--ink)"), alt.value("var(--paper)")),
            opacity=alt.condition(
                "chosen < 0 || datum.id === chosen || datum.id === focused", alt.value(0.92), alt.value(0.6)
            ),
            description=alt.value(""),
        )
        .add_params(
            alt.param("layer", value=senses.n_layers - 1),
            alt.param("focused", value=-1),
            alt.param("chosen", value=-1),
        )
    )


def symbol(names: list[str], name: str) -> str:
    """The mark of a label, as in the map."""
    i = names.index(name)
    return f'<svg viewBox="0 0 10 10" aria-hidden="true" fill="{theme.SERIES[i]}">{_SYMBOLS[theme.SHAPES[i]]}</svg>'


def _key(names: list[str]) -> str:
    items = "".join(f"<li>{symbol(names, name)}{escape(name)}</li>" for name in names)
    return f'<ul class="key" aria-label="Colours">{items}</ul>'


def _line(i: int, senses: Senses, names: list[str]) -> str:
    label = senses.labels[i]
    return (
        f'<li><button class="line" type="button" data-id="{i}" aria-pressed="false">{symbol(names, label)}'
        f'<span class="text" dir="auto">{in_context(senses.occurrences[i])}</span><span class="near"></span>'
        f'<span class="visually-hidden">{escape(label)}</span></button></li>'
    )


def in_context(occurrence: Occurrence) -> str:
    """A word in bold with what stands around it, as HTML. Where that is much, dots say that there is more."""
    words, i = occurrence.words, occurrence.position
    gap = blank_before(words, i)
    before, after = joined(words[:i]), joined(words[i:])[len(words[i]) :]
    if len(before) > CONTEXT:
        before = "…" + before[-CONTEXT:]
    if len(after) > CONTEXT:
        after = after[:CONTEXT] + "…"
    return f"{escape(before)}{gap}<b>{escape(occurrence.word)}</b>{escape(after)}"


def senses_picture(senses: Senses) -> Any:
    """The layers side by side in one chart, for a page that cannot move, such as a README."""
    alt = charts.altair()
    names = label_names(senses)
    top = senses.n_layers - 1
    title = {0: "Layer 0: the word alone", top: f"Layer {top}: the word in its sentence"}
    limit = _limit(senses)
    scale = alt.Scale(domain=[-limit, limit], nice=False, zero=False)

    def panel(layer: int) -> Any:
        rows = [
            {"label": label, "x": float(x), "y": float(y)}
            for label, (x, y) in zip(senses.labels, senses.points[layer], strict=True)
        ]
        return (
            alt.Chart(alt.Data(values=rows), width=220, height=220, title=title.get(layer, f"Layer {layer}"))
            .mark_point(filled=True, size=150, opacity=0.9, stroke="var(--paper)", strokeWidth=1.2)
            .encode(
                x=alt.X("x:Q", scale=scale, axis=None),
                y=alt.Y("y:Q", scale=scale, axis=None),
                color=alt.Color(
                    "label:N", scale=alt.Scale(domain=names, range=list(theme.SERIES[: len(names)])), title=None
                ),
                shape=alt.Shape(
                    "label:N", scale=alt.Scale(domain=names, range=list(theme.SHAPES[: len(names)])), title=None
                ),
            )
            .properties(view=alt.ViewConfig(stroke="var(--line)", cornerRadius=8))
        )

    return alt.hconcat(*map(panel, range(top + 1)), spacing=16)

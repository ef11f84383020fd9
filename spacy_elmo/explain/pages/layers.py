"""The page of a model's layers."""

from html import escape
from typing import Any

from ..errors import ExplainError
from ..layers import LayerReport, Mix, Movement
from . import charts
from .shell import Page

# Of a layer, from the word alone upwards.
COLOURS = ("var(--soft)", "var(--s3)", "var(--s1)", "var(--s4)", "var(--s2)", "var(--s6)")
# Words shown that move most, and as many that move least.
N_WORDS = 10
_TASKS = (
    ("Part of speech", "pos", "all"),
    ("Part of speech, ambiguous forms", "pos", "ambiguous"),
    ("Word sense", "senses", "all"),
)


def layers_page(report: LayerReport) -> Page:
    """A page.

    Raises:
        ExplainError: The report is empty.
    """
    sections = [
        *([_mixes(report.mixes)] if report.mixes else []),
        *([_movement(report.movement)] if report.movement else []),
        *([_probes(report.probes)] if report.probes else []),
    ]
    if not sections:
        raise ExplainError("There is nothing to show: give trained pipelines, texts, or results of the probes.")
    lead = (
        "Layer 0 is the word from its letters alone. Each layer above has read the sentence once more, in both "
        "directions. Lower ones are nearer to form and syntax, upper ones to meaning."
    )
    facts = {}
    if report.probes:
        facts["Model of the probes"] = str(report.probes["model"])
    if report.movement:
        facts["Words measured"] = f"{len(report.movement.words):,} that stand in enough sentences"
    return Page("Layers", "What each layer holds", lead, "".join(sections), facts)


def _section(title: str, told: str, figure: str) -> str:
    return f'<section><h2>{title}</h2><p class="note">{told}</p><figure>{figure}</figure></section>'


def _scale(layers: range) -> Any:
    names, colours = [f"layer {k}" for k in layers], [COLOURS[k % len(COLOURS)] for k in layers]
    return charts.altair().Scale(domain=names, range=colours)


def _mixes(mixes: tuple[Mix, ...]) -> str:
    alt = charts.altair()
    rows = [
        {"component": f"{i} {mix.component}", "layer": f"layer {k}", "k": k, "share": float(share), "middle": 0.0}
        for i, mix in enumerate(mixes)
        for k, share in enumerate(mix.weights)
    ]
    gammas = [{"component": f"{i} {mix.component}", "text": f"γ {mix.gamma:.2f}"} for i, mix in enumerate(mixes)]
    names = alt.Axis(title=None, labelExpr="slice(datum.label, indexof(datum.label, ' ') + 1)", labelFontSize=13)

    def make(width: int) -> Any:
        y = alt.Y("component:N", axis=names, sort=None)
        base = alt.Chart(alt.Data(values=rows)).encode(y=y).properties(width=width - 130, height=alt.Step(46))
        bars = base.mark_bar(height=26, stroke="var(--paper)", strokeWidth=2, cornerRadius=4).encode(
            x=alt.X("share:Q", stack=True, axis=None, scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("layer:N", scale=_scale(range(max(len(mix.weights) for mix in mixes))), title=None),
            order="k:Q",
        )
        texts = base.mark_text(color="var(--paper)", fontSize=12, fontWeight=600).encode(
            x=alt.X("share:Q", stack=True, bandPosition=0.5), order="k:Q", text=alt.Text("share:Q", format=".0%")
        )
        gamma = alt.Chart(alt.Data(values=gammas)).mark_text(align="left", dx=8, fontSize=13)
        return bars + texts + gamma.encode(y=y, x=alt.value(width - 130), text="text:N")

    words = "; ".join(
        f"{mix.component}: " + ", ".join(f"layer {k} {share:.0%}" for k, share in enumerate(mix.weights))
        for mix in mixes
    )
    told = "The share of each layer in the mix that a trained component listens to, and the scale γ of the whole."
    return _section("What trained components take", told, charts.figure(make, escape(words)))


def _movement(movement: Movement) -> str:
    alt = charts.altair()
    n_layers = len(movement.moved)
    by_top = sorted(range(len(movement.words)), key=lambda i: -movement.moved[-1, i])
    shown = by_top if len(by_top) <= 2 * N_WORDS else by_top[:N_WORDS] + by_top[-N_WORDS:]
    rows = [
        {"word": movement.words[i], "layer": f"layer {k}", "moved": float(movement.moved[k, i]), "place": place}
        for place, i in enumerate(shown)
        for k in range(1, n_layers)
    ]
    means = [{"layer": f"layer {k}", "moved": float(value)} for k, value in enumerate(movement.mean) if k]

    def make(width: int) -> Any:
        x = alt.X(
            "moved:Q", scale=alt.Scale(zero=True), title="moved by context", axis=alt.Axis(format=".0%", tickCount=5)
        )
        y = alt.Y("word:N", sort=alt.SortField("place"), title=None, axis=alt.Axis(labelFontSize=13, labelLimit=110))
        color = alt.Color("layer:N", scale=_scale(range(1, n_layers)), title=None)
        base = alt.Chart(alt.Data(values=rows)).properties(width=width - 110, height=alt.Step(22))
        lines = base.mark_line(color="var(--line)", strokeWidth=3).encode(x=x, y=y, detail="word:N")
        points = base.mark_point(filled=True, size=90, opacity=1).encode(x=x, y=y, color=color)
        average = (
            alt.Chart(alt.Data(values=means)).mark_rule(strokeDash=[3, 4], strokeWidth=1.5).encode(x=x, color=color)
        )
        return lines + average + points

    moved = ", ".join(f"{value:.0%} in layer {k}" for k, value in enumerate(movement.mean) if k)
    told = (
        f"0% is a vector that is the same in every sentence, as all are in layer 0; 100% is one that says no more of "
        f"its word than any other token’s. On average {moved} (dashed). Shown are the words that move most and least."
    )
    return _section("How far context moves a word", told, charts.figure(make, f"On average {moved}."))


def _probes(probes: dict[str, Any]) -> str:
    told = (
        "Accuracy of simple probes on one layer at a time, with 95% bootstrap intervals. The dashed line is the "
        "baseline: the most frequent tag of the form, the more frequent sense of the word."
    )
    words = "; ".join(f"{row['task']}, {row['layer']}: {row['value']:.1f} %" for row in _probe_rows(probes))
    return _section("What a probe finds", told, charts.figure(lambda width: probes_chart(probes, width), escape(words)))


def _probe_rows(probes: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for task, kind, part in _TASKS:
        found = probes[kind][part]
        for name, cell in found["layers"].items():
            layer = "average" if name == "average" else f"layer {name}"
            rows.append({"task": task, "layer": layer, "base": found["baseline"]["value"], **cell})
    return rows


def probes_chart(probes: dict[str, Any], width: int) -> Any:
    """A panel for each task, a row for each layer."""
    alt = charts.altair()
    data = _probe_rows(probes)
    wide = width > charts.NARROW
    panel = (width - 120) / 3 if wide else width - 90
    y = alt.Y("layer:N", title=None, sort=None, axis=alt.Axis(labelFontSize=13))
    scale = alt.Scale(domain=[20, 100])
    base = alt.Chart().properties(width=panel, height=alt.Step(30))
    rule = base.mark_rule(color="var(--against)", strokeDash=[3, 4], strokeWidth=1.5).encode(
        x=alt.X("base:Q", scale=scale, title="accuracy in %", axis=alt.Axis(tickCount=4))
    )
    interval = base.mark_rule(color="var(--s1)", strokeWidth=3, opacity=0.35).encode(x="low:Q", x2="high:Q", y=y)
    point = base.mark_point(filled=True, size=95, color="var(--s1)", opacity=1).encode(x="value:Q", y=y)
    layered = alt.layer(rule, interval, point, data=alt.Data(values=data))
    return layered.facet(
        facet=alt.Facet(
            "task:N", title=None, sort=[task for task, _, _ in _TASKS], header=alt.Header(labelAnchor="start")
        ),
        columns=3 if wide else 1,
        spacing=24,
    )

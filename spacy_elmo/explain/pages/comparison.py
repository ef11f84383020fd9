"""The page of two sentences: a heat map of their words in each layer, and how near the sentences are."""

from html import escape

import numpy as np

from ..comparison import Array, Comparison
from .shell import Page, asset
from .words import joined


def comparison_page(found: Comparison) -> Page:
    """A page with a map of each layer, of which one is shown."""
    n = len(found.cosines)
    names = [*(f"Layer {k}" for k in range(n - 1)), "Average"]
    radios = "".join(
        f'<input class="visually-hidden" type="radio" name="layer" id="layer-{k}"{" checked" if k == n - 2 else ""}>'
        for k in range(n)
    )
    labels = "".join(f'<label class="button" for="layer-{k}">{name}</label>' for k, name in enumerate(names))
    heats = "".join(
        f'<div class="scroll heat" data-layer="{k}">{_table(found, layer)}</div>'
        for k, layer in enumerate(found.cosines)
    )
    rules = "".join(
        f'#layer-{k}:checked~.heat[data-layer="{k}"]{{display:block}}'
        f'#layer-{k}:checked~.choices [for="layer-{k}"]{{background:var(--ink);color:var(--paper)}}'
        f'#layer-{k}:focus-visible~.choices [for="layer-{k}"]{{outline:2px solid var(--accent);outline-offset:2px}}'
        for k in range(n)
    )
    head = "".join(f'<th class="number">{name}</th>' for name in names)
    pooled = "".join(
        f"<tr><th>{name}</th>{''.join(f'<td class=number>{value:.2f}</td>' for value in values)}</tr>"
        for name, values in (
            ("Mean of words", found.mean),
            ("Largest of each dimension", found.largest),
            ("Mean, frequent words less", found.weighted),
        )
        if values is not None
    )
    lead = (
        f"How near each word of <b>“{escape(joined(found.one))}”</b> is to each of "
        f"<b>“{escape(joined(found.other))}”</b>: cosines of their vectors, in hundredths. In layer 0 only the form "
        "counts; above, what stands around a word does."
    )
    body = f"""<style>{asset("comparison.css")}{rules}</style>
<fieldset><legend class="visually-hidden">Layer</legend>{radios}
<div class="choices controls">{labels}</div>{heats}</fieldset>
<h2>The sentences as wholes</h2>
<p class="note">Cosines of one vector a sentence. Words that all sentences share lift them, so compare them only with
one another.</p>
<div class="scroll"><table><thead><tr><td></td>{head}</tr></thead><tbody>{pooled}</tbody></table></div>"""
    return Page("Similarity", "Two sentences, word by word", lead, body)


def _table(found: Comparison, layer: Array) -> str:
    low, high = float(layer.min()), float(layer.max())
    shares = (layer - low) / max(high - low, 1e-6)
    head = "".join(f'<th scope="col"><span>{escape(word)}</span></th>' for word in found.other)
    rows = "".join(
        f'<tr><th scope="row">{escape(word)}</th>'
        + "".join(
            f'<td style="--v:{share:.2f}">{round(100 * float(value))}</td>'
            for value, share in zip(np.asarray(values), np.asarray(row), strict=True)
        )
        + "</tr>"
        for word, values, row in zip(found.one, layer, shares, strict=True)
    )
    return f'<table class="map"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>'

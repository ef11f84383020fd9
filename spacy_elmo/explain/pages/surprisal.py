"""The pages of what a language model expects: of a text, of a gap, and of what it expected least in texts."""

from html import escape

from ..surprisal import Cloze, Gap, Likely, Surprisal, SurprisalReport, UnexpectedWords
from . import charts
from .senses import in_context
from .shell import Page, asset
from .words import blank_before, joined

# So many bits are shaded in full.
FULL_BITS = 20.0
_DIRECTIONS = (("From the words before", "forward"), ("From the words after", "backward"), ("From both sides", "both"))


def surprisal_page(report: SurprisalReport) -> Page:
    """A page of a text, a paragraph of each sentence."""
    sentences = report.sentences
    n = sum(len(one.words) for one in sentences)
    clozes = [cloze for one in sentences for cloze in one.clozes]
    bits = [float(value) for one in sentences for value in one.both]
    chosen = max(range(n), key=bits.__getitem__, default=0)
    lead = (
        "The darker a word, the less the model expected it, given the sentence to both sides. The bars below it are "
        'what each direction alone thought: <span class="dot left"></span> from the words before, '
        '<span class="dot right"></span> from the words after. Choose a word to see what was expected in its place.'
    )
    first, ribbons = 0, ""
    for one in sentences:
        ribbons += f'<p class="text ribbon" dir="auto">{_ribbon(one, first)}</p>'
        first += len(one.words)
    columns = "".join(f'<div><h3>{told}</h3><ol data-key="{key}"></ol></div>' for told, key in _DIRECTIONS)
    data = {"clozes": [_plain(cloze) for cloze in clozes], "chosen": chosen}
    body = f"""<style>{asset("surprisal.css")}</style>
<div class="ribbons">{ribbons}</div>
<section class="panel expected" aria-live="polite">
<h2 id="place"></h2>
<div class="columns">{columns}</div>
</section>
<script type="application/json" id="data">{charts.embedded(data)}</script>"""
    facts = {
        "Words": f"{n:,}",
        "Mean surprisal": f"{sum(bits) / max(1, n):.1f} bits from both sides",
        "Outside the vocabulary": f"{sum(not known for one in sentences for known in one.known):,} (dashed)",
    }
    return Page("Surprisal", "How expected each word is", lead, body, facts, (asset("surprisal.js"),))


def _ribbon(one: Surprisal, first: int) -> str:
    return "".join(
        f'{blank_before(one.words, i)}<button type="button" class="word{"" if one.known[i] else " unknown"}" '
        f'data-id="{first + i}" data-bits="{one.both[i]:.1f}" '
        f'style="--v:{_share(one.both[i])};--f:{_share(one.forward[i])};--b:{_share(one.backward[i])}">'
        f'{escape(word)}<span class="visually-hidden">, {one.both[i]:.0f} bits</span></button>'
        for i, word in enumerate(one.words)
    )


def _share(bits: float) -> str:
    return f"{min(1.0, float(bits) / FULL_BITS):.2f}"


def _plain(cloze: Cloze) -> dict[str, list[tuple[str, float]]]:
    return {key: [(word, round(p, 4)) for word, p in getattr(cloze, key)] for _, key in _DIRECTIONS}


def gap_page(gap: Gap) -> Page:
    """A page of a gap."""
    columns = "".join(
        f"<div><h3>{told}</h3><ol>{_bars(getattr(gap.cloze, key))}</ol></div>" for told, key in _DIRECTIONS
    )
    title = joined([*gap.before, "___", *gap.after])
    body = f"""<style>{asset("surprisal.css")}</style>
<section class="panel expected"><div class="columns">{columns}</div></section>"""
    lead = "What could stand in the gap: the likeliest words by each direction alone, and by both together."
    return Page("Cloze", title, lead, body)


def _bars(likely: Likely) -> str:
    largest = max((p for _, p in likely), default=1.0)
    return "".join(
        f'<li style="--w:{p / largest:.3f}"><span>{escape(word)}</span> <span class="p">{p:.1%}</span></li>'
        for word, p in likely
    )


def unexpected_page(words: UnexpectedWords) -> Page:
    """A page of the least expected words."""
    rows = "".join(
        f'<tr><td class="number">{one.bits:.0f}</td><td class="text" dir="auto">{in_context(one.occurrence)}</td>'
        f'<td class="text likely" dir="auto">{", ".join(escape(word) for word, _ in one.expected)}</td></tr>'
        for one in words.found
    )
    lead = (
        "Words that the model expected least, given what stands on both sides: errors of typing and annotation come "
        "first, beside names and whatever is new to it."
    )
    body = f"""<style>{asset("surprisal.css")}</style>
<table class="unexpected"><thead><tr><th class="number">Bits</th><th>In its sentence</th><th>Expected</th></tr></thead>
<tbody>{rows}</tbody></table>"""
    facts = {"Words": f"{words.n_words:,}", "Sentences": f"{words.n_sentences:,}", "Shown": f"{len(words.found):,}"}
    return Page("Surprisal", "What was least expected", lead, body, facts)

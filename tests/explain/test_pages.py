"""Pages as a browser shows them: each of them whole, in both widths and both themes, and loading nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spacy_elmo import BiLM
from spacy_elmo.explain import (
    Bias,
    Explanation,
    Importance,
    LayerReport,
    Leaning,
    Mix,
    Movement,
    compare,
    fill_gap,
    find_senses,
    least_expected,
    measure_movement,
    measure_surprisal,
    render,
)
from spacy_elmo.explain.pages.surprisal import FULL_BITS
from spacy_elmo.similarity import WordFrequencies
from tests.explain.browser import Browser
from tests.explain.conftest import language_model, occurrences


def _senses(bilm: BiLM) -> Any:
    return find_senses(bilm, "match", occurrences(), labelled_by="sense")


def _layers(bilm: BiLM) -> Any:
    mixes = (Mix("ner", np.array([0.2, 0.5, 0.3], dtype="float32"), 1.2),)
    words = ["the", "cat", "saw", "the", "dog", "and", "the", "dog", "saw", "a", "cat"]
    movement = measure_movement(bilm, [words[i:] for i in range(6)])
    cell = {"value": 70.0, "low": 60.0, "high": 75.0}
    probe = {"layers": {"0": cell, "1": cell, "average": cell}, "baseline": cell | {"value": 65.0}}
    probes = {"model": "tiny", "pos": {"all": probe, "ambiguous": probe}, "senses": {"all": probe}}
    return LayerReport(mixes, movement, probes)


def _importance(bilm: BiLM) -> Any:
    shares = np.array([0.5, -0.2, 0.1])
    one = Importance("Kiel (GPE)", shares, shares[::-1], score=0.7, baseline_score=0.3, n_steps=16)
    return Explanation("ner", ("Kiel", "<b>", "."), "padding", (one, one))


def _surprisal(bilm: BiLM) -> Any:
    return measure_surprisal(language_model(bilm), [["the", "match", "was", "<b>"], ["it", "burns"]])


def _gap(bilm: BiLM) -> Any:
    return fill_gap(language_model(bilm), ["strike", "a"], ["now", "."])


def _unexpected(bilm: BiLM) -> Any:
    return least_expected(language_model(bilm), [["the", "match", "was", "<b>"], ["it", "burns"]])


def _similarity(bilm: BiLM) -> Any:
    words = ["a", "match", "of", "many", "many", "words", "that", "are", "long"]
    return compare(bilm, ["the", "<i>", "match"], words, WordFrequencies({"match": 0.1}))


def _bias(bilm: BiLM) -> Any:
    return Bias((Leaning("judge", (1.0, 2.0, 0.5, 1.5)), Leaning("singer", (-1.0, 0.5, -0.5, 0.0))))


MAKERS: dict[str, Callable[[BiLM], Any]] = {
    "senses": _senses,
    "layers": _layers,
    "importance": _importance,
    "surprisal": _surprisal,
    "gap": _gap,
    "unexpected": _unexpected,
    "similarity": _similarity,
    "bias": _bias,
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, tiny_bilm: BiLM) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for name, make in MAKERS.items():
        made[name] = folder / f"{name}.html"
        made[name].write_text(str(render(make(tiny_bilm), jupyter=False)), "utf8")
    return made


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("name", list(MAKERS))
def test_a_page_fits_is_silent_and_loads_nothing(
    pages: dict[str, Path], chromium: Browser, name: str, width: int
) -> None:
    chromium.open(pages[name], width, dark=width == 360)
    assert chromium.overflow() <= 0
    assert chromium.complaints == []
    assert chromium.requests == [pages[name].as_uri()]
    assert chromium.run("document.querySelectorAll('h1').length") == 1
    # Nor could it, whatever was in its texts.
    assert chromium.run("fetch('data:,x').then(() => 'fetched', () => 'refused')") == "refused"


@pytest.mark.parametrize("name", list(MAKERS))
def test_a_page_has_a_light_and_a_dark_theme_and_is_printed_light(
    pages: dict[str, Path], chromium: Browser, name: str
) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    chromium.open(pages[name], dark=True)
    assert chromium.run(colour) == "rgb(18, 21, 26)"
    chromium.call("Emulation.setEmulatedMedia", media="print")
    assert chromium.run(colour) == "rgb(255, 255, 255)"
    chromium.open(pages[name])
    assert chromium.run(colour) == "rgb(255, 255, 255)"


def test_a_page_that_is_broken_is_found(tmp_path: Path, chromium: Browser) -> None:
    page = tmp_path / "broken.html"
    page.write_text("<div style='width:2000px'>x</div><img src='gone.png'><script>throw Error('bad')</script>")
    chromium.open(page, 360)
    assert chromium.overflow() > 1000
    assert any("bad" in one for one in chromium.complaints)
    assert any(one.endswith("gone.png") for one in chromium.requests)


def test_a_chart_is_drawn_once_for_each_width_and_shown_in_one(pages: dict[str, Path], chromium: Browser) -> None:
    shown = "[...document.querySelectorAll('.chart')].filter(c => c.offsetWidth).map(c => c.classList[1])"
    for width, name in ((360, "narrow"), (1200, "wide")):
        chromium.open(pages["layers"], width)
        assert chromium.run(shown) == [name] * 3


# What each page says


def texts(chromium: Browser, selector: str) -> list[str]:
    """The texts of the elements that are shown, whatever blanks are between."""
    found = (
        f"[...document.querySelectorAll({selector!r})].filter(e => e.getClientRects().length).map(e => e.textContent)"
    )
    return [" ".join(one.split()) for one in chromium.run(found)]


def test_layers_are_told_by_share_movement_and_probe(pages: dict[str, Path], chromium: Browser) -> None:
    chromium.open(pages["layers"])
    mix, moved, probes = (texts(chromium, f"section:nth-of-type({i}) .wide text") for i in (1, 2, 3))
    assert {"ner", "20%", "50%", "30%", "\N{GREEK SMALL LETTER GAMMA} 1.20"} <= set(mix)
    assert {"cat", "the", "saw", "dog"} <= set(moved)
    assert {"layer 0", "layer 1", "average", "Word sense"} <= set(probes)
    told = "document.querySelectorAll('section:nth-of-type(3) [role=img]')[0].ariaLabel"
    assert "Part of speech, layer 0: 70.0 %" in chromium.run(told)
    # The dashed line, in the first panel's axis from 20 to 100.
    line, mark = (
        f"document.querySelector('section:nth-of-type(3) .wide {one}').getBoundingClientRect().x"
        for one in ("line[stroke-dasharray]", ".mark-symbol path")
    )
    assert 0 < chromium.run(mark) - chromium.run(line) < 18


def test_of_many_words_those_are_shown_that_move_most_and_least(tmp_path: Path, chromium: Browser) -> None:
    words = tuple(f"word{i:02}" for i in range(30))
    movement = Movement(words, (5,) * 30, np.stack([np.zeros(30), np.linspace(0.1, 0.9, 30)]), np.zeros(2))
    page = tmp_path / "page.html"
    page.write_text(str(render(LayerReport(movement=movement), jupyter=False)), "utf8")
    chromium.open(page)
    shown = [text for text in texts(chromium, ".wide text") if text.startswith("word")]
    assert shown == [*words[:19:-1], *words[9::-1]]


def test_two_sentences_have_the_cosines_of_their_words(
    pages: dict[str, Path], chromium: Browser, tiny_bilm: BiLM
) -> None:
    found = _similarity(tiny_bilm)
    chromium.open(pages["similarity"])
    assert texts(chromium, ".heat th[scope=row]") == list(found.one)
    cells = [str(round(100 * float(value))) for value in found.cosines[2].ravel()]
    assert texts(chromium, ".heat td[style]") == cells
    rows = [
        [name, *(f"{value:.2f}" for value in values)]
        for name, values in (
            ("Mean of words", found.mean),
            ("Largest of each dimension", found.largest),
            ("Mean, frequent words less", found.weighted),
        )
    ]
    assert texts(chromium, ".scroll:not(.heat) tbody tr") == ["".join(row) for row in rows]


def test_a_gap_has_a_column_for_each_direction(pages: dict[str, Path], chromium: Browser, tiny_bilm: BiLM) -> None:
    cloze = _gap(tiny_bilm).cloze
    chromium.open(pages["gap"])
    columns = [texts(chromium, f".columns div:nth-of-type({i}) li") for i in (1, 2, 3)]
    assert columns == [[f"{word} {p:.1%}" for word, p in one] for one in (cloze.forward, cloze.backward, cloze.both)]


def test_the_least_expected_words_have_their_bits(pages: dict[str, Path], chromium: Browser, tiny_bilm: BiLM) -> None:
    words = _unexpected(tiny_bilm).found
    chromium.open(pages["unexpected"])
    assert texts(chromium, "td.number") == [f"{one.bits:.0f}" for one in words]
    assert texts(chromium, "td b") == [one.occurrence.word for one in words]
    assert texts(chromium, ".likely")[0] == ", ".join(word for word, _ in words[0].expected)


def test_words_are_the_darker_the_less_they_were_expected(
    pages: dict[str, Path], chromium: Browser, tiny_bilm: BiLM
) -> None:
    one = _surprisal(tiny_bilm).sentences[0]
    chromium.open(pages["surprisal"])
    styles = chromium.run("[...document.querySelectorAll('.ribbon')[0].children].map(w => w.getAttribute('style'))")
    share = {
        key: [f"{min(1, bits / FULL_BITS):.2f}" for bits in getattr(one, key)]
        for key in ("both", "forward", "backward")
    }
    assert styles == [f"--v:{v};--f:{f};--b:{b}" for v, f, b in zip(*share.values(), strict=True)]


@pytest.mark.parametrize("make", [measure_surprisal, least_expected])
def test_a_long_word_fits(tmp_path: Path, chromium: Browser, tiny_bilm: BiLM, make: Any) -> None:
    long = "https://" + 300 * "x"
    shares = Importance(long, np.ones(1), np.ones(1), score=0.7, baseline_score=0.3, n_steps=16)
    for found in (make(language_model(tiny_bilm), [[long]]), Explanation("ner", (long,), "padding", (shares,))):
        (tmp_path / "page.html").write_text(str(render(found, jupyter=False)), "utf8")
        for width in (360, 1200):
            chromium.open(tmp_path / "page.html", width)
            assert chromium.overflow() <= 0
            assert not chromium.complaints


def test_a_text_from_right_to_left_is_laid_out_so(tmp_path: Path, chromium: Browser, tiny_bilm: BiLM) -> None:
    words = ["שלום", "עולם", "טוב"]
    report = measure_surprisal(language_model(tiny_bilm), [words, ["a", "b"]])
    (tmp_path / "page.html").write_text(str(render(report, jupyter=False)), "utf8")
    chromium.open(tmp_path / "page.html", 1200)
    lefts = chromium.run("[...document.querySelectorAll('.word')].map((word) => word.getBoundingClientRect().left)")
    assert lefts[0] > lefts[1] > lefts[2]
    assert lefts[3] < lefts[4]


def test_occupations_stand_by_their_leaning_with_intervals(pages: dict[str, Path], chromium: Browser) -> None:
    chromium.open(pages["bias"])
    assert [text for text in texts(chromium, ".wide text") if text in ("judge", "singer")] == ["judge", "singer"]
    rules = (
        "[...document.querySelectorAll('.wide .mark-rule line')].filter(l => l.getAttribute('stroke-width') === '3')"
    )
    lengths = chromium.run(f"{rules}.map(line => Math.abs(line.getBoundingClientRect().width))")
    low, high = Leaning("judge", (1.0, 2.0, 0.5, 1.5)).interval
    other_low, other_high = Leaning("singer", (-1.0, 0.5, -0.5, 0.0)).interval
    assert lengths[0] / lengths[1] == pytest.approx((high - low) / (other_high - other_low), rel=0.1)


def test_words_are_shaded_by_their_shares(pages: dict[str, Path], chromium: Browser) -> None:
    chromium.open(pages["importance"])
    tokens = "[...document.querySelectorAll('.tokens')[0].children].map(t => [t.textContent, t.className])"
    assert chromium.run(tokens) == [
        ["Kiel+50", "token for"],
        ["<b>\N{MINUS SIGN}20", "token against"],
        [".+10", "token for"],
    ]
    shade = "getComputedStyle(document.querySelectorAll('.token')[{}]).backgroundColor"
    colours = {chromium.run(shade.format(i)) for i in range(3)}
    assert len(colours) == 3
    # Beside it, the other method.
    assert texts(chromium, ".method:nth-of-type(2) .tokens span")[:3] == ["Kiel+10", "<b>\N{MINUS SIGN}20", ".+50"]


def test_a_word_chosen_by_key_shows_what_was_expected(pages: dict[str, Path], chromium: Browser) -> None:
    chromium.open(pages["surprisal"])
    chromium.run("document.querySelectorAll('.word')[0].focus()")
    chromium.press("ArrowRight", 39)
    assert chromium.run("document.getElementById('place').textContent").startswith("“match” · ")
    assert chromium.run("document.querySelector('.word[aria-pressed=true]').dataset.id") == "1"
    assert chromium.run("[...document.querySelectorAll('.columns ol')].map(ol => ol.children.length)") == [7, 7, 7]


def test_a_layer_is_chosen_by_key(pages: dict[str, Path], chromium: Browser) -> None:
    shown = "[...document.querySelectorAll('.heat')].filter(h => h.offsetHeight).map(h => h.dataset.layer)"
    chromium.open(pages["similarity"])
    assert chromium.run(shown) == ["2"]
    chromium.run("document.getElementById('layer-2').focus()")
    chromium.press("ArrowRight", 39)
    assert chromium.run(shown) == ["3"]


# Senses

POSITIONS = "[...document.querySelectorAll('.plot .mark-symbol path')].map(p => p.getAttribute('transform'))"


def test_the_slider_moves_the_points_to_one(pages: dict[str, Path], chromium: Browser) -> None:
    chromium.open(pages["senses"])
    assert len(set(chromium.run(POSITIONS))) == 7
    chromium.run("document.querySelector('#layer').focus()")
    for _ in range(2):
        chromium.press("ArrowLeft", 37)
    assert chromium.run("document.querySelector('output').textContent") == "Layer 0"
    chromium.run("new Promise(done => setTimeout(done, 100))")
    assert len(set(chromium.run(POSITIONS))) == 1


def test_playing_moves_from_one_point_to_the_top(pages: dict[str, Path], chromium: Browser) -> None:
    chromium.open(pages["senses"])
    above = chromium.run(POSITIONS)
    for _ in range(2):
        chromium.run("document.querySelector('#layer').focus()")
        chromium.press("ArrowLeft", 37)
    assert chromium.run("document.querySelector('.explained').textContent").startswith("All vectors are the same")
    chromium.run("document.querySelector('.play').click()")
    assert chromium.run("document.querySelector('#layer').value") == "2"
    assert "of the variance" in chromium.run("document.querySelector('.explained').textContent")
    chromium.run("new Promise(done => setTimeout(done, 100))")
    assert chromium.run(POSITIONS) == above


def test_a_point_that_is_clicked_brings_its_nearest(pages: dict[str, Path], chromium: Browser, tiny_bilm: BiLM) -> None:
    senses = _senses(tiny_bilm)
    chromium.open(pages["senses"])
    box = chromium.run("[...document.querySelectorAll('.plot .mark-symbol path')][6].getBoundingClientRect().toJSON()")
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    chromium.call("Input.dispatchMouseEvent", type="mouseMoved", **place)
    for kind in ("mousePressed", "mouseReleased"):
        chromium.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)
    order = chromium.run("[...document.querySelectorAll('.line')].map(line => +line.dataset.id)")
    assert order == [6, *senses.nearest(2, 6)]
    near = texts(chromium, ".line .near")
    assert near == ["", *(f"{senses.cosines[2, 6, j]:.2f}" for j in senses.nearest(2, 6))]


def test_a_point_under_the_pointer_says_its_sentence(pages: dict[str, Path], chromium: Browser) -> None:
    chromium.open(pages["senses"])
    said = "document.querySelector('.said').textContent"
    assert chromium.run(said) == ""
    # The last is drawn over all others.
    box = chromium.run("[...document.querySelectorAll('.plot .mark-symbol path')][6].getBoundingClientRect().toJSON()")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    chromium.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert chromium.run(said) == "no match lights it"
    assert chromium.run("[...document.querySelectorAll('.lit')].map(line => +line.dataset.id)") == [6]
    chromium.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    assert chromium.run(said) == ""


def test_a_focused_sentence_is_said_and_its_point_grows(pages: dict[str, Path], chromium: Browser) -> None:
    size = "[...document.querySelectorAll('.plot .mark-symbol path')].map(p => p.getBoundingClientRect().width)"
    chromium.open(pages["senses"])
    chromium.run("document.querySelectorAll('.line')[3].focus()")
    assert chromium.run("document.querySelector('.said').textContent") == "strike a match now"
    chromium.run("new Promise(done => setTimeout(done, 100))")
    sizes = chromium.run(size)
    assert sizes[3] > 1.3 * max(sizes[:3] + sizes[4:])


TAB = 9


def test_all_that_can_be_done_is_reached_by_the_tab_key(pages: dict[str, Path], chromium: Browser) -> None:
    """In the order of the page, and one sees where one is."""
    focusable = "[...document.querySelectorAll('button:not([hidden]), input, a[href]')].filter(e => e.offsetParent)"
    here = "(e => [{}.indexOf(e), getComputedStyle(e).outlineStyle])(document.activeElement)"
    for name in MAKERS:
        chromium.open(pages[name])
        # One of a row of radio buttons is in the order; arrows reach the others.
        n = chromium.run(f"{focusable}.filter(e => e.type !== 'radio' || e.checked).length")
        reached = []
        for _ in range(n):
            chromium.press("Tab", TAB)
            reached.append(chromium.run(here.replace("{}", focusable)))
        assert len({i for i, _ in reached}) == n, name
        assert -1 not in [i for i, _ in reached]
        assert [i for i, _ in reached] == sorted(i for i, _ in reached)
        assert name == "similarity" or all(outline != "none" for _, outline in reached), name


def test_a_sentence_chosen_by_key_brings_its_nearest(
    pages: dict[str, Path], chromium: Browser, tiny_bilm: BiLM
) -> None:
    senses = _senses(tiny_bilm)
    chromium.open(pages["senses"])
    order = "[...document.querySelectorAll('.line')].map(line => +line.dataset.id)"
    assert chromium.run(order) == list(range(7))
    chromium.run("document.querySelectorAll('.line')[4].focus()")
    chromium.press("Enter", 13)
    chromium.run("document.activeElement.click()")
    assert chromium.run(order) == [4, *senses.nearest(2, 4)]
    assert chromium.run("document.activeElement.dataset.id") == "4"
    chromium.press("Escape", 27)
    assert chromium.run(order) == list(range(7))

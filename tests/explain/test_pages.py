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
    compare,
    fill_gap,
    find_senses,
    least_expected,
    measure_movement,
    measure_surprisal,
    render,
)
from tests.explain.browser import Browser
from tests.explain.conftest import language_model, occurrences


def _senses(bilm: BiLM) -> Any:
    return find_senses(bilm, "match", occurrences(), labelled_by="sense")


def _layers(bilm: BiLM) -> Any:
    mixes = (Mix("ner", np.array([0.2, 0.5, 0.3], dtype="float32"), 1.2),)
    words = ["the", "cat", "saw", "the", "dog", "and", "the", "dog", "saw", "a", "cat"]
    movement = measure_movement(bilm, [words[i:] for i in range(6)])
    cell = {"value": 70.0, "low": 60.0, "high": 75.0}
    probe = {"layers": {"0": cell, "1": cell, "average": cell}, "baseline": cell}
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
    return compare(bilm, ["the", "<i>", "match"], ["a", "match", "of", "many", "many", "words", "that", "are", "long"])


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
    assert "1.20" in chromium.run("document.querySelector('.wide').textContent")


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

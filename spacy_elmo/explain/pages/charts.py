"""Charts by Vega-Altair: drawn here to SVG and PNG, or left to Vega in the page where they are to move.

Nothing comes from the network: vl-convert has Vega in itself, and hands it out as one script.
"""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ..errors import MissingExtraError
from . import theme

# Widths of a chart in a page, in pixels: on a telephone and elsewhere. Text keeps its size in both.
NARROW, WIDE = 320, 860

Make = Callable[[int], Any]


def altair() -> Any:
    """The library, which comes with an extra."""
    try:
        import altair
        import vl_convert  # noqa: F401
    except ImportError:
        raise MissingExtraError("altair and vl-convert-python") from None
    return altair


CONFIG: dict[str, Any] = {
    "background": None,
    "font": theme.SANS,
    "padding": 4,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelPadding": 6,
        "titlePadding": 10,
        "ticks": False,
        "domain": False,
    },
    "axisY": {"grid": False},
    "legend": {
        "labelColor": "var(--ink)",
        "titleColor": "var(--soft)",
        "labelFontSize": 13,
        "titleFontWeight": "normal",
        "orient": "top",
        "symbolStrokeWidth": 0,
    },
    "title": {
        "color": "var(--ink)",
        "fontSize": 13,
        "fontWeight": 600,
        "subtitleColor": "var(--soft)",
        "anchor": "start",
    },
    "header": {"labelColor": "var(--ink)", "titleColor": "var(--soft)", "labelFontSize": 13, "labelFontWeight": 600},
    "range": {"category": list(theme.SERIES)},
    "text": {"color": "var(--ink)", "font": theme.SANS},
}


def specification(chart: Any) -> dict[str, Any]:
    """A chart in the house's style, as Vega takes it."""
    import vl_convert

    return dict(vl_convert.vegalite_to_vega({**chart.to_dict(), "config": CONFIG}))


def svg(chart: Any) -> str:
    """A chart, drawn. Its colours are the page's custom properties."""
    import vl_convert

    return str(vl_convert.vega_to_svg(specification(chart)))


def figure(make: Make, description: str) -> str:
    """A chart for the page in both widths, of which the style sheet shows the one that fits.

    Args:
        make: The chart of a width in pixels.
        description: What it shows, for those who do not see it.
    """
    return "".join(
        f'<div class="chart {name}" role="img" aria-label="{description}">{svg(make(width))}</div>'
        for name, width in (("narrow", NARROW), ("wide", WIDE))
    )


def picture(chart: Any, colours: dict[str, str]) -> str:
    """A chart as an SVG that stands alone, in a theme's colours and on its ground."""
    return theme.resolved(svg(chart.properties(background="var(--paper)")), colours)


def png(picture: str) -> bytes:
    """A picture in pixels, two for each of its own."""
    import vl_convert

    return bytes(vl_convert.svg_to_png(picture, scale=2))


@lru_cache(maxsize=1)
def runtime() -> str:
    """Vega as a script that sets `vegaEmbed`. Some 0.9 MB; making it takes seconds."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def embedded(value: Any) -> str:
    """A value as JSON that can stand in a script element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")

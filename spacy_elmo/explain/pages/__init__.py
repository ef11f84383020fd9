"""Renderers: what was found, as a page. One file a page, one shell for all of them."""

from typing import Any

from ..bias import Bias
from ..comparison import Comparison
from ..importance import Explanation
from ..layers import LayerReport
from ..senses import Senses
from ..surprisal import Gap, SurprisalReport, UnexpectedWords
from .bias import bias_page
from .comparison import comparison_page
from .importance import importance_page
from .layers import layers_page
from .senses import senses_page
from .shell import Page
from .surprisal import gap_page, surprisal_page, unexpected_page

_PAGES: dict[type, Any] = {
    Senses: senses_page,
    LayerReport: layers_page,
    Explanation: importance_page,
    SurprisalReport: surprisal_page,
    Gap: gap_page,
    Comparison: comparison_page,
    Bias: bias_page,
    UnexpectedWords: unexpected_page,
}


def page_of(found: Any) -> Page:
    """The page of what one of the functions of `explain` gave.

    Raises:
        TypeError: It is nothing that has a page.
    """
    if type(found) not in _PAGES:
        known = ", ".join(kind.__name__ for kind in _PAGES)
        raise TypeError(f"There is no page of a {type(found).__name__}. There is one of: {known}.")
    page: Page = _PAGES[type(found)](found)
    return page

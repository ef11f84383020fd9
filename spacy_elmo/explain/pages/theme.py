"""The colours of all pages, once: as custom properties of CSS, and resolved for pictures that stand alone."""

import re

# Told apart by those who see no red or no green, on either ground; shapes tell them apart without any colour.
LIGHT = {
    "paper": "#ffffff",
    "wash": "#f5f6f8",
    "line": "#dfe3e8",
    "soft": "#59626e",
    "ink": "#15191f",
    "accent": "#1f5bd0",
    "for": "#1f5bd0",
    "against": "#c2530a",
    "s1": "#1f5bd0",
    "s2": "#d2600a",
    "s3": "#0b8066",
    "s4": "#8b3fb0",
    "s5": "#8a6d00",
    "s6": "#bb2f6e",
}
DARK = {
    "paper": "#12151a",
    "wash": "#1a1f26",
    "line": "#2f3640",
    "soft": "#9ba6b3",
    "ink": "#e9ecf0",
    "accent": "#8ab0ff",
    "for": "#7aa5ff",
    "against": "#ff9d5c",
    "s1": "#7aa5ff",
    "s2": "#ff9d5c",
    "s3": "#45cfa9",
    "s4": "#cf9bf2",
    "s5": "#dcbc4d",
    "s6": "#ff8cb6",
}
SERIES = tuple(f"var(--s{i})" for i in range(1, 7))
SHAPES = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down")
SANS = "-apple-system, 'Segoe UI', Inter, Roboto, 'Helvetica Neue', Arial, sans-serif"


def properties(colours: dict[str, str]) -> str:
    """A theme's declarations in CSS."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())


def resolved(svg: str, colours: dict[str, str]) -> str:
    """An SVG with a theme's own colours in the place of custom properties, which only a page has."""
    return re.sub(r"var\(--(\w+)\)", lambda match: colours[match[1]], svg)

"""The one page that all pages are: a whole HTML file that needs nothing else, and asks nobody for anything."""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from ...about import __version__
from . import theme

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """What is different from page to page.

    Attributes:
        kind: What kind of page it is, such as "Word senses".
        title: What it is about.
        lead: One or two sentences that say what is seen, HTML.
        body: HTML.
        facts: What was looked at and how, shown at the end.
        scripts: JavaScript, run in turn after the body.
        evaluates: Whether a script compiles code as it runs, as Vega does.
    """

    kind: str
    title: str
    lead: str
    body: str
    facts: dict[str, str] = field(default_factory=dict)
    scripts: tuple[str, ...] = ()
    evaluates: bool = False


def html(page: Page) -> str:
    """A page as the content of a file.

    Its policy forbids the browser to fetch anything, so that what is in it stays with its reader.
    """
    script_policy = "'unsafe-inline'" + (" 'unsafe-eval'" if page.evaluates else "")
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {script_policy}; img-src data:"
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in page.facts.items())
    scripts = "".join(f"<script>{script}</script>\n" for script in page.scripts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="spacy-elmo {__version__}">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{escape(page.title)} · {escape(page.kind)}</title>
<style>{style()}</style>
</head>
<body>
<header>
<p class="kind">{escape(page.kind)}</p>
<h1 dir="auto">{escape(page.title)}</h1>
<p class="lead">{page.lead}</p>
</header>
<main>
{page.body}
</main>
<footer>
<dl>{facts}</dl>
<p>Made by spacy-elmo {__version__}. This file is all there is: it loads nothing.</p>
</footer>
{scripts}</body>
</html>
"""


def style() -> str:
    """The style sheet, in both themes."""
    light, dark = theme.properties(theme.LIGHT), theme.properties(theme.DARK)
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}" + asset("page.css").replace(
        "LIGHT", light
    )


def asset(name: str) -> str:
    """A style sheet or script that lies beside this file."""
    return (_HERE / name).read_text("utf8")

"""How Sphinx builds the site: `make docs`, with warnings as errors."""

import shutil
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from spacy_elmo.about import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "spacy-elmo"
author = "the spacy-elmo developers"
copyright = "2026 the spacy-elmo developers, MIT"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]
exclude_patterns = ["_build"]

# Markdown as GitHub shows it too: links between pages are relative paths, and headings have its anchors.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.strikethrough"]

# Docstrings have names in single backticks.
default_role = "code"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
add_module_names = False
python_maximum_signature_line_length = 100

# The theme's fonts are the system's, and its scripts are in the site: it is read without a network.
html_theme = "furo"
html_title = "spacy-elmo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}


def setup(app: Sphinx) -> None:
    """What Sphinx has no setting for."""
    app.connect("html-page-context", set_language)
    app.connect("build-finished", copy_gallery)


def set_language(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """The Japanese page says that it is, so that browsers take Japanese forms of the characters."""
    context["language"] = "ja" if page == "ja" else "en"


def copy_gallery(app: Sphinx, error: Exception | None) -> None:
    """Pages that are whole already go into the site as they are."""
    gallery = Path(app.srcdir, "gallery")
    if error is None and gallery.is_dir():
        shutil.copytree(gallery, Path(app.outdir, "gallery"), dirs_exist_ok=True)

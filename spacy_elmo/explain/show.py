"""Pages to files, notebooks and browsers, as displaCy has it."""

from html import escape
from typing import Any
from wsgiref import simple_server

from spacy.util import find_available_port, is_in_jupyter

from .pages import page_of
from .pages.shell import html

# Of a page in a notebook, in pixels.
HEIGHT = 720


def render(found: Any, *, jupyter: bool | None = None) -> str | None:
    """A page of what a function of `explain` gave.

    Args:
        found: Such as `Senses`.
        jupyter: Show it in the notebook; None where this runs in one.

    Returns:
        The whole HTML file, which needs nothing else; None where it was shown.

    Raises:
        TypeError: There is no page of it.
        MissingExtraError: The extra "explain" is not installed.
    """
    text = html(page_of(found))
    if not (is_in_jupyter() if jupyter is None else jupyter):
        return text
    from IPython.display import HTML, display

    # In a frame: neither the page's styles nor the notebook's reach the other.
    frame = (
        f'<iframe srcdoc="{escape(text)}" style="width:100%;height:{HEIGHT}px;border:0" title="spacy-elmo"></iframe>'
    )
    display(HTML(frame))
    return None


def serve(found: Any, *, port: int = 5000, host: str = "127.0.0.1", auto_select_port: bool = False) -> None:
    """Serve a page until the process is interrupted.

    Args:
        found: As for `render`.
        port: Where.
        host: Whom for; by default for this machine alone.
        auto_select_port: Take another port where this one is in use.
    """
    content = (render(found, jupyter=False) or "").encode("utf8")

    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [content]

    port = find_available_port(port, host, auto_select_port)
    with simple_server.make_server(host, port, application) as server:
        print(f"Serving on http://{host}:{port} … Stop with Ctrl+C.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Stopped.")

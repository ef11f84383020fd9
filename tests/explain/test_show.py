"""Pages in notebooks and from a server."""

import sys
import threading
import urllib.request
from types import SimpleNamespace
from typing import Any
from wsgiref import simple_server

import pytest

from spacy_elmo import BiLM
from spacy_elmo.explain import ExplainError, Occurrence, find_senses, render, serve
from tests.explain.conftest import occurrences


@pytest.fixture(scope="module")
def senses(tiny_bilm: BiLM) -> Any:
    return find_senses(tiny_bilm, "match", occurrences())


def test_a_notebook_shows_the_page_in_a_frame(senses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    module = SimpleNamespace(HTML=lambda text: text, display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=module))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    assert render(senses, jupyter=True) is None
    assert shown[0].startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert render(senses, jupyter=False).startswith("<!doctype html>")


def test_a_server_gives_the_page(senses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    servers: list[Any] = []
    real = simple_server.make_server

    def make_server(*arguments: Any) -> Any:
        servers.append(real(*arguments))
        return servers[0]

    monkeypatch.setattr(simple_server, "make_server", make_server)
    thread = threading.Thread(target=serve, args=(senses,), kwargs={"port": 5123, "auto_select_port": True})
    thread.start()
    while not servers:
        thread.join(0.05)
    with urllib.request.urlopen(f"http://127.0.0.1:{servers[0].server_port}") as answer:
        assert '<h1 dir="auto">“match”</h1>' in answer.read().decode("utf8")
    servers[0].shutdown()
    thread.join(10)
    assert not thread.is_alive()


def test_what_is_in_a_text_is_no_markup(tiny_bilm: BiLM) -> None:
    words = ("</script><script>alert(1)</script>", "<b>", "match")
    page = render(find_senses(tiny_bilm, "<i>match", [Occurrence(words, 2, "<u>")] * 3, labelled_by="x"), jupyter=False)
    assert all(tag not in page for tag in ("<i>", "<u>", "alert(1)</script>"))


def test_what_has_no_page_is_told() -> None:
    with pytest.raises(TypeError, match="no page of a str"):
        render("text")


def test_more_labels_than_colours_are_refused(tiny_bilm: BiLM) -> None:
    places = [Occurrence(("a", "match", str(i)), 1, str(i)) for i in range(7)]
    with pytest.raises(ExplainError, match="7 values"):
        render(find_senses(tiny_bilm, "match", places, labelled_by="token.text"))

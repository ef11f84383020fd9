"""What the pages have in fences: code of a language, with what the comment before it says of running it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = {
    path.relative_to(REPOSITORY).as_posix(): path
    for path in [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]
    if "_build" not in path.parts
}

# A comment that prepares what comes, `<!-- setup … -->`, or a fence; before a fence, one that marks it.
_BLOCK = re.compile(
    r"^<!-- setup\n(?P<setup>.*?)^-->$"
    r"|(?:^<!-- (?P<mark>not run|needs): (?P<said>[^\n]*) -->\n)?^(?P<fence>`{3,})(?P<language>[^\n]*)\n"
    r"(?P<code>.*?)^(?P=fence)$",
    flags=re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A piece of code of a page.

    Attributes:
        place: the page and the line where the code begins.
        language: "python", "bash" and so on, as the fence says; "" where it says nothing.
        code: the text between the fences.
        not_run: why it is not run; None where it is.
        needs: the modules that it is left out without.
    """

    place: tuple[str, int]
    language: str
    code: str
    not_run: str | None = None
    needs: tuple[str, ...] = ()

    def compiled(self) -> object:
        """Python, with the page's name and lines in what goes wrong."""
        page, line = self.place
        return compile("\n" * (line - 1) + self.code, page, "exec")


def blocks(page: str) -> Iterator[Block]:
    """Those of a page, in its order."""
    text = PAGES[page].read_text("utf8")
    for found in _BLOCK.finditer(text):
        group = "code" if found["setup"] is None else "setup"
        line = text.count("\n", 0, found.start(group)) + 1
        language = "python" if group == "setup" else found["language"].strip()
        said = found["said"] or ""
        yield Block(
            place=(page, line),
            language=language,
            code=found[group],
            not_run=said if found["mark"] == "not run" else None,
            needs=tuple(said.split()) if found["mark"] == "needs" else (),
        )


def prose(page: str) -> str:
    """A page without its blocks."""
    return _BLOCK.sub("", PAGES[page].read_text("utf8"))

"""Where the links of pages lead. Sphinx looks after those between pages of docs/; the README is none of them."""

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

from .blocks import DOCS, PAGES

OUTSIDE = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]

# Paths of sources, data and configs, also in commands.
NAMED = re.compile(
    r"(?<![\w/.-])(?:tests|spacy_elmo|experiments|bench|configs|assets|examples)/[\w/.-]+\.(?:py|cfg|md|tsv)\b"
)


def anchors(path: Path) -> set[str]:
    """Those of a page's headings, as GitHub makes them; the cards are pages that include another one."""
    page = path.read_text("utf8")
    included = re.findall(r"^```{include} (\S+)$", page, flags=re.MULTILINE)
    texts = [page, *((path.parent / name).read_text("utf8") for name in included)]
    headings = re.findall(r"^#+ (.*)$", "\n".join(texts), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*PAGES.values(), *OUTSIDE[1:]], ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_exist(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text("utf8")):
        name, _, anchor = target.partition("#")
        page = path.parent / name if name else path
        assert page.exists(), target
        if anchor and "reference" not in page.parts:
            assert anchor in anchors(page), target


@pytest.mark.parametrize("path", [*PAGES.values(), *OUTSIDE[1:]], ids=lambda path: path.name)
def test_files_of_the_repository_that_a_page_names_exist(path: Path) -> None:
    for name in NAMED.findall(path.read_text("utf8")):
        assert (REPOSITORY / name).exists(), name


def test_the_list_of_jobs_has_every_page() -> None:
    index = (DOCS / "howto" / "index.md").read_text("utf8")
    listed = set(re.findall(r"\]\((\w+\.md)\)", index))
    assert listed == {path.name for path in (DOCS / "howto").glob("*.md")} - {"index.md"}

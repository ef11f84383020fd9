"""What docs/contributing.md says of the house."""

import re
import sys

import pytest

from .conftest import REPOSITORY

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

PAGE = (REPOSITORY / "docs" / "contributing.md").read_text("utf8")


def table(section: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    lines = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0].splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_rooms_are_those_of_the_contract_in_its_order() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf8"))["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    levels = {room.strip(): level for level, row in enumerate(reversed(layers)) for room in row.split("|")}
    told = [room for row in table("Rooms") for room in re.findall(r"`(\w+)`", row[0])]
    assert sorted(told) == sorted(levels)
    assert [levels[room] for room in told] == sorted(levels.values())


def test_the_files_that_it_names_exist() -> None:
    paths = re.findall(r"`([\w/]+\.(?:py|yml|toml|md))[`:]", PAGE)
    assert len(paths) > 20
    for path in paths:
        assert (REPOSITORY / path).is_file() or (REPOSITORY / "spacy_elmo" / path).is_file(), path


@pytest.mark.parametrize("row", table("What is kept where"), ids=lambda row: row[0][:30])
def test_each_kept_thing_has_a_test_that_holds_when_it_is_stale(row: list[str]) -> None:
    path, _, name = row[4].strip("`").partition("::")
    assert f"\ndef {name}(" in (REPOSITORY / path).read_text("utf8")


def test_what_is_called_exists() -> None:
    from spacy_elmo import BiLM
    from spacy_elmo.pipeline import component

    names = re.findall(r"`(BiLM|Elmo)\.(\w+)(?:\(\))?`", PAGE)
    assert len(names) > 5
    for owner, name in names:
        assert hasattr({"BiLM": BiLM, "Elmo": component.Elmo}[owner], name), name

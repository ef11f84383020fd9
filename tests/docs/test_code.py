"""Every block of code in README.md and docs/ does what the page says.

A page's blocks of Python run one after the other in one namespace, its commands in between. What takes too long, or
needs what is not at hand, is marked with the reason; it is compiled, and its commands' options are looked up.
"""

import re
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from inspect import signature
from typing import Any

import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.util import registry
from thinc.api import Config

from . import commands
from .blocks import PAGES, Block, blocks, prose

# A comment beside a `print` that begins like this is what is printed; any other one says what that is.
_VALUE = re.compile(r"""[-+(\[{"'<\d]|(True|False|None)\b""")


@pytest.fixture
def modules() -> Iterator[None]:
    """A page may put modules of others' names into the program that it is read by."""
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "allennlp"]:
        del sys.modules[name]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("place", "modules")
def test_a_page_does_what_it_says(page: str) -> None:
    lacking: set[str] = set()
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        language = "text" if block.language.startswith("{") else block.language
        CHECK[language](block)
        absent = {module for module in block.needs if find_spec(module) is None}
        lacking |= absent
        if language in RUN and block.not_run is None and not absent:
            RUN[language](block, namespace)
    if lacking:
        pytest.skip(f"what needs {', '.join(sorted(lacking))} was left out")


def run_python(block: Block, namespace: dict[str, Any]) -> None:
    """Where a `print` has a value beside it, that is what it prints."""
    first_line, lines = block.place[1], block.code.splitlines()

    def compare(*values: object, sep: str = " ", **_: object) -> None:
        comment = lines[sys._getframe(1).f_lineno - first_line].rpartition("  # ")[2]
        if _VALUE.match(comment):
            assert comment.startswith(" ".join(sep.join(map(str, values)).split()))

    namespace["print"] = compare
    exec(block.compiled(), namespace)


def check_bash(block: Block) -> None:
    for module, *arguments in commands.python_commands(block.code):
        commands.check(module, *arguments)


def run_bash(block: Block, namespace: dict[str, Any]) -> None:
    lines = block.code.replace("\\\n", " ").splitlines()
    assert all(map(commands.is_python, lines)), f"{block.place}: say before the block why it is not run"
    for module, *arguments in commands.python_commands(block.code):
        commands.run(module, *arguments)


def check_config(block: Block) -> None:
    """What a config names is registered, and has the settings that it gives. It may be a part of one."""
    known: set[str] = set()

    def with_parents(heading: re.Match[str]) -> str:
        path = heading[1].split(".")
        parents = [".".join(path[:depth]) for depth in range(1, len(path))]
        absent = [f"[{name}]\n" for name in parents if name not in known]
        known.update(parents, [heading[1]])
        return "".join(absent) + heading[0]

    whole = re.sub(r"^\[(.*)\]$", with_parents, block.code, flags=re.MULTILINE)
    _check_section(Config().from_str(whole, interpolate=False), block.place)


def _check_section(section: dict[str, Any], place: tuple[str, int]) -> None:
    settings = {key for key in section if key[0] not in "@*"}
    for key in section:
        if key[0] == "@":
            known = set(signature(registry.get(key[1:], section[key])).parameters)
            assert settings <= known, f"{place}: {section[key]} has no {settings - known}"
    if isinstance(section.get("factory"), str):
        spacy.blank("en")  # which loads the factories
        known = {*Language.get_factory_meta(section["factory"]).default_config, "factory", "model"}
        assert settings <= known, f"{place}: the factory {section['factory']} has no {settings - known}"
    for value in section.values():
        if isinstance(value, dict):
            _check_section(value, place)


def check_diff(block: Block) -> None:
    """What lines change to can be imported."""
    for line in re.findall(r"^\+(.*import.*)$", block.code, flags=re.MULTILINE):
        exec(line, {})


def only_shown(block: Block) -> None:
    """Output, or a directive of Sphinx's."""


CHECK: dict[str, Callable[[Block], Any]] = {
    "python": Block.compiled,
    "bash": check_bash,
    "ini": check_config,
    "cfg": check_config,
    "diff": check_diff,
    "json": lambda block: srsly.json_loads(block.code),
    "yaml": lambda block: srsly.yaml_loads(block.code),
    "text": only_shown,
    "": only_shown,
}
RUN = {"python": run_python, "bash": run_bash}


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_exist(page: str) -> None:
    for line in re.findall(r"`(python -m [^`]+)`", prose(page)):
        for module, *arguments in commands.python_commands(line.replace("\n", " ")):
            commands.check(module, *arguments)

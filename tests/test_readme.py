"""The README's promises that a program can check."""

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from thinc.api import Config

from spacy_elmo.language import LanguageModel, save_language_model
from spacy_elmo.layers.elmo_model import ElmoModel
from spacy_elmo.layers.listener import build_elmo_listener

from .conftest import REPOSITORY, random_bilm

README = (REPOSITORY / "README.md").read_text("utf8")
PYPROJECT = (REPOSITORY / "pyproject.toml").read_text("utf8")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))
def test_python_runs_and_prints_what_it_says(
    code: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a model was trained before, as the README goes; a random one here."""
    if 'blank("ja")' in code:
        pytest.importorskip("sudachipy")
    vocabulary = ["<S>", "</S>", "<UNK>", "A", "sentence", "."]
    (tmp_path / "out").mkdir()
    save_language_model(LanguageModel(random_bilm(), vocabulary), tmp_path / "out" / "model-best", Config(), {})
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    for line, comment in zip(printed, re.findall(r"print\(.*\)  # (.*)", code), strict=True):
        if comment[0] in "([":
            assert comment.startswith(line)


def test_python_version_is_the_package_s() -> None:
    (stated,) = re.findall(r"Python (\d\.\d+) or later", README)
    assert f'requires-python = ">={stated}"' in PYPROJECT


def test_links_and_configs_exist() -> None:
    for target in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (REPOSITORY / target).exists(), target
    listed = set(re.findall(r"`(\w+\.cfg)`", README))
    assert listed == {path.name for path in (REPOSITORY / "configs").glob("*.cfg")}


def described(heading: str) -> dict[str, Any]:
    """The settings of the first table under a heading or a sentence, with their defaults. A row may have several."""
    found: dict[str, Any] = {}
    table = README.split(heading)[1].split("| setting | default | |\n|---|---|---|\n")[1].split("\n\n")[0]
    for row in table.splitlines():
        names, defaults = (re.findall(r"`([^`]+)`", cell) for cell in row.split(" | ")[:2])
        found |= dict(zip(names, map(json.loads, defaults), strict=True))
    return found


@pytest.mark.parametrize(
    ("heading", "defaults"),
    [
        ("### The component `elmo`", lambda: own_settings(Language.get_factory_meta("elmo").default_config)),
        ("Its model, `spacy-elmo.ElmoModel.v1`:", lambda: defaults_of(ElmoModel)),
        ("### The listener `spacy-elmo.ElmoListener.v1`", lambda: defaults_of(build_elmo_listener)),
    ],
)
def test_settings_are_all_described(heading: str, defaults: Callable[[], dict[str, Any]]) -> None:
    """With the defaults that the code has, and no others."""
    spacy.blank("en").add_pipe("elmo")
    assert described(heading) == defaults()


def own_settings(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "model"}


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}

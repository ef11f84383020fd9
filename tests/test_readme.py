"""The README's promises that a program can check."""

import re
from pathlib import Path

import pytest
from thinc.api import Config

from spacy_elmo.language import LanguageModel, save_language_model

from .conftest import REPOSITORY, random_bilm

README = (REPOSITORY / "README.md").read_text("utf8")
PYPROJECT = (REPOSITORY / "pyproject.toml").read_text("utf8")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))
def test_python_runs_and_prints_what_it_says(
    code: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a model was trained before, as the README goes; a random one here."""
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


def test_settings_are_all_described() -> None:
    """With the defaults that the code has."""
    from spacy_elmo.layers.elmo_model import ElmoModel
    from spacy_elmo.layers.listener import build_elmo_listener
    from spacy_elmo.pipeline import make_elmo

    for function in (ElmoModel, build_elmo_listener, make_elmo):
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        for name in set(names) - {"nlp", "name", "model"}:
            assert f"`{name}`" in README, f"{function.__name__}: {name}"

"""The promises of docs/migration.md that a program can check."""

import re
from pathlib import Path

import pytest
import torch

from spacy_elmo.allennlp import Elmo
from tests.conftest import REPOSITORY

from .models import write_model

PAGE_PATH = REPOSITORY / "docs" / "migration.md"
PAGE = PAGE_PATH.read_text("utf8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page's files are: a model as wide as the published ones and otherwise tiny, and one saved with it."""
    place = tmp_path_factory.mktemp("migration")
    (place / "model").mkdir()
    write_model(place / "model", projection_dim=512, dim=2)
    files = write_model(place, projection_dim=512, dim=2).files
    tagger = torch.nn.ModuleDict({"elmo": Elmo(*files, 1), "output": torch.nn.Linear(1024, 9)})
    torch.save(tagger.state_dict(), place / "tagger.pt")
    return place


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL))
def test_python_runs_and_prints_what_it_says(
    code: str, capsys: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    exec(compile(code, PAGE_PATH.name, "exec"), {"__name__": "migration"})
    printed = capsys.readouterr().out.splitlines()
    for line, comment in zip(printed, re.findall(r"print\(.*\)  # (.*)", code), strict=True):
        assert comment.startswith(line)


def test_imports_of_the_changed_lines_exist() -> None:
    added = re.findall(r"^\+(.*)$", PAGE, flags=re.MULTILINE)
    assert len(added) == len(re.findall(r"^-(?=from)", PAGE, flags=re.MULTILINE)) == 4
    for line in added:
        exec(line, {})


def test_links_exist() -> None:
    for target in re.findall(r"\]\((?!http|#)([^)]+)\)", PAGE):
        assert (PAGE_PATH.parent / target).exists(), target

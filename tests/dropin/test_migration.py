"""The promises of docs/howto/migrate.md that a program can check."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import spacy_elmo.allennlp.__main__
import spacy_elmo.elmoformanylangs.__main__
from spacy_elmo.allennlp import Elmo
from tests.conftest import REPOSITORY

from .models import write_model

PAGE_PATH = REPOSITORY / "docs" / "howto" / "migrate.md"
PAGE = PAGE_PATH.read_text("utf8")


CODE = re.findall(r"```(python|bash)\n(.*?)```", PAGE, flags=re.DOTALL)
# The commands of the page, by what comes after `python -m`.
COMMANDS = {
    "spacy_elmo.allennlp": spacy_elmo.allennlp.__main__.main,
    "spacy_elmo.elmoformanylangs": spacy_elmo.elmoformanylangs.__main__.main,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page's files are: a model as wide as the published ones and otherwise tiny, one saved with it, and
    texts.
    """
    place = tmp_path_factory.mktemp("migration")
    (place / "model").mkdir()
    write_model(place / "model", projection_dim=512, dim=2)
    files = write_model(place, projection_dim=512, dim=2).files
    tagger = torch.nn.ModuleDict({"elmo": Elmo(*files, 1), "output": torch.nn.Linear(1024, 9)})
    torch.save(tagger.state_dict(), place / "tagger.pt")
    (place / "sentences.txt").write_text("The first sentence .\nAnother one .\n", "utf8")
    (place / "words.txt").write_text("Ein\tSatz\nNoch\teiner\t.\n", "utf8")
    return place


@pytest.fixture
def without_allennlp() -> Iterator[None]:
    """The page puts modules of that name into the program that it is read by."""
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "allennlp"]:
        del sys.modules[name]


@pytest.mark.parametrize(("language", "code"), CODE)
@pytest.mark.usefixtures("without_allennlp")
def test_the_page_runs_in_its_order_and_prints_what_it_says(
    language: str, code: str, capsys: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    if language == "bash":
        python, option, module, *arguments = shlex.split(code)
        assert (python, option) == ("python", "-m")
        COMMANDS[module](arguments)
        return
    if "from flair" in code:
        pytest.skip("needs Flair: see test_flair.py, which runs it where Flair is")
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
    targets = re.findall(r"\]\((?!http|#)([^)]+)\)", PAGE)
    assert targets
    for target in targets:
        assert (PAGE_PATH.parent / target).exists(), target

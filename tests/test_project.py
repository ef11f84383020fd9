"""The workflows in project.yml."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import srsly
from weasel.cli.run import project_run

from experiments.datasets import read_docs

from .cli import helpers
from .conftest import REPOSITORY

PROJECT = srsly.read_yaml(REPOSITORY / "project.yml")
COMMANDS = {command["name"]: command for command in PROJECT["commands"]}


@pytest.mark.parametrize(
    "workflow",
    [
        "demo",
        "wnut17",
        "uner",
        "stockmark",
        "banking77",
        "multilingual",
        "language",
        "layers",
        "gallery",
        "typos",
        "components",
        "learning_curve",
        "together",
        "peers",
        "domain",
    ],
)
def test_workflow_is_whole(workflow: str) -> None:
    """Its commands exist, and each finds its files in the repository or in what an earlier command makes."""
    made: set[str] = set()
    for name in PROJECT["workflows"][workflow]:
        command = COMMANDS[name]
        for path in command["deps"]:
            assert path in made or (REPOSITORY / path).exists(), f"{name} needs {path}"
        made.update(command.get("outputs", []))


@pytest.mark.parametrize("name", [*PROJECT["workflows"], *COMMANDS])
def test_spacy_resolves(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands with all variables filled in, and each an experiment or a command that there is."""
    monkeypatch.chdir(REPOSITORY)
    project_run(REPOSITORY, name, dry=True, force=True)  # whatever project.lock says was made
    lines = [line for line in capsys.readouterr().out.splitlines() if "python" in line]
    names = PROJECT["workflows"].get(name, [name])
    assert len(lines) == sum(len(COMMANDS[each]["script"]) for each in names)
    for line in lines:
        assert "${" not in line
        assert any(find_spec(module) for module in re.findall(r"-m (experiments\.\w+|spacy) ", f"{line} ")), line


def test_names_of_workflows_and_commands_differ() -> None:
    """Where two are the same, spaCy runs neither."""
    assert set(PROJECT["workflows"]).isdisjoint(COMMANDS)


def test_a_command_runs_through_spacy_project(tmp_path: Path) -> None:
    """With the repository's files linked into another folder, so that the test leaves nothing behind."""
    for part in ("assets", "configs", "experiments", "project.yml"):
        (tmp_path / part).symlink_to(REPOSITORY / part)
    done = helpers.spacy("project", "run", "convert-demo", tmp_path)
    assert done.code == 0, done.text
    assert len(read_docs(tmp_path / "corpus" / "demo" / "train.spacy")) == 280

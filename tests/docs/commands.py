"""Command lines of the pages: taken apart, held against the commands that there are, and run."""

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import spacy.cli
import srsly
import typer
from spacy.util import load_config

from spacy_elmo.cli import elmo_cli
from spacy_elmo.cli.configs import find
from tests.conftest import REPOSITORY

# What ends a command, or leads its output elsewhere.
_ENDS = {"|", "&&", ";", ">", ">>", "2>", "<"}
_SPACY: Any = typer.main.get_command(spacy.cli.app)
_ELMO: Any = typer.main.get_command(elmo_cli)
_PROJECT = srsly.read_yaml(REPOSITORY / "project.yml")


def python_commands(code: str) -> Iterator[list[str]]:
    """`[MODULE, ARGUMENT, …]` of each `… -m MODULE ARGUMENT …` in lines of a shell."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while "-m" in words:
            words = words[words.index("-m") + 1 :]
            ends = [index for index, word in enumerate(words) if word in _ENDS]
            yield words[: min(ends, default=len(words))]


def is_python(line: str) -> bool:
    """Whether a line of a shell is `python -m MODULE …` and nothing else."""
    words = shlex.split(line, comments=True)
    return not words or (words[:2] == ["python", "-m"] and not set(words) & _ENDS)


def run(module: str, *arguments: str) -> None:
    """As `python -m MODULE ARGUMENT …`, but in this process, which has imported already what takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *arguments])
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            status = end.code
        else:
            status = None
    assert not status, f"python -m {module} {shlex.join(arguments)} ended with {status}"


def check(module: str, *arguments: str) -> None:
    """That there is such a command of ours or spaCy's, and that it takes these options. NAME stands for any name."""
    if module == "spacy" and arguments[:1] == ("elmo",):
        _check_click(_ELMO, arguments[1:])
    elif module == "spacy" and arguments[:2] == ("project", "run"):
        _check_project(*arguments[2:])
    elif module == "spacy":
        _check_click(_SPACY, arguments)
    elif module.partition(".")[0] in ("spacy_elmo", "experiments", "bench") and not module.endswith(".NAME"):
        _check_argparse(module, arguments)


def _check_click(command: Any, words: tuple[str, ...]) -> None:
    for name in words:
        if not hasattr(command, "commands") or name.isupper() or name.startswith("-"):
            break
        assert name in command.commands, f"there is no command {name}"
        command, words = command.commands[name], words[1:]
    options = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
    for word in words:
        if re.match(r"--?[a-zA-Z]", word) and "." not in word:
            assert word.partition("=")[0] in options | {"--help"}, f"{command.name} has no option {word}"
    if command.name in ("train", "pretrain") and words and find(Path(words[0])).is_file():
        _check_settings(find(Path(words[0])), words[1:])


def _check_settings(path: Path, words: tuple[str, ...]) -> None:
    """`--section.key` of a config that comes with the package is one that it has."""
    for option in (word.partition("=")[0] for word in words if word.startswith("--") and "." in word):
        section: Any = load_config(path)
        for key in option.removeprefix("--").split("."):
            assert key in section, f"{path.name} has no setting {option}"
            section = section[key]


def _check_project(name: str, *words: str) -> None:
    known = {"NAME", *_PROJECT["workflows"], *(command["name"] for command in _PROJECT["commands"])}
    assert name in known, f"project.yml has no {name}"
    for option in (word.partition("=")[0] for word in words if word.startswith("--vars.")):
        assert option.removeprefix("--vars.") in _PROJECT["vars"], f"project.yml has no variable {option}"


def _check_argparse(module: str, words: tuple[str, ...]) -> None:
    """The source of a module, or its package's, names each option."""
    spec = find_spec(module)
    assert spec is not None, f"there is no module {module}"
    assert spec.origin is not None
    origin = Path(spec.origin)
    files = origin.parent.glob("*.py") if origin.name == "__init__.py" else [origin]
    source = "".join(path.read_text("utf8") for path in files)
    for option in (word.partition("=")[0] for word in words if word.startswith("--") and word != "--help"):
        assert option.removeprefix("--") in source, f"{module} has no option {option}"

"""The group of commands, and what it costs those who do not call it."""

import pytest

from spacy_elmo import __version__
from spacy_elmo.cli.failing import failing
from spacy_elmo.errors import ElmoError
from tests.cli.helpers import elmo, spacy
from tests.test_import import modules_after


def test_the_group_is_among_spacys_commands() -> None:
    result = spacy("--help")
    assert result.code == 0
    assert "elmo" in result.output.split()


def test_the_group_lists_its_commands() -> None:
    for arguments in ([], ["--help"]):
        result = elmo(*arguments)
        for name in ("info", "convert", "download", "Examples:"):
            assert name in result.text


def test_the_group_tells_its_version() -> None:
    result = elmo("--version")
    assert result.code == 0
    assert result.text == f"spacy-elmo {__version__}"


@pytest.mark.parametrize("command", ["package", "info", "convert", "download", "configs"])
def test_a_command_has_examples_that_keep_their_lines(command: str) -> None:
    result = elmo(command, "--help")
    assert result.code == 0
    _, _, examples = result.output.partition("Examples:\n")
    first = examples.splitlines()[0].strip()
    assert f"{first} ".startswith(f"python -m spacy elmo {command} ")
    assert first.count("python") == 1


def test_spacys_own_commands_go_on_working() -> None:
    result = spacy("info")
    assert result.code == 0
    assert "spaCy version" in result.output


def test_spacys_commands_load_nothing_of_ours_but_the_commands() -> None:
    """spaCy and Thinc themselves load torch and h5py where these are installed."""
    modules = modules_after("from spacy.util import registry; assert 'elmo' in registry.cli.get_all()")
    ours = {name for name in modules if name.startswith("spacy_elmo")}
    assert "spacy_elmo.cli.convert" in ours
    rooms = {".".join(name.split(".")[:2]) for name in ours}
    assert rooms == {"spacy_elmo", "spacy_elmo.about", "spacy_elmo.errors", "spacy_elmo.cli"}


def test_the_commands_can_be_imported_without_torch_and_h5py() -> None:
    code = """
import sys
for name in ("torch", "h5py", "safetensors"):
    sys.modules[name] = None
from spacy.util import registry
assert "elmo" in registry.cli.get_all()
"""
    assert "spacy_elmo.cli.info" in modules_after(code)


def test_a_bug_is_shown_as_one() -> None:
    """With its traceback: a user cannot put it right, and who mends it has to see where it is."""
    with pytest.raises(ValueError, match="no error of ours"), failing():
        raise ValueError("no error of ours")
    with pytest.raises(SystemExit), failing():
        raise ElmoError("one that a user can put right")
    with pytest.raises(SystemExit), failing():
        raise FileNotFoundError(2, "No such file", "absent")

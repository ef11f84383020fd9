"""What ends a command with a message, and what with a traceback."""

from pathlib import Path

import pytest

from spacy_elmo import CheckpointError, ElmoError
from spacy_elmo.cli.failing import failing
from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.disk import DiskError, TakenError
from spacy_elmo.pretraining.errors import ConfigError, RunError


@pytest.mark.parametrize(
    "kind", [ElmoError, CheckpointError, CorpusError, ConfigError, RunError, DiskError, TakenError]
)
def test_what_is_raised_on_purpose_is_told(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, failing():
        raise kind("the file x: damaged")
    assert ended.value.code == 1
    assert "the file x: damaged" in capsys.readouterr().out


def test_a_file_that_the_system_names_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), failing():
        (tmp_path / "nowhere").read_bytes()
    assert "nowhere" in "".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "bug", [ValueError("not enough values"), RuntimeError("shapes"), KeyError("step"), TypeError("None"), OSError("x")]
)
def test_a_bug_of_ours_shows_where_it_is(bug: Exception) -> None:
    with pytest.raises(type(bug)) as error, failing():
        raise bug
    assert error.value is bug

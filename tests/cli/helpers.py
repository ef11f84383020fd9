"""Commands as users run them: in processes of their own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    code: int
    output: str
    errors: str

    @property
    def text(self) -> str:
        """What was printed, without line breaks, which are put where a line is full."""
        return " ".join(f"{self.output} {self.errors}".split())


def spacy(*arguments: str | Path, directory: Path | None = None) -> Result:
    """`python -m spacy ARGUMENTS`."""
    command = [sys.executable, "-m", "spacy", *map(str, arguments)]
    environment = {**os.environ, "ANSI_COLORS_DISABLED": "1", "COLUMNS": "120"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=directory, env=environment)
    return Result(result.returncode, result.stdout, result.stderr)


def elmo(*arguments: str | Path, directory: Path | None = None) -> Result:
    """`python -m spacy elmo ARGUMENTS`."""
    return spacy("elmo", *arguments, directory=directory)


def assert_fails(result: Result, *words: str) -> None:
    """With exit code 1 and a message of these words, and without a traceback."""
    assert result.code == 1, result.text
    assert "Traceback" not in result.text
    for word in words:
        assert word in result.text

"""Commands in processes of their own, forked from one that has imported what takes seconds."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_server = get_context("forkserver")
_server.set_forkserver_preload(["tests.pretraining.warm"])


@dataclass(frozen=True)
class Result:
    code: int
    output: str
    errors: str

    @property
    def text(self) -> str:
        """What was printed, without line breaks, which are put where a line is full."""
        return " ".join(f"{self.output} {self.errors}".split())


def spacy(
    *arguments: str | Path,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    piped: bytes | None = None,
) -> Result:
    """`python -m spacy ARGUMENTS`, with these variables of the environment beside those that are there.

    piped: what comes from standard input.
    """
    with TemporaryDirectory() as folder:
        given, *written = (Path(folder, name) for name in ("input", "output", "errors"))
        if piped is not None:
            given.write_bytes(piped)
        process = _server.Process(
            target=_spacy, args=([*map(str, arguments)], directory, given, written, {**(environment or {})})
        )
        process.start()
        process.join(600)
        assert process.exitcode is not None, "the command did not end"
        output, errors = (path.read_text("utf8") for path in written)
        return Result(process.exitcode, output, errors)


def _spacy(
    arguments: list[str], directory: Path | None, given: Path, written: list[Path], environment: dict[str, str]
) -> None:
    """As spaCy's own __main__ does it."""
    from spacy.cli import setup_cli

    os.environ.update(ANSI_COLORS_DISABLED="1", COLUMNS="120", **environment)
    for stream, path in zip((1, 2), written, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    if given.exists():
        sys.stdin = given.open(encoding="utf8")
    if directory:
        os.chdir(directory)
    sys.argv = ["spacy", *arguments]
    setup_cli()


def elmo(*arguments: str | Path, **process: Any) -> Result:
    """`python -m spacy elmo ARGUMENTS`, see `spacy`."""
    return spacy("elmo", *arguments, **process)


def assert_fails(result: Result, *words: str) -> None:
    """With exit code 1 and a message of these words, and without a traceback."""
    assert result.code == 1, result.text
    assert "Traceback" not in result.text
    for word in words:
        assert word in result.text

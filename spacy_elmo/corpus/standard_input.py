"""Standard input in the place of a file."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..disk import writing
from .errors import CorpusError

STANDARD_INPUT = Path("-")


@contextmanager
def with_standard_input(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Let "-" mean what is piped in: lines of text.

    It is kept in a temporary file for the length of the block, since texts are read more than once.

    Args:
        paths: Of texts.

    Yields:
        The same, with the file in the place of "-".

    Raises:
        CorpusError: Nothing is piped in, or it is meant twice.
        DiskError: The temporary file cannot be written.
    """
    if STANDARD_INPUT not in paths:
        yield list(paths)
        return
    if paths.count(STANDARD_INPUT) > 1:
        raise CorpusError("'-' stands for standard input, which can be read once only.")
    if sys.stdin is None or sys.stdin.isatty():
        raise CorpusError("'-' stands for standard input, but nothing is piped in.")
    with TemporaryDirectory() as directory:
        kept = Path(directory, "standard-input")
        with writing(kept, "Set TMPDIR to a directory that has space."), kept.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield [kept if path == STANDARD_INPUT else path for path in paths]

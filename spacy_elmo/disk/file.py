"""Whole files."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from .errors import writing
from .leftovers import aside


def write_whole(path: str | PathLike[str], data: bytes) -> None:
    """Write a file, or replace one, as a whole: see the promise of this package.

    Args:
        path: The file. Where it is a link, what it leads to is replaced. Its directory is made where it is missing.
        data: All of its content.

    Raises:
        DiskError: The disk does not take it. What was there before stays.
    """
    with new_file(path) as unfinished:
        unfinished.write_bytes(data)


@contextmanager
def new_file(path: str | PathLike[str]) -> Iterator[Path]:
    """As `write_whole`, for what is written piece by piece.

    Args:
        path: As there.

    Yields:
        An empty file to write into, which takes the name at the end, or goes if an error comes first.

    Raises:
        DiskError: The disk does not take it. What was there before stays.
    """
    target = Path(path).resolve()
    with writing(target), aside(target, lambda fresh: fresh.open("xb").close()) as unfinished:
        yield unfinished
        sync(unfinished)
        if target.exists():
            shutil.copymode(target, unfinished)
        unfinished.replace(target)
        sync(target.parent)


def sync(path: Path) -> None:
    """Have a file's content, or a directory's names, on the disk itself before the next thing happens."""
    if os.name == "nt":  # where neither can be asked for by a name
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

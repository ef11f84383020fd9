"""What is being written lies beside its name, hidden, and claimed by the process that writes it.

A claim is a lock (flock) that the system frees when the process ends, however it ends. So what nobody claims was left
by a process that was killed.
"""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no claims: leftovers stay there
    fcntl = None  # type: ignore[assignment]


@contextmanager
def aside(target: Path, make: Callable[[Path], object]) -> Iterator[Path]:
    """Make a place beside a target, for what is to take its name. What remains there at the end is removed.

    Args:
        target: The name to take. Its parent directories are made where they are missing.
        make: Makes an empty file or directory of the path it is given.

    Yields:
        The path.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with turn(target.parent):
        sweep(target)
    path, claim = _claimed(target, make)
    try:
        yield path
    finally:
        remove(path)
        _close(claim)


def settle(target: Path) -> None:
    """Undo half a change.

    Where a process was killed between the two renames that replace a directory on a system that cannot exchange two,
    the directory gets its name back. For readers that find nothing under the name.
    """
    with suppress(OSError):  # what may not be changed stays
        if not os.path.lexists(target) and _leftovers(target, "old"):
            with turn(target.parent):
                _put_back(target)


def sweep(target: Path) -> None:
    """Remove what killed processes left beside a target. To be called in one's turn."""
    _put_back(target)
    for path in _leftovers(target, "new", "old"):
        with suppress(FileNotFoundError):  # it has just taken its name
            claim = _open(path)
            try:
                if _claim(claim, wait=False):
                    remove(path)
            finally:
                _close(claim)


@contextmanager
def turn(directory: Path) -> Iterator[None]:
    """One process at a time for the moment in which names in a directory change."""
    claim = _open(directory)
    try:
        _claim(claim, wait=True)
        yield
    finally:
        _close(claim)


def hidden(target: Path, state: str) -> Path:
    """A new name beside a target. state: "new" for what is being written, "old" for what is being replaced."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.{state}")


def remove(path: Path) -> None:
    """Remove a file or a directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _leftovers(target: Path, *states: str) -> list[Path]:
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.({'|'.join(states)})", re.DOTALL)
    return sorted(path for path in target.parent.iterdir() if name.fullmatch(path.name))


def _put_back(target: Path) -> None:
    if not os.path.lexists(target):
        for path in _leftovers(target, "old")[:1]:
            path.rename(target)


def _claimed(target: Path, make: Callable[[Path], object]) -> tuple[Path, int | None]:
    while True:
        path = hidden(target, "new")
        make(path)
        claim = _open(path)
        _claim(claim, wait=True)
        # Another process may have taken it for a leftover in the moment before it was claimed.
        if path.exists():
            return path, claim
        _close(claim)


def _open(path: Path) -> int | None:
    """What is claimed; None on Windows, which opens no directory, and renames nothing that is open."""
    return None if fcntl is None else os.open(path, os.O_RDONLY)


def _close(claim: int | None) -> None:
    if claim is not None:
        os.close(claim)


def _claim(descriptor: int | None, wait: bool) -> bool:
    """Whether it is ours now. Where a file system has no locks nothing can be told, and nothing is removed."""
    if descriptor is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True

"""Whole directories."""

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from .errors import ADVICE, TakenError, writing
from .file import sync
from .leftovers import aside, hidden, settle, sweep, turn

# Of a rename onto a directory that is not empty.
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)
# Of an exchange, where the system or the file system has none.
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


@contextmanager
def new_directory(path: str | PathLike[str], *, overwrite: bool = False, advice: str = ADVICE) -> Iterator[Path]:
    """Build a directory aside, which takes its name at the end of the `with` block, whole.

    See the promise of this package. Where the block raises an error, nothing of it remains.

    Args:
        path: The name. Where it is a link to a directory, that directory is replaced. Its parents are made where they
            are missing.
        overwrite: Replace a directory that is there. An empty one is always replaced.
        advice: What to do where the disk does not take it, as the end of the message.

    Yields:
        The empty directory to fill.

    Raises:
        TakenError: A file or the current directory is there; or a directory that is not empty, and `overwrite` is
            false. Before the block runs, or at its end where it came to be meanwhile.
        DiskError: The disk does not take it.
    """
    target = Path(path).resolve()
    settle(target)
    _check_target(target, overwrite)
    with writing(target, advice), aside(target, Path.mkdir) as unfinished:
        yield unfinished
        _sync_all(unfinished)
        with turn(target.parent):
            _check_target(target, overwrite)
            _swap(unfinished, target)
            sync(target.parent)
            sweep(target)


def _check_target(target: Path, overwrite: bool) -> None:
    if target.is_dir() and target.samefile(os.curdir):
        raise TakenError(f"{target} is the current directory, which cannot be replaced; choose another name.")
    if target.exists() and not target.is_dir():
        raise TakenError(f"{target} is a file, and a directory is to be written; choose another name.")
    if not overwrite and target.is_dir() and any(target.iterdir()):
        raise TakenError(f"{target} is there already and not empty; choose another name, or overwrite it.")


def _swap(unfinished: Path, target: Path) -> None:
    """Let a directory take a name; what had it before goes to a hidden one."""
    if target.exists():
        shutil.copymode(target, unfinished)
    try:
        unfinished.rename(target)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        if not _exchange(unfinished, target):
            target.rename(hidden(target, "old"))
            unfinished.rename(target)  # killed before this, `settle` or the next writer put the old one back


def _exchange(one: Path, other: Path) -> bool:
    """Whether two directories have taken each other's names, in one step."""
    library: Any = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        failed = library.renameat2(here, first, here, second, exchange)
    elif sys.platform == "darwin" and hasattr(library, "renamex_np"):
        failed = library.renamex_np(first, second, 2)  # RENAME_SWAP
    else:
        return False
    if failed and (number := ctypes.get_errno()) not in _NO_EXCHANGE:
        raise OSError(number, os.strerror(number), str(one), None, str(other))
    return not failed


def _sync_all(directory: Path) -> None:
    for folder, _, files in os.walk(directory, topdown=False):
        for name in files:
            sync(Path(folder, name))
        sync(Path(folder))

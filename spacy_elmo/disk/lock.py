"""One process at a time."""

import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ADVICE, DiskError, writing

# Seconds that are waited without a word.
SILENT = 2.0


@contextmanager
def lock(path: Path, what: str, *, wait: bool = False, advice: str = ADVICE) -> Iterator[None]:
    """Have something for oneself, among processes and threads. The system frees the lock of a process that dies.

    Args:
        path: The lock's file, made where it is missing. It may stay.
        what: What is locked, for the message: "the run in OUT".
        wait: Wait for others instead of raising an error, and warn of it where it takes time.
        advice: What to do where the file cannot be made, as the end of the message.

    Raises:
        DiskError: Another one has it, and `wait` is false; or the file cannot be made.
    """
    from filelock import FileLock, Timeout  # slow to import, and most who read need none

    with writing(path, advice):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()  # so that the umask has a say in its permissions, and others may lock it too
        held = FileLock(path, mode=stat.S_IMODE(path.stat().st_mode))
        try:
            held.acquire(timeout=SILENT if wait else 0)
        except Timeout:
            taken = f"{what} is in use by another process, which holds {path}."
            if not wait:
                raise DiskError(f"{taken} Wait until it ends.") from None
            warnings.warn(f"{taken} This one waits until it ends.", stacklevel=3)
            held.acquire()
    try:
        yield
    finally:
        held.release()

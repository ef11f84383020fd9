"""Where downloaded and unpacked models lie, and how processes take turns at it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DiskError

VARIABLE = "SPACY_ELMO_CACHE"


def cache_directory() -> Path:
    """What the environment variable SPACY_ELMO_CACHE names, else ~/.cache/spacy-elmo. It need not exist yet."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser().absolute() if named else Path.home() / ".cache" / "spacy-elmo"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Faults of the disk become DiskErrors that say what to do."""
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"{path}: could not be written ({error}). Free some space, or set the environment variable {VARIABLE} to a "
            f"directory that can be written and has it; then try again."
        ) from None


class Output:
    """A file that is being written, from `start` on and no longer than what is written. Faults of the disk become
    DiskErrors also where they show as late as at the end.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path = path
        with writing(path):
            self._file = path.open("r+b" if start else "wb")
            if start:
                self._file.seek(start)
                self._file.truncate()

    def write(self, data: bytes) -> None:
        with writing(self.path):
            self._file.write(data)

    def close(self) -> None:
        with writing(self.path):
            self._file.close()


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """One process at a time, for work of this name in the cache; the others wait. The operating system frees the lock
    of a process that dies.
    """
    from filelock import FileLock  # no model that is already there needs it

    directory = cache_directory() / "locks"
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / f"{name}.lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

"""Where downloaded and unpacked models lie, and how processes take turns at it."""

import os
from contextlib import AbstractContextManager
from pathlib import Path

from ..disk import DiskError, lock, writing

VARIABLE = "SPACY_ELMO_CACHE"
ADVICE = (
    f"Free some space, or set the environment variable {VARIABLE} to a directory that can be written and has it; then "
    f"try again."
)


def cache_directory() -> Path:
    """What the environment variable SPACY_ELMO_CACHE names, else ~/.cache/spacy-elmo. It need not exist yet.

    Raises:
        DiskError: Nothing is named, and the user has no home directory.
    """
    try:
        if named := os.environ.get(VARIABLE):
            return Path(named).expanduser().absolute()
        return Path.home() / ".cache" / "spacy-elmo"
    except RuntimeError:
        raise DiskError(
            f"There is no home directory to keep models in. Set the environment variable {VARIABLE} to a directory "
            f"that can be written."
        ) from None


def caching(path: Path) -> AbstractContextManager[None]:
    """Turn faults of the disk in the cache into DiskErrors that say what to do."""
    return writing(path, ADVICE)


class Output:
    """A file that is being written, from `start` on and no longer than what is written.

    Faults of the disk become DiskErrors also where they show as late as at the end.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path = path
        with caching(path):
            self._file = path.open("r+b" if start else "wb")
            if start:
                self._file.seek(start)
                self._file.truncate()

    def write(self, data: bytes) -> None:
        """Write to the file, with errors that name it."""
        with caching(self.path):
            self._file.write(data)

    def close(self) -> None:
        """Close the file, with errors that name it."""
        with caching(self.path):
            self._file.close()


def exclusive(name: str) -> AbstractContextManager[None]:
    """One process at a time, for work of this name in the cache; the others wait."""
    return lock(cache_directory() / "locks" / f"{name}.lock", f"The cache's {name}", wait=True, advice=ADVICE)

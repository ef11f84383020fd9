"""Directories, on this machine or at an address that fsspec knows (s3://, gs://, hdfs://, …).

What is written is there whole or not at all: here by `disk`'s promise, in an object store by the store's own. Where a
file system has neither, a file that is half there has no record (see `parts`), and so counts for nothing.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from .. import disk
from ..errors import ElmoError
from .errors import EmbeddingError


class Place(Protocol):
    """A directory, whose files have names with "/" between their parts. `str` gives its path or address."""

    def names(self) -> set[str]:
        """Of all files in it and below; empty where it is not there."""

    def read(self, name: str) -> bytes:
        """What a file holds."""

    def new_file(self, name: str) -> AbstractContextManager[Path]:
        """A path to write to; what is there at the end of the block gets the name. Replaces what has it."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def lock(self) -> AbstractContextManager[None]:
        """Have the directory for oneself."""


def is_remote(address: str) -> bool:
    """Whether fsspec is to open it, and not Python."""
    return "://" in address


def place(address: str) -> Place:
    """The directory of a path or an address."""
    return RemotePlace(address) if is_remote(address) else LocalPlace(Path(address))


class LocalPlace:
    """A directory on this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __str__(self) -> str:
        return str(self._directory)

    def names(self) -> set[str]:
        """See `Place`."""
        return {file.relative_to(self._directory).as_posix() for file in self._directory.rglob("*") if file.is_file()}

    def read(self, name: str) -> bytes:
        """See `Place`."""
        return (self._directory / name).read_bytes()

    def new_file(self, name: str) -> AbstractContextManager[Path]:
        """See `Place`."""
        return disk.new_file(self._directory / name)

    def remove(self, name: str) -> None:
        """See `Place`."""
        path = self._directory / name
        path.unlink(missing_ok=True)
        with suppress(OSError):  # the last one of a folder takes it along
            if path.parent != self._directory:
                path.parent.rmdir()

    def lock(self) -> AbstractContextManager[None]:
        """See `Place`."""
        directory = self._directory.resolve()  # one lock, by whatever name
        path = directory.with_name(f".{directory.name}.lock")
        return disk.lock(path, f"The output {self._directory}")


class RemotePlace:
    """A directory at an address. It has no lock: two jobs that write the same write the same bytes."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._fs, self._root = filesystem(address)

    def __str__(self) -> str:
        return self._address

    def names(self) -> set[str]:
        """See `Place`."""
        self._fs.invalidate_cache()
        root = self._root.rstrip("/") + "/"
        with reaching(self._address):
            found = self._fs.find(self._root)
        return {path.removeprefix("/").removeprefix(root.removeprefix("/")) for path in found}

    def read(self, name: str) -> bytes:
        """See `Place`."""
        with reaching(f"{self._address}/{name}", but=FileNotFoundError):
            content: bytes = self._fs.cat_file(f"{self._root}/{name}")
        return content

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """See `Place`."""
        with TemporaryDirectory() as folder:
            path = Path(folder, "file")
            with disk.writing(path, "Set TMPDIR to a directory that has space."):
                yield path
            target = f"{self._root}/{name}"
            with reaching(f"{self._address}/{name}"):
                self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._fs.put_file(str(path), target)

    def remove(self, name: str) -> None:
        """See `Place`."""
        with reaching(f"{self._address}/{name}"):
            if self._fs.exists(f"{self._root}/{name}"):
                self._fs.rm_file(f"{self._root}/{name}")

    def lock(self) -> AbstractContextManager[None]:
        """See `Place`."""
        return nullcontext()


def filesystem(address: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the path in it.

    Raises:
        EmbeddingError: There is none, or its package is missing.
    """
    try:
        import fsspec

        fs, path = fsspec.core.url_to_fs(address)
        return fs, path.rstrip("/")
    except (ImportError, ValueError) as error:
        raise EmbeddingError(
            f"{address}: {error} (addresses take the extra embed, and those of a store its package)."
        ) from None


@contextmanager
def reaching(address: str, but: type[Exception] = ElmoError) -> Iterator[None]:
    """Turn whatever a store's client raises, which has errors of its own, into one that names the address.

    Args:
        address: What is read or written.
        but: An error that passes as it is, as our own do.

    Raises:
        DiskError: In the place of another one.
    """
    try:
        yield
    except (ElmoError, but):
        raise
    except Exception as error:
        raise disk.DiskError(f"{address}: {error or type(error).__name__}") from error

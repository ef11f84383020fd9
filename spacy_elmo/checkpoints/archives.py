"""Models in .zip and .tar archives, unpacked once into the cache."""

import bz2
import gzip
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..disk import DiskError, new_directory
from .cache import ADVICE, Output, cache_directory, caching, exclusive
from .errors import CheckpointError

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2")

# A model is a handful of files.
MAX_FILES = 200
# The largest published archive has 1.5 GB; the original models have 400 MB.
MAX_BYTES = 8 * 1024**3
# Trained weights shrink by some percent, texts and vocabularies by a factor of 10.
MAX_RATIO = 100
# The headers of a .tar are blocks of 512 bytes and names; whoever asks for more at once wants to fill the memory.
MAX_HEADER = 1024**2
_CHUNK = 1024**2

# What an archive's readers raise where it is damaged, beside OSError.
_DAMAGES = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, struct.error,
    NotImplementedError, RuntimeError, ValueError, IndexError, KeyError, OverflowError,
)  # fmt: skip


def is_archive(path: Path) -> bool:
    """By the ending of its name."""
    return path.name.lower().endswith(ENDINGS)


def unpacked(path: Path) -> Path:
    """The directory, in the cache, that holds an archive's files.

    The first call unpacks them, and so does the first one after the archive changed.

    Raises:
        CheckpointError: See `unpack`.
        DiskError: The cache does not take it.
    """
    facts = path.stat()
    name = sha256(str(path.resolve()).encode("utf8", "surrogateescape")).hexdigest()[:24]
    home = cache_directory() / "archives" / name
    directory = home / f"{facts.st_size}-{facts.st_mtime_ns}"
    if not directory.is_dir():
        with exclusive(f"archive-{name}"):
            if not directory.is_dir():
                _unpack_whole(path, directory)
    return directory


def _unpack_whole(path: Path, directory: Path) -> None:
    """What else is there comes from an older archive of this path, and goes."""
    with caching(directory):
        shutil.rmtree(directory.parent, ignore_errors=True)
        with new_directory(directory, advice=ADVICE) as unfinished:
            unpack(path, unfinished)


def unpack(path: Path, directory: Path) -> None:
    """Unpack an archive into an empty directory. Hidden files, and those that macOS adds, stay out.

    Raises:
        CheckpointError: The archive is damaged or has a password; it holds a link, a device, or a name that leads out
            of the directory; or it unpacks to more than a model takes (MAX_FILES, MAX_BYTES, MAX_RATIO).
        DiskError: The disk does not take it.
    """
    limit = min(MAX_BYTES, path.stat().st_size * MAX_RATIO)
    n_bytes = 0
    with ExitStack() as stack, _damages(path):
        for n_members, member in enumerate(_members(path, stack), 1):
            n_bytes += member.size
            if n_members > MAX_FILES:
                raise CheckpointError(f"{path} holds more than {MAX_FILES} files, so it is no archive of a model.")
            if n_bytes > limit:
                raise CheckpointError(
                    f"{path} would unpack to more than {limit:,} bytes, which no model of its size does."
                )
            target = _target(path, member.name)
            if target is not None and member.open is not None:
                _write(path, member.name, member.size, member.open(), directory / target)


@dataclass(frozen=True)
class _Member:
    """A file in an archive, or a directory, which cannot be opened."""

    name: str
    size: int
    open: Callable[[], IO[bytes]] | None


def _write(path: Path, name: str, size: int, content: IO[bytes], target: Path) -> None:
    if target.exists() or any(parent.is_file() for parent in target.parents):
        raise CheckpointError(f"{path} holds two files {name!r}, or a file where there should be a directory.")
    with caching(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with content, closing(Output(target)) as output:
        left = size
        while left and (chunk := content.read(min(left, _CHUNK))):
            left -= len(chunk)
            output.write(chunk)
        if left:
            raise EOFError(f"{name} is not {size:,} bytes long")


def _target(path: Path, name: str) -> PurePosixPath | None:
    """Where a file goes, relative to the directory; None where it is nothing of the model's."""
    parts = PurePosixPath(name.replace("\\", "/")).parts  # none for "./", the directory itself
    # A colon makes a drive or a stream on Windows.
    if any(part in ("..", "/", "//") or ":" in part or "\0" in part for part in parts):
        raise CheckpointError(
            f"{path} holds the file {name!r}, a name that leads out of the archive. Do not use archives like this one."
        )
    if not parts or any(part == "__MACOSX" or part.startswith(".") for part in parts):
        return None
    return PurePosixPath(*parts)


def _members(path: Path, stack: ExitStack) -> Iterator[_Member]:
    return _zip_members(path, stack) if path.name.lower().endswith(".zip") else _tar_members(path, stack)


def _zip_members(path: Path, stack: ExitStack) -> Iterator[_Member]:
    archive = stack.enter_context(zipfile.ZipFile(path))
    for info in archive.infolist():
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _no_file(path, info.filename)
        if info.flag_bits & 1:
            raise CheckpointError(f"{path} has a password. Unpack it yourself and give the directory instead.")
        yield _Member(info.filename, info.file_size, None if info.is_dir() else partial(archive.open, info))


def _tar_members(path: Path, stack: ExitStack) -> Iterator[_Member]:
    opened: Any = {".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open}.get(path.suffix.lower(), open)
    content: Any = _Frugal(stack.enter_context(opened(path, "rb")))
    archive: Any = stack.enter_context(tarfile.open(fileobj=content, mode="r:"))  # noqa: SIM115
    for info in archive:
        if not (info.isreg() or info.isdir()):
            raise _no_file(path, info.name)
        yield _Member(info.name, info.size, partial(archive.extractfile, info) if info.isreg() else None)
    # The sum of a .gz or .bz2 is checked where its end is read, and there is only padding before that.
    padding = 0
    while chunk := content.read(_CHUNK):
        padding += len(chunk)
        if padding > MAX_HEADER:
            raise tarfile.ReadError("there is something behind its last file")


class _Frugal:
    """A file that never gives much at once: `tarfile` reads headers of the length that they themselves state."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._read(size)


def _no_file(path: Path, name: str) -> CheckpointError:
    return CheckpointError(
        f"{path} holds {name!r}, which is a link or a device and no file. Do not use archives like this one."
    )


@contextmanager
def _damages(path: Path) -> Iterator[None]:
    try:
        yield
    except (CheckpointError, DiskError):
        raise
    except _DAMAGES as error:
        raise CheckpointError(
            f"{path}: not a whole archive ({error or type(error).__name__}). Fetch it again."
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path}: not readable ({error}).") from None

"""Which files a job reads, and whether they are still what they were."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..corpus import files
from ..disk import digest
from .errors import EmbeddingError
from .places import filesystem, is_remote, reaching


@dataclass(frozen=True)
class InputFile:
    """A file to read.

    Attributes:
        name: As it was given, or as a directory or a glob has it. Ids of documents begin with it.
        address: Where it lies: a path or an address. Not `name` of standard input, which a file keeps.
        size: In bytes.
        fingerprint: Of what it holds: a SHA-256; for an address what its store tells, such as an ETag.
    """

    name: str
    address: str
    size: int
    fingerprint: str

    def open(self) -> IO[bytes]:
        """From its beginning."""
        if is_remote(self.address):
            fs, path = filesystem(self.address)
            with reaching(self.address):
                stream: IO[bytes] = fs.open(path, "rb")
            return stream
        return Path(self.address).open("rb")

    @property
    def path(self) -> Path:
        """What by its end tells the kind of the file: the name, of a URL without its query."""
        return Path(self.name.partition("?")[0] if self.name.startswith(("http://", "https://")) else self.name)

    @property
    def record(self) -> dict[str, Any]:
        """What a manifest tells of it."""
        return {"name": self.name, "size": self.size, "fingerprint": self.fingerprint}


def kind(path: Path) -> str:
    """What a file is read as: "text", "jsonl", "conllu", "spacy" or "parquet".

    Raises:
        CorpusError: By its name it is something that is not read.
    """
    return "parquet" if path.suffix.lower() == ".parquet" else files.kind(path)


def find(names: Sequence[str], standard_input: Path | None = None) -> list[InputFile]:
    """The files that names mean.

    Args:
        names: Of files, directories, globs, or addresses of these; "-" for standard input.
        standard_input: The file that keeps it.

    Returns:
        Files, those of each name in order.

    Raises:
        EmbeddingError: A name means no file, or a file is meant twice.
        CorpusError: The same, or a file is of a kind that is not read.
    """
    if not names:
        raise EmbeddingError("no inputs are named.")
    found = [file for name in names for file in _found(name, standard_input)]
    seen: set[str] = set()
    for file in found:
        kind(file.path)
        address = file.address if is_remote(file.address) else str(Path(file.address).resolve())
        if address in seen:
            raise EmbeddingError(f"{file.name}: twice among the inputs. Name every file once.")
        seen.add(address)
    return found


def _found(name: str, standard_input: Path | None) -> Iterator[InputFile]:
    if is_remote(name):
        yield from _remote(name)
    elif name == "-" and standard_input is not None:
        yield _local(standard_input, "-")
    else:
        yield from (_local(path, str(path)) for path in files.meant(Path(name)))


def _local(path: Path, name: str) -> InputFile:
    return InputFile(name, str(path), path.stat().st_size, digest(path))


def _remote(address: str) -> Iterator[InputFile]:
    fs, path = filesystem(address)
    fs.invalidate_cache()
    with reaching(address):
        for one in _files(fs, path, address):
            name = fs.unstrip_protocol(one)
            yield InputFile(name, name, int(fs.size(one) or 0), str(fs.checksum(one)))


def _files(fs: Any, path: str, address: str) -> list[str]:
    """The files of a store that a path means: itself, those below it, or those that it matches as a glob."""
    if any(mark in path for mark in "*?[") and not fs.exists(path):
        matches = sorted(fs.glob(path))
        found = [file for match in matches for file in (_below(fs, match) if fs.isdir(match) else [match])]
    else:
        found = _below(fs, path)
    if not found:
        raise EmbeddingError(f"{address}: no such file or directory, and as a glob it matches nothing.")
    return list(dict.fromkeys(found))


def _below(fs: Any, directory: str) -> list[str]:
    """But for names that begin with "." or "_", which are of what is not finished, or tells of the others."""
    return [
        file
        for file in sorted(fs.find(directory))
        if not any(part.startswith((".", "_")) for part in file.removeprefix(directory).split("/"))
    ]


def check_unchanged(inputs: Sequence[InputFile]) -> None:
    """For the end of a job, which may take days.

    Raises:
        EmbeddingError: A file is not what it was at the beginning.
    """
    for file in inputs:
        if is_remote(file.address):
            fs, path = filesystem(file.address)
            fs.invalidate_cache()
            with reaching(file.address):
                same = str(fs.checksum(path)) == file.fingerprint
        else:
            same = Path(file.address).is_file() and digest(Path(file.address)) == file.fingerprint
        if not same:
            raise EmbeddingError(
                f"{file.name}: has changed while it was read, so what was written may be of either. Remove the output, "
                f"and begin again."
            )

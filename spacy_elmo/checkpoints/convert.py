"""A model from one format into another."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from .format import Location
from .save import save_bilm, writable
from .source import Source, locate


@dataclass(frozen=True)
class Conversion:
    """What came of one.

    Attributes:
        directory: The model that was written.
        left: Files beside the source that nothing was taken from.
        limits: Why other programs that read the format cannot use this model all the same: sentences.
    """

    directory: Path
    left: tuple[Path, ...]
    limits: tuple[str, ...]


def convert(
    source: Source | Location,
    target: str | PathLike[str],
    format: str,
    *,
    dtype: str = "float32",
    overwrite: bool = False,
    vocabulary: Sequence[str] | None = None,
) -> Conversion:
    """Write a model in another format.

    Args:
        source: Whatever `load_bilm` loads, or a model that was located before.
        target: The directory to write.
        format: "native" or "allennlp".
        dtype: As for `save_bilm`.
        overwrite: As for `save_bilm`.
        vocabulary: As for `save_bilm`.

    Raises:
        CheckpointError: The source cannot be loaded.
        TakenError, CheckpointError, DiskError: It cannot be written, as `save_bilm` has it.
    """
    location = source if isinstance(source, Location) else locate(source)
    bilm = location.read().bilm("float32")
    directory = save_bilm(bilm, target, format=format, dtype=dtype, overwrite=overwrite, vocabulary=vocabulary)
    taken = set(location.format.files(location))
    left = tuple(path for path in sorted(location.directory.iterdir()) if path.is_file() and path not in taken)
    return Conversion(directory, left, tuple(writable(format).limits(bilm.config)))

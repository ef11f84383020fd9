"""What a format of biLMs on a disk is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..bilm import BiLM, BiLMConfig
from ..bilm.lexicon import Lexicon
from .contents import Contents
from .errors import CheckpointError


@dataclass(frozen=True)
class Location:
    """Where a model lies, and the format that it has there.

    Attributes:
        format: The format.
        directory: What holds the files, and may hold others of the model.
        paths: The files that the format reads, in its own order.
    """

    format: "Format"
    directory: Path
    paths: tuple[Path, ...]

    @property
    def weights(self) -> tuple[Path, ...]:
        """The files that hold the parameters."""
        return self.format.weights(self)

    def read(self) -> Contents:
        """Read the model.

        Raises:
            CheckpointError: A file is missing or damaged, or the files contradict each other.
        """
        return self.format.read(self)


class Format(ABC):
    """A way in which biLMs lie on a disk.

    Attributes:
        name: By which users know it.
        family: The code that models come from which are published in this format, and whose vectors they give.
        parts: Patterns of the names of files that are part of a model in this format, and by which one is known.
        members: Names of further files of it, by which it is not known: other formats have them, too.
        written: The files that `serialize` can give.
    """

    name: str
    family: str = "bilm-tf"
    parts: tuple[str, ...]
    members: tuple[str, ...] = ()
    written: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return self.name

    def recognises(self, directory: Path) -> bool:
        """Whether a directory holds any part of such a model, by the names of its files."""
        return any(next(directory.glob(part), None) is not None for part in self.parts)

    @abstractmethod
    def locate(self, directory: Path) -> Location:
        """Find the model in a directory that holds parts of one.

        Raises:
            CheckpointError: A part is missing, or it is not clear which is meant.
        """

    def beside(self, path: Path) -> Location | None:
        """Find the model that a file is a part of, by its name; None where no such file has that name."""
        is_member = any(path.match(part) for part in (*self.parts, *self.members))
        return self.locate(path.parent) if is_member and self.recognises(path.parent) else None

    @abstractmethod
    def weights(self, location: Location) -> tuple[Path, ...]:
        """The files that hold the parameters."""

    @abstractmethod
    def read(self, location: Location) -> Contents:
        """See `Location.read`."""

    def check(self, location: Location) -> None:
        """Raise CheckpointError where this is no model. A format that can tell it without reading all numbers does."""
        self.read(location)

    def files(self, location: Location) -> tuple[Path, ...]:
        """All files of the model."""
        return location.paths

    @abstractmethod
    def dtypes(self, location: Location) -> set[str]:
        """In which types the parameters are stored, by NumPy's names."""

    def ignored(self, location: Location) -> tuple[str, ...]:
        """What the files hold beside the biLM, by its names in them."""
        return ()

    def serialize(self, bilm: BiLM, dtype: str, vocabulary: Sequence[str] | None = None) -> dict[str, bytes]:
        """The content of the files of a model.

        Args:
            bilm: The model.
            dtype: How to store numbers.
            vocabulary: The words that it was trained to predict, for a format that has a place for them.

        Raises:
            CheckpointError: The format cannot hold it.
        """
        raise CheckpointError(f"Models are not written in the format {self.name}.")

    def limits(self, config: BiLMConfig) -> list[str]:
        """Why other programs that read this format cannot use a model, though it can be stored: sentences."""
        return []


def family(lexicon: Lexicon | None) -> str:
    """The code whose vectors a model gives that was not trained here, whatever format it has now."""
    return Format.family if lexicon is None else "ELMoForManyLangs"

"""A job's input cut into parts: the units of work that are finished or not, whoever does them, in whatever order.

A part is some documents in a row of one file, by their characters alone. So where parts begin and end depends on the
input and on one setting, and what is in a part on nothing outside it.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from .documents import Document, Reject, Text, runs
from .inputs import InputFile
from .places import Place
from .settings import Settings
from .sources import Item, documents

# Where records of finished parts lie until the job is complete. Readers of Parquet pass over names that begin so.
RECORDS = "_finished"
_RECORD = re.compile(rf"{RECORDS}/(part-(\d+)-(\d+))\.json")


@dataclass(frozen=True)
class Part:
    """Some documents in a row.

    Attributes:
        name: Of the part; in the order of the input.
        items: The documents, and what could not be read.
        n_bytes: How much of the file has been read for it.
    """

    name: str
    items: list[Item]
    n_bytes: int

    @property
    def file(self) -> str:
        """The name of the file of its vectors."""
        return f"{self.name}.parquet"


@dataclass(frozen=True)
class Record:
    """What is known of a finished part. It is written after the part's file, and so says that the part is whole."""

    name: str
    documents: int
    tokens: int
    size: int
    rejects: list[Reject]


def cut(number: int, file: InputFile, settings: Settings) -> Iterator[Part]:
    """The parts of a file.

    Args:
        number: Of the file among the inputs.
        file: What to read.
        settings: How.
    """
    n_read, n_told, index = 0, 0, 0

    def count(n_bytes: int) -> None:
        nonlocal n_read
        n_read += n_bytes

    for items in runs(documents(file, settings, count), _n_characters, settings.part_characters):
        yield Part(f"part-{number:05}-{index:06}", items, n_read - n_told)
        n_told, index = n_read, index + 1


def _n_characters(item: Item) -> int:
    return len(item.text) if isinstance(item, Text | Document) else 0


def finished(names: Iterable[str]) -> list[str]:
    """The names of finished parts, in order, by the names of all files of the output."""
    matches = filter(None, map(_RECORD.fullmatch, names))
    # By numbers, which have more digits where there are more than 100,000 files.
    return [match[1] for match in sorted(matches, key=lambda match: (int(match[2]), int(match[3])))]


def read_record(place: Place, name: str) -> Record | None:
    """The record of a part; None where it is not finished."""
    try:
        value = json.loads(place.read(_path(name)))
    except FileNotFoundError:
        return None
    return Record(**{**value, "rejects": [Reject(**one) for one in value["rejects"]]})


def write_record(place: Place, record: Record) -> None:
    """Say that a part is finished."""
    with place.new_file(_path(record.name)) as path:
        path.write_text(json.dumps(asdict(record)), "utf8")


def remove_record(place: Place, name: str) -> None:
    """Forget a part's record."""
    place.remove(_path(name))


def _path(name: str) -> str:
    return f"{RECORDS}/{name}.json"

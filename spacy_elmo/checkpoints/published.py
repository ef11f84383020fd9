"""The catalogue of models with a name: what there is, where, and under what conditions. Its facts: published.json."""

import os
import re
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from .bounds import read_json
from .cache import cache_directory
from .errors import CheckpointError

VARIABLE = "SPACY_ELMO_CATALOGUE"
FORMATS = ("native", "allennlp", "manylangs")
_CATALOGUE = Path(__file__).parent / "published.json"


@dataclass(frozen=True)
class PublishedFile:
    """A file to download.

    bytes, sha256: None where they are not known.
    """

    url: str
    bytes: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Of the file, once it is here."""
        return PurePosixPath(urlsplit(self.url).path).name


@dataclass(frozen=True)
class Published:
    """A model with a name. What its sources do not tell is None.

    name, aliases: what a user calls it.
    languages: ISO 639 codes.
    format: "native", "allennlp" or "manylangs".
    width, layers: of its vectors; layer 0, the word's own, is counted.
    parameters: how many, rounded as its source does.
    licence: of the weights, as the sources have it.
    tokenisation: what the words of its training texts were.
    caveats: what to know before use.
    files: to download, a pair [options, weights] or an archive; none for a model that comes with the package.
    pages: where the facts come from.
    """

    name: str
    aliases: tuple[str, ...]
    languages: tuple[str, ...]
    format: str
    width: int | None
    layers: int | None
    parameters: int | None
    licence: str | None
    tokenisation: str | None
    caveats: str | None
    files: tuple[PublishedFile, ...]
    pages: tuple[str, ...]


def catalogue() -> dict[str, Published]:
    """All models by name, in the order of the catalogue. Where the environment variable SPACY_ELMO_CATALOGUE
    names a JSON file like published.json, its models come first and hide those of the same names: mirrors, or models of
    your own.

    Raises CheckpointError where that file is not a catalogue.
    """
    named = os.environ.get(VARIABLE)
    models: dict[str, Published] = {}
    for model in [*(_read(Path(named)) if named else []), *_read(_CATALOGUE)]:
        models.setdefault(model.name, model)
    return models


def find(name: str) -> Published | None:
    """The model of this name or alias."""
    models = catalogue()
    return models.get(name) or next((model for model in models.values() if name in model.aliases), None)


def near(name: str) -> list[str]:
    """Names that one may have meant, of different models."""
    by_lower: dict[str, tuple[str, str]] = {}
    for model in catalogue().values():
        for other in (model.name, *model.aliases):
            by_lower.setdefault(other.lower(), (model.name, other))
    found: dict[str, str] = {}
    for match in get_close_matches(name.lower(), by_lower, n=9, cutoff=0.7):
        found.setdefault(*by_lower[match])
    return list(found.values())[:3]


def directory_of(model: Published) -> Path:
    """Where a model lies once all of it is downloaded; before that, nothing is there."""
    return cache_directory() / "models" / model.name


def _read(path: Path) -> list[Published]:
    try:
        values = read_json(path)
        defaults = values.get("defaults", {})
        return [_model({**(defaults[one["like"]] if "like" in one else {}), **one}) for one in values["models"]]
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a catalogue of models ({error!r}).") from None


def _model(values: dict[str, Any]) -> Published:
    names = {field.name for field in fields(Published)} - {"files"}
    files = tuple(PublishedFile(**file) for file in values["files"])
    empty = {"aliases": (), "languages": (), "pages": ()}
    model = Published(files=files, **{name: _frozen(values.get(name, empty.get(name))) for name in names})
    # The names become those of files here.
    if not all(re.fullmatch(r"[\w][\w.-]*", name) for name in (model.name, *(file.name for file in files))):
        raise ValueError(f"{model.name}: names of models and of their files are letters, digits, '.', '-' and '_'")
    if len({file.name for file in files}) < len(files):
        raise ValueError(f"{model.name}: its files need to differ in name")
    if model.format not in FORMATS:
        raise ValueError(f"{model.name}: its 'format' is {model.format!r} and none of {', '.join(FORMATS)}")
    return model


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

"""The catalogue of models with a name: what there is, where, and under what conditions. Its facts: published.json."""

import os
import re
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ..disk import DiskError, read_json, settle
from .bounds import n_parameters
from .cache import cache_directory
from .embedded import embedded_config, embedded_models
from .errors import CheckpointError, listed

VARIABLE = "SPACY_ELMO_CATALOGUE"
FORMATS = ("native", "allennlp", "manylangs")
_CATALOGUE = Path(__file__).parent / "published.json"


@dataclass(frozen=True)
class PublishedFile:
    """A file to download.

    Attributes:
        url: Its address.
        bytes: Its length; None where it is not known.
        sha256: Its digest in hexadecimal; None where it is not known.
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

    Attributes:
        name: What a user calls it.
        aliases: What else a user may call it.
        languages: ISO 639 codes.
        format: "native", "allennlp" or "manylangs".
        width: Of its vectors.
        layers: Of its vectors; layer 0, the word's own, is counted.
        parameters: How many, rounded as its source does.
        licence: Of the weights, as the sources have it.
        tokenisation: What the words of its training texts were.
        caveats: What to know before use.
        files: To download, a pair [options, weights] or an archive; none for a model that comes with the package and
            tells its dimensions itself.
        pages: Where the facts come from.
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
    """All models by name, in the order of the catalogue.

    Where the environment variable SPACY_ELMO_CATALOGUE names a JSON file like published.json, its models come first and
    hide those of the same names: mirrors, or models of your own.

    Raises:
        CheckpointError: That file is not a catalogue.
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


def name_of(*source: str) -> str | None:
    """The name of the published model that is meant: by a name, an alias, or addresses.

    An address is that of one of its files, or there are those of all. Files lie on more than one host, in folders of
    the same names.
    """
    if len(source) == 1 and "://" not in source[0]:
        model = find(source[0])
        return model.name if model else None
    wanted = [_folder_and_file(address) for address in source]
    for model in catalogue().values():
        files = [_folder_and_file(file.url) for file in model.files]
        if files == wanted or (len(wanted) == 1 and wanted[0] in files):
            return model.name
    return None


def meant(source: object) -> Published | None:
    """The published model that a source means; None where it means no one, or files of one's own."""
    return find(name_of(source) or "") if isinstance(source, str) else None


def embedded_for(language: str) -> str:
    """The name of the model of a language that comes with the package.

    Args:
        language: Its ISO 639 code, as spaCy has it.

    Raises:
        CheckpointError: There is none. The message names what there is for that language elsewhere.
    """
    models = [model for model in catalogue().values() if language in model.languages]
    embedded = [model.name for model in models if model.name in embedded_models()]
    if embedded:
        return embedded[0]
    others = [model.name for model in models]
    published = (
        f"Published for it: {listed(others)} (`python -m spacy elmo info NAME`, `python -m spacy elmo download NAME`)"
        if others
        else "No published model of it is known"
    )
    raise CheckpointError(
        f"No source was named, and no model for the language '{language}' comes with this package (it has "
        f"{', '.join(embedded_models())}). {published}. Train one from texts (python -m spacy elmo pretrain --help). "
        f'To use one of another language on purpose, name it: --source en_elmo_sm, or nlp.add_pipe("elmo", '
        f'config={{"model": {{"source": "en_elmo_sm"}}}}).'
    )


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


def directory_of(name: str) -> Path:
    """Where a model lies once all of it is downloaded; before that, nothing is there.

    Raises:
        DiskError: There is no place for downloads, see `cache_directory`.
    """
    return cache_directory() / "models" / name


def downloaded(name: str) -> Path | None:
    """Where a published model lies; None where it is not on this machine."""
    with suppress(DiskError):
        directory = directory_of(name)
        settle(directory)
        return directory if directory.is_dir() else None
    return None


def _folder_and_file(address: str) -> tuple[str, ...]:
    return PurePosixPath(urlsplit(address).path).parts[-2:]


def _read(path: Path) -> list[Published]:
    values = read_json(path, CheckpointError, _SEE)
    try:
        defaults = values.get("defaults", {})
        return [_model({**(defaults[one["like"]] if "like" in one else {}), **one}) for one in values["models"]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else f"{error}"
        raise CheckpointError(f"{path}: not a catalogue of models ({reason}). {_SEE}") from None


_SEE = f"The environment variable {VARIABLE} names it."


def _model(values: dict[str, Any]) -> Published:
    names = {field.name for field in fields(Published)} - {"files"}
    empty = {"aliases": (), "languages": (), "pages": ()}
    files = tuple(_file(file) for file in values["files"])
    model = Published(files=files, **{name: _frozen(values.get(name, empty.get(name))) for name in names})
    _check(model)
    return model if files else _with_dimensions(model)


def _with_dimensions(model: Published) -> Published:
    """Of a model that comes with the package its own files tell them."""
    config = embedded_config(model.name)
    return replace(model, width=config.width, layers=config.n_layers + 1, parameters=n_parameters(config))


def _file(values: dict[str, Any]) -> PublishedFile:
    file = PublishedFile(**values)
    _require(isinstance(file.url, str) and _is_address(file.url), "url", file.url, "an address of http or https")
    _require(_is_count(file.bytes), "bytes", file.bytes, "a number of bytes, or null")
    known = file.sha256 is None or (isinstance(file.sha256, str) and re.fullmatch("[0-9a-fA-F]{64}", file.sha256))
    _require(bool(known), "sha256", file.sha256, "64 hexadecimal digits, or null")
    return file


def _check(model: Published) -> None:
    """Raise ValueError where a value is not of its kind."""
    # The names become those of files here.
    for name in (model.name, *(file.name for file in model.files)):
        is_name = isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name)
        _require(bool(is_name), "name", name, "letters, digits, '.', '-' and '_', as are those of files")
    if len({file.name for file in model.files}) < len(model.files):
        raise ValueError(f"{model.name}: its files need to differ in name")
    _require(model.format in FORMATS, "format", model.format, f"one of {', '.join(FORMATS)}")
    for key in ("aliases", "languages", "pages"):
        value = getattr(model, key)
        is_list = isinstance(value, tuple) and all(isinstance(text, str) for text in value)
        _require(is_list, key, value, "a list of texts")
    for key in ("licence", "tokenisation", "caveats"):
        _require(isinstance(getattr(model, key), str | None), key, getattr(model, key), "a text, or null")
    for key in ("width", "layers", "parameters"):
        _require(_is_count(getattr(model, key)), key, getattr(model, key), "a number from 1 on, or null")


def _require(holds: bool, key: str, value: Any, wanted: str) -> None:
    if not holds:
        raise ValueError(f"'{key}' is {value!r}, but must be {wanted}")


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and value >= 1)


def _is_address(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https")


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

"""From what a user calls a model to the files that hold it."""

from collections.abc import Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path

from ..disk import settle
from . import published
from .allennlp import ALLENNLP
from .archives import ENDINGS, is_archive, unpacked
from .embedded import ASSETS, embedded_models
from .errors import CheckpointError, listed
from .format import Location
from .formats import FORMATS, format_in
from .saved_pipelines import installed_pipeline

Source = str | PathLike[str] | Sequence[str | PathLike[str]]


def locate(source: Source) -> Location:
    """Find the files that a source means.

    A name of an embedded model goes before one of a published model, and that before a directory or file of the same
    name; write "./NAME" for these. An installed package comes last. Nothing is downloaded; an archive is unpacked into
    the cache.

    Args:
        source: As for `load_bilm`. The address of a published model's file means that model.

    Raises:
        CheckpointError: There are no such files, or none that are clearly meant.
        TypeError: The source is neither a name, a path nor a pair of paths.
    """
    if source == "":
        # As a path it would be the current directory.
        raise CheckpointError("The source is empty, where a model's name or path should be: an unset variable?")
    if not isinstance(source, str | PathLike):
        return _pair(source)
    if source in embedded_models():
        return _at(ASSETS / str(source))
    if isinstance(source, str) and (name := published.name_of(source)) is not None:
        return locate_directory(_downloaded(source, name))
    return _at_path(_home(Path(source)), source)


def locate_directory(directory: Path) -> Location:
    """Find the model in a directory, or in the one directory in it that has one."""
    if format_in(directory) is not None:
        return _at(directory)
    inner = [path for path in sorted(directory.iterdir()) if path.is_dir() and format_in(path) is not None]
    if len(inner) > 1:
        names = listed([path.name for path in inner])
        raise CheckpointError(f"{directory} holds several models: {names}. Name one.")
    return _at(inner[0] if inner else directory)


def _at(directory: Path) -> Location:
    # Where there is nothing of any format, the last one says what is missing.
    return (format_in(directory) or FORMATS[-1]).locate(directory)


def _at_path(path: Path, source: str | PathLike[str]) -> Location:
    settle(path)
    if path.is_dir():
        return locate_directory(path)
    if path.is_file() and is_archive(path):
        return _in_archive(path)
    if path.is_file():
        return _beside(path)
    if isinstance(source, str) and (package := installed_pipeline(source)) is not None:
        return _at(package)
    raise _nothing(str(source))


def _nothing(source: str) -> CheckpointError:
    if "://" in source:
        return CheckpointError(
            f"{source} is an address, and none of a published model that has a name here. Nothing is downloaded from "
            f"other addresses: fetch the files, and give their paths."
        )
    return CheckpointError(
        f"'{source}' names no ELMo model.{_suggestion(source)} It is neither an existing path, an installed pipeline "
        f"nor one of the embedded models ({', '.join(embedded_models())}) or published ones (`python -m spacy elmo "
        f"info` lists them). Give one of these names; the path of a directory with config.json and model.safetensors, "
        f"with options.json and weights.hdf5 or with token_embedder.pkl and encoder.pkl, or of a saved pipeline; the "
        f"path of one of these files, or of an archive ({', '.join(ENDINGS)}) of them; or a pair of paths [options, "
        f"weights]."
    )


def _home(path: Path) -> Path:
    """With ~ as the home directory, where there is one."""
    with suppress(RuntimeError):
        return path.expanduser()
    return path


def _downloaded(source: str, name: str) -> Path:
    if (directory := published.downloaded(name)) is not None:
        return directory
    here = f' For the local "{source}", write "./{source}".' if Path(source).exists() else ""
    called = f"'{source}' is a published model" if "://" not in source else f"{source} is of the published model {name}"
    raise CheckpointError(
        f"{called} that is not on this machine yet. Fetch it with: python -m spacy elmo download "
        f"{source if '://' not in source else name}.{here}"
    )


def _suggestion(name: str) -> str:
    near = published.near(name)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _in_archive(path: Path) -> Location:
    try:
        return locate_directory(unpacked(path))
    except CheckpointError as error:
        if str(path) in str(error):
            raise
        raise CheckpointError(f"{path}, unpacked: {error}") from None


def _beside(path: Path) -> Location:
    """The model that a single file is part of."""
    for format in FORMATS:
        if (location := format.beside(path)) is not None:
            return location
    raise CheckpointError(
        f"{path} has no name by which a part of an ELMo model is known. Give a file *options.json, *.hdf5, *.h5, "
        f"config.json, model.safetensors or an archive ({', '.join(ENDINGS)}); or a pair of paths [options, weights], "
        f"whatever their names."
    )


def _pair(source: Sequence[str | PathLike[str]]) -> Location:
    if not isinstance(source, Sequence):
        raise TypeError(
            f"An ELMo model's source is a name, a path or a pair of paths [options, weights], not {source!r}."
        )
    if len(source) != 2:
        raise CheckpointError(f"A pair of paths [options, weights] has two members, but {source!r} has {len(source)}.")
    if any(isinstance(member, str) and "://" in member for member in source):
        return _addresses([str(member) for member in source])
    options, weights = (_home(Path(member)) for member in source)
    for path in (options, weights):
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; it was given as one of the pair [options, weights].")
    return Location(ALLENNLP, options.parent, (options, weights))


def _addresses(source: list[str]) -> Location:
    if published.name_of(*source) is None:
        raise CheckpointError(
            f"{source[0]} and {source[1]} are not the options and the weights of a published model that has a name "
            f"here, and nothing is downloaded from other addresses. Fetch the files, and give their paths."
        )
    return locate(source[0])

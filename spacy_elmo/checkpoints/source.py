"""From what a user calls a model to the files that hold it."""

from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from os import PathLike
from pathlib import Path

from . import native, published
from .archives import ENDINGS, is_archive, unpacked
from .errors import CheckpointError

Source = str | PathLike[str] | Sequence[str | PathLike[str]]

_ASSETS = Path(__file__).parent.parent / "assets"

_OPTIONS = "options.json"
# How the weights of published models are called, the usual first: AllenNLP's, NLPL's, and any other.
_WEIGHTS = ("*weights.hdf5", "model.hdf5", "*.hdf5")
_MANYLANGS = ("token_embedder.pkl", "encoder.pkl")


@dataclass(frozen=True)
class Location:
    """Where a model lies, and the format that reads it there.

    format: "native", "allennlp" or "manylangs".
    directory: what holds the files, and may hold others of the model.
    paths: what the format's reader takes: the directory, or the files [options, weights].
    """

    format: str
    directory: Path
    paths: tuple[Path, ...]

    @property
    def weights(self) -> tuple[Path, ...]:
        """The files that hold the parameters."""
        if self.format == "native":
            return (self.directory / native.WEIGHTS_FILE,)
        return (self.paths[1],) if self.format == "allennlp" else tuple(self.directory / name for name in _MANYLANGS)


def embedded_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in _ASSETS.glob(f"*/{native.CONFIG_FILE}"))


def locate(source: Source) -> Location:
    """The files that a source means. A name of an embedded model goes before one of a published model, and that before
    a directory or file of the same name; write "./NAME" for these.

    Raises CheckpointError where there are none, or none that are clearly meant. Nothing is downloaded; an archive is
    unpacked into the cache.
    """
    if not isinstance(source, str | PathLike):
        return _pair(source)
    if source in embedded_models():
        return _at(_ASSETS / str(source))
    if isinstance(source, str) and (model := published.find(source)) is not None:
        return locate_directory(_downloaded(source, model))
    path = Path(source)
    if path.is_dir():
        return locate_directory(path)
    if path.is_file() and is_archive(path):
        return _in_archive(path)
    if path.is_file():
        return _beside(path)
    raise CheckpointError(
        f"'{source}' names no ELMo model.{_suggestion(str(source))} It is neither an existing path nor one of the "
        f"embedded models ({', '.join(embedded_models())}) or published ones (`python -m spacy elmo info --all` lists "
        f"them). Give one of these names; the path of a directory with config.json and model.safetensors, with "
        f"options.json and weights.hdf5 or with {' and '.join(_MANYLANGS)}, of one of these files, or of an archive "
        f"({', '.join(ENDINGS)}) of them; or a pair of paths [options, weights]."
    )


def locate_directory(directory: Path) -> Location:
    """The model in a directory, or in the one directory in it that has one."""
    if (found := _format_in(directory)) is not None:
        return _at(directory, found)
    inner = [path for path in sorted(directory.iterdir()) if path.is_dir() and _format_in(path) is not None]
    if len(inner) > 1:
        raise CheckpointError(f"{directory} holds several models: {', '.join(path.name for path in inner)}. Name one.")
    return _at(inner[0]) if inner else _at(directory, "allennlp")  # which says what is missing


def _downloaded(name: str, model: published.Published) -> Path:
    if (directory := published.directory_of(model)).is_dir():
        return directory
    here = f' For the local "{name}", write "./{name}".' if Path(name).exists() else ""
    raise CheckpointError(
        f"'{name}' is a published model that is not on this machine yet. Fetch it with: "
        f"python -m spacy elmo download {name}.{here}"
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


def _format_in(directory: Path) -> str | None:
    """By the names of the files."""
    # Before the native format, for its config.json is called so, too.
    if any((directory / name).exists() for name in _MANYLANGS):
        return "manylangs"
    if any((directory / name).exists() for name in (native.CONFIG_FILE, native.WEIGHTS_FILE)):
        return "native"
    return "allennlp" if any(next(directory.glob(pattern), None) for pattern in (f"*{_OPTIONS}", *_WEIGHTS)) else None


def _at(directory: Path, format: str = "") -> Location:
    format = format or _format_in(directory) or ""
    if format != "allennlp":
        return Location(format, directory, (directory,))
    return Location(format, directory, (_only(directory, f"*{_OPTIONS}"), _only(directory, *_WEIGHTS)))


def _beside(path: Path) -> Location:
    """The model that a single file is part of. Published pairs are named like elmo_2x1024_options.json and
    elmo_2x1024_weights.hdf5.
    """
    directory, name = path.parent, path.name
    if name.endswith(_OPTIONS):
        prefix = escape(name.removesuffix(_OPTIONS))
        weights = _only(directory, f"{prefix}weights.hdf5", f"{prefix}weights*.hdf5", *_WEIGHTS)
        return Location("allennlp", directory, (path, weights))
    if path.suffix == ".hdf5":
        prefix = escape(name.partition("weights")[0])
        return Location(
            "allennlp", directory, (_only(directory, f"{prefix}{_OPTIONS}", _OPTIONS, f"*{_OPTIONS}"), path)
        )
    if name in (native.CONFIG_FILE, native.WEIGHTS_FILE, *_MANYLANGS):
        return _at(directory)
    raise CheckpointError(
        f"{path} has no name by which a part of an ELMo model is known. Give a file *{_OPTIONS}, *.hdf5, "
        f"{native.CONFIG_FILE}, {native.WEIGHTS_FILE} or an archive ({', '.join(ENDINGS)}); or a pair of paths "
        f"[options, weights], whatever their names."
    )


def _pair(source: Sequence[str | PathLike[str]]) -> Location:
    if not isinstance(source, Sequence):
        raise TypeError(
            f"An ELMo model's source is a name, a path or a pair of paths [options, weights], not {source!r}."
        )
    if len(source) != 2:
        raise CheckpointError(f"A pair of paths [options, weights] has two members, but {source!r} has {len(source)}.")
    options, weights = map(Path, source)
    for path in (options, weights):
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; it was given as one of the pair [options, weights].")
    return Location("allennlp", options.parent, (options, weights))


def _only(directory: Path, *patterns: str) -> Path:
    """The one file of the first pattern that there are files of."""
    held = ", ".join(sorted(path.name for path in directory.iterdir())) or "nothing"
    for pattern in patterns:
        found = sorted(directory.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            raise CheckpointError(
                f"{directory} holds {len(found)} files {pattern}, so give a pair of paths [options, weights] instead. "
                f"It holds: {held}."
            )
    raise CheckpointError(
        f"{directory} is not an ELMo model: it has no {patterns[0]}, nor a native {native.CONFIG_FILE} and "
        f"{native.WEIGHTS_FILE}. It holds: {held}."
    )

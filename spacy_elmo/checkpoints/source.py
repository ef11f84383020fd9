"""From what a user calls a model to the files that hold it."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from . import native
from .errors import CheckpointError

Source = str | PathLike[str] | Sequence[str | PathLike[str]]

_ASSETS = Path(__file__).parent.parent / "assets"


def embedded_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in _ASSETS.glob(f"*/{native.CONFIG_FILE}"))


def locate(source: Source) -> Path | tuple[Path, Path]:
    """The native directory, or the (options, weights) pair, that a source means. A name of an embedded model goes
    before a directory of the same name; write "./NAME" for the directory.
    """
    if not isinstance(source, str | PathLike):
        return _pair(source)
    if source in embedded_models():
        return _ASSETS / str(source)
    path = Path(source)
    if not path.is_dir():
        raise CheckpointError(
            f"'{source}' names no ELMo model. It is neither an existing directory nor one of the embedded models "
            f"({', '.join(embedded_models())}). Give a name from that list, the path of a directory with config.json "
            f"and model.safetensors or with options.json and weights.hdf5, or a pair of paths [options, weights]."
        )
    if (path / native.CONFIG_FILE).exists() or (path / native.WEIGHTS_FILE).exists():
        return path
    return _only(path, "options.json"), _only(path, "weights.hdf5")


def _pair(source: Sequence[str | PathLike[str]]) -> tuple[Path, Path]:
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
    return options, weights


def _only(directory: Path, ending: str) -> Path:
    """The published files are named like elmo_2x1024_128_2048cnn_1xhighway_options.json."""
    found = sorted(directory.glob(f"*{ending}"))
    if len(found) == 1:
        return found[0]
    held = ", ".join(sorted(path.name for path in directory.iterdir())) or "nothing"
    if found:
        raise CheckpointError(
            f"{directory} holds {len(found)} files *{ending}, so give a pair of paths [options, weights] instead. "
            f"It holds: {held}."
        )
    raise CheckpointError(
        f"{directory} is not an ELMo model: it has no *{ending}, nor a native {native.CONFIG_FILE} and "
        f"{native.WEIGHTS_FILE}. It holds: {held}."
    )

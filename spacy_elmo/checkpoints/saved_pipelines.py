"""The biLM in a saved spaCy pipeline, or in one of its components: what thinc keeps in the component's `model`."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .contents import Contents
from .errors import CheckpointError
from .format import Format, Location
from .message import read_message, unpack

MODEL_FILE = "model"
# A pipeline's directory has the first two, and one for each component; that of a component the last one.
_CONFIG_FILE, _META_FILE, _COMPONENT_FILE = "config.cfg", "meta.json", "cfg"
# The layer that holds it. Names of layers come first in the file.
_LAYER = "bilm_encoder"
_NAMES = 1_000_000


class SavedPipeline(Format):
    """See the module. Its locations have the path (model,)."""

    name = "spacy"
    parts = (MODEL_FILE, _CONFIG_FILE)
    members = (_META_FILE, _COMPONENT_FILE)

    def recognises(self, directory: Path) -> bool:
        """See `Format.recognises`."""
        is_pipeline = (directory / _CONFIG_FILE).is_file() and (directory / _META_FILE).is_file()
        return is_pipeline or ((directory / _COMPONENT_FILE).is_file() and _holds_bilm(directory / MODEL_FILE))

    def locate(self, directory: Path) -> Location:
        """See `Format.locate`."""
        found = [path for path in _models(directory) if _holds_bilm(path)]
        if len(found) == 1:
            return Location(self, found[0].parent, (found[0],))
        if not found:
            raise CheckpointError(f"{directory} is a spaCy pipeline without ELMo: none of its components has a biLM.")
        names = " or ".join(str(path.parent) for path in found)
        raise CheckpointError(f"{directory} is a spaCy pipeline with {len(found)} biLMs. Give {names}.")

    def weights(self, location: Location) -> tuple[Path, ...]:
        """See `Format.weights`."""
        return location.paths

    def read(self, location: Location) -> Contents:
        """See `Format.read`."""
        (path,) = location.paths
        return unpack(_packed(path), str(path))

    def dtypes(self, location: Location) -> set[str]:
        """See `Format.dtypes`."""
        return {"float32"}


SAVED_PIPELINE = SavedPipeline()


def installed_pipeline(name: str) -> Path | None:
    """The directory of an installed pipeline package; None where there is no such package."""
    if not name.isidentifier():
        return None
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):  # what is running now may have no name
        return None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob(f"{name}-*")):
            if (path / _CONFIG_FILE).is_file():
                return path
    return None


def _models(directory: Path) -> list[Path]:
    if (directory / _META_FILE).is_file():
        return sorted(directory.glob(f"*/{MODEL_FILE}"))
    return [directory / MODEL_FILE]


def _holds_bilm(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _LAYER.encode() in file.read(_NAMES)


def _packed(path: Path) -> bytes:
    """The biLM's own bytes in a component's."""
    message = read_message(path.read_bytes(), str(path))
    for node, shims in _layers(message):
        if isinstance(node, dict) and node.get("name") == _LAYER and shims and isinstance(shims[0], bytes):
            return shims[0]
    raise CheckpointError(f"{path}: damaged, its layer {_LAYER} has no biLM. Save the pipeline again.")


def _layers(message: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """What is kept of each layer: facts, and what holds it."""
    nodes, shims = message.get("nodes"), message.get("shims")
    if isinstance(nodes, list) and isinstance(shims, list):
        yield from ((node, held) for node, held in zip(nodes, shims, strict=False) if isinstance(held, list))

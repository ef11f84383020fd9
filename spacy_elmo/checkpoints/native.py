"""Our own format.

It has config.json for the dimensions, model.safetensors for the parameters, under the module's names, and lexicon.json
for the words and characters of a model that has numbers for them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..bilm import BiLM, BiLMConfig
from ..disk import read_json
from .bounds import check_counts
from .contents import Contents
from .errors import CheckpointError
from .format import Format, Location
from .lexicons import read_lexicon_json, serialize_lexicon
from .tensors import read_parameters, serialize_parameters, stored_dtypes

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
LEXICON_FILE = "lexicon.json"
FORMAT = "spacy-elmo"
FORMAT_VERSION = 1


class Native(Format):
    """See the module."""

    name = "native"
    family = "spacy-elmo"
    parts = (CONFIG_FILE, WEIGHTS_FILE)
    members = (LEXICON_FILE,)
    written = (CONFIG_FILE, WEIGHTS_FILE, LEXICON_FILE)

    def locate(self, directory: Path) -> Location:
        """See `Format.locate`."""
        return Location(self, directory, (directory / CONFIG_FILE, directory / WEIGHTS_FILE))

    def weights(self, location: Location) -> tuple[Path, ...]:
        """See `Format.weights`."""
        return (location.directory / WEIGHTS_FILE,)

    def read(self, location: Location) -> Contents:
        """See `Format.read`."""
        config_path, weights_path = location.paths
        config = _read_config(config_path)
        lexicon = read_lexicon_json(config, location.directory / LEXICON_FILE)
        return Contents(str(weights_path), config, read_parameters(config, weights_path, lexicon), lexicon)

    def files(self, location: Location) -> tuple[Path, ...]:
        """See `Format.files`."""
        names = (CONFIG_FILE, LEXICON_FILE, WEIGHTS_FILE)
        return tuple(path for path in (location.directory / name for name in names) if path.exists())

    def dtypes(self, location: Location) -> set[str]:
        """See `Format.dtypes`."""
        return stored_dtypes(location.directory / WEIGHTS_FILE)

    def serialize(self, bilm: BiLM, dtype: str, vocabulary: Sequence[str] | None = None) -> dict[str, bytes]:
        """See `Format.serialize`."""
        files = {WEIGHTS_FILE: serialize_parameters(bilm, dtype)}
        if bilm.lexicon is not None:
            files[LEXICON_FILE] = serialize_lexicon(bilm.lexicon)
        files[CONFIG_FILE] = (json.dumps(config_values(bilm.config), indent=2) + "\n").encode("utf8")
        return files


NATIVE = Native()


def parse_config(values: Any, where: str) -> BiLMConfig:
    """The config from the content of config.json.

    Raises:
        CheckpointError: It is something else, or makes no model. The message begins with `where`.
    """
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise CheckpointError(f"{where}: not the config of a spacy-elmo model (its 'format' is not '{FORMAT}').")
    if values.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{where}: format version {values.get('format_version')!r}, but this spacy-elmo reads version "
            f"{FORMAT_VERSION}. Update spacy-elmo."
        )
    try:
        config = BiLMConfig.from_dict(values["bilm"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: {error}") from None
    check_counts(config, where)
    return config


def config_values(config: BiLMConfig) -> dict[str, Any]:
    """The content of config.json; `parse_config` reads it back."""
    return {"format": FORMAT, "format_version": FORMAT_VERSION, "bilm": config.to_dict()}


def _read_config(path: Path) -> BiLMConfig:
    advice = f"The model in {path.parent} is incomplete or damaged; copy or convert it again."
    return parse_config(read_json(path, CheckpointError, advice), str(path))

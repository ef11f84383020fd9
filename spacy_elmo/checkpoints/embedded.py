"""The models that come with the package."""

from pathlib import Path

from ..bilm import BiLMConfig
from ..disk import read_json
from .errors import CheckpointError
from .native import CONFIG_FILE, parse_config

ASSETS = Path(__file__).parent.parent / "assets"


def embedded_models() -> list[str]:
    """Their names, each that of a directory in `ASSETS`."""
    return sorted(path.parent.name for path in ASSETS.glob(f"*/{CONFIG_FILE}"))


def embedded_config(name: str) -> BiLMConfig:
    """The dimensions of one of them."""
    path = ASSETS / name / CONFIG_FILE
    return parse_config(read_json(path, CheckpointError), str(path))

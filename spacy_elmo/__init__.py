"""ELMo for spaCy. `nlp.add_pipe("elmo")` needs no import; the names here are for use without a pipeline.

The heavy modules (torch) load at the first use of a name, so that `import spacy_elmo` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .about import __version__

if TYPE_CHECKING:
    from .bilm import BiLM, BiLMConfig, BiLMState
    from .checkpoints import CheckpointError, load_bilm, save_bilm

__all__ = ["BiLM", "BiLMConfig", "BiLMState", "CheckpointError", "__version__", "load_bilm", "save_bilm"]

_HOME = {
    "BiLM": ".bilm",
    "BiLMConfig": ".bilm",
    "BiLMState": ".bilm",
    "CheckpointError": ".checkpoints",
    "load_bilm": ".checkpoints",
    "save_bilm": ".checkpoints",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name], __name__), name)

"""ELMo for spaCy. `nlp.add_pipe("elmo")` needs no import; the names here are for use without a pipeline.

The heavy modules (torch) load at the first use of a name, so that `import spacy_elmo` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .about import __version__

if TYPE_CHECKING:
    from .bilm import BiLM, BiLMConfig, BiLMState
    from .checkpoints import CheckpointError, download_model, load_bilm, save_bilm
    from .errors import ElmoError
    from .language import LanguageModel, Perplexity, SentenceScore, load_language_model, score

__all__ = [
    "BiLM",
    "BiLMConfig",
    "BiLMState",
    "CheckpointError",
    "ElmoError",
    "LanguageModel",
    "Perplexity",
    "SentenceScore",
    "__version__",
    "download_model",
    "load_bilm",
    "load_language_model",
    "save_bilm",
    "score",
]

_HOME = {
    "BiLM": ".bilm",
    "BiLMConfig": ".bilm",
    "BiLMState": ".bilm",
    "CheckpointError": ".checkpoints",
    "ElmoError": ".errors",
    "LanguageModel": ".language",
    "Perplexity": ".language",
    "SentenceScore": ".language",
    "download_model": ".checkpoints",
    "load_bilm": ".checkpoints",
    "load_language_model": ".language",
    "save_bilm": ".checkpoints",
    "score": ".language",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name], __name__), name)

"""The bidirectional language model, in PyTorch alone: dimensions, characters, layers, inference."""

from .config import BiLMConfig
from .model import BiLM
from .state import BiLMState

__all__ = ["BiLM", "BiLMConfig", "BiLMState"]

"""A biLM as a language model: its softmax, what it predicts, and how well."""

from .files import load_language_model, save_language_model
from .model import LanguageModel
from .perplexity import Perplexity, SentenceScore, score

__all__ = ["LanguageModel", "Perplexity", "SentenceScore", "load_language_model", "save_language_model", "score"]

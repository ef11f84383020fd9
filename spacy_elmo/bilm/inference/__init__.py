"""Inference: a biLM's layers of any number of sentences of any length, fast, in bounded memory, without autograd."""

from ..native import explain
from .engine import Engine, batches
from .products import PRECISIONS

__all__ = ["PRECISIONS", "Engine", "batches", "explain"]

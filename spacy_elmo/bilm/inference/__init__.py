"""Inference: a biLM's layers of any number of sentences of any length, fast, in bounded memory, without autograd."""

from .engine import Engine, batches
from .native import explain
from .products import PRECISIONS

__all__ = ["PRECISIONS", "Engine", "batches", "explain"]

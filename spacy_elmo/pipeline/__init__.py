"""The pipeline component "elmo": what it writes to Docs, who listens to it, how it is trained and saved."""

from .component import Elmo, make_elmo
from .hooks import make_elmo_similarity, set_hooks

__all__ = ["Elmo", "make_elmo", "make_elmo_similarity", "set_hooks"]

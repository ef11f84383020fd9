"""The `Embedder` of ELMoForManyLangs, which is no longer maintained, with its arguments, on our biLM.

Replace `from elmoformanylangs import Embedder` by `from spacy_elmo.elmoformanylangs import Embedder`, and
`python -m elmoformanylangs test` by `python -m spacy_elmo.elmoformanylangs test`.
"""

from .embedder import Embedder

__all__ = ["Embedder"]

"""The `ElmoModel` of simple_elmo 0.9.2, which needs TensorFlow, with its names and arguments, on our biLM.

Replace `from simple_elmo import ElmoModel` by `from spacy_elmo.simple_elmo import ElmoModel`. What is not here:
`get_elmo_substitutes`, which needs a language model.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .bilm import BiLM
from .bilm.sentences import Sentences
from .checkpoints import Source, load_bilm
from .errors import ArgumentError, ElmoError

__all__ = ["ElmoModel"]

LAYERS = ("average", "top", "all")

Vectors = npt.NDArray[np.float32]


class NotLoadedError(ElmoError, RuntimeError):
    """A model is asked for something before it was loaded."""


class ElmoModel:
    """Vectors of tokenised texts, as one padded array. `load` comes first.

    A text's vectors depend on nothing but itself. In the original they depend on what was embedded before in the same
    TensorFlow session, for which it has `warmup` and `session`: taken here for the sake of programs that give them, and
    without an effect. Vectors equal those that the original gives for `warmup=False` without a session.

    Attributes:
        batch_size: What `load` was given; batches are made by the number of words, and no vector depends on them.
        max_chars: Bytes of the longest word that is read whole, two marks included.
        vector_size: Width of a word's vector.
        n_layers: How many layers there are, the word encoder's included.
        vocab, session: None, as in the original with a model for vectors.

    All are None until `load` has been called.
    """

    def __init__(self) -> None:
        self._bilm: BiLM | None = None
        self.batch_size: int | None = None
        self.max_chars: int | None = None
        self.vector_size: int | None = None
        self.n_layers: int | None = None
        self.vocab = None
        self.session = None

    def load(self, directory: Source, max_batch_size: int = 32, limit: int = 100, full: bool = False) -> str:
        """Load a model, onto a GPU where there is one.

        Args:
            directory: A directory or archive, or what else `load_bilm` takes.
            max_batch_size: Kept as `batch_size`.
            limit: Taken for the sake of programs that give it: the words of a vocabulary file to spell beforehand. Here
                every distinct word of a batch is spelt once, with such a file or without.
            full: Not supported.

        Returns:
            A sentence that says so.

        Raises:
            CheckpointError: If there is no such model.
            ArgumentError: If `full` is true.
        """
        if full:
            raise ArgumentError(
                "full=True, for a language model from a TensorFlow checkpoint, is not supported. For vectors leave it "
                "out; `spacy_elmo.load_language_model` loads the language models that were trained here."
            )
        self._bilm = load_bilm(directory).read_boundary_words()
        config = self._bilm.config
        self.batch_size = max_batch_size
        self.max_chars = config.max_characters
        self.vector_size = config.width
        self.n_layers = config.n_layers + 1
        return "The model is now loaded."

    @property
    def bilm(self) -> BiLM:
        """The model that `load` loaded.

        Raises:
            NotLoadedError: If it was not called yet.
        """
        if self._bilm is None:
            raise NotLoadedError("No model is loaded yet: call `load` with a model's directory first.")
        return self._bilm

    def warmup(self, sess: Any, texts: Sentences) -> None:
        """Nothing: no vector depends on what was embedded before."""

    def get_elmo_vectors(
        self, texts: Sentences, warmup: bool = True, layers: str = "average", session: Any = None
    ) -> Vectors:
        """The vectors of all words.

        Args:
            texts: Tokenised texts: see `as_words` for what may be given.
            warmup: Without an effect.
            layers: "average", "top" or "all".
            session: Without an effect.

        Returns:
            float32 (n_texts, words of the longest text, width); for "all" (n_texts, n_layers, words of the longest
            text, width). Zeros after a text's last word, where the original has vectors of padding in layer 0.

        Raises:
            ArgumentError: If `layers` is something else.
            TypeError: If `texts` are not tokenised texts.
        """
        embedded = self._embed(texts, layers)
        longest = max((vectors.shape[-2] for vectors in embedded), default=0)
        padded = np.zeros((len(embedded), *self._per_text(layers), longest, self.bilm.config.width), dtype=np.float32)
        for row, vectors in zip(padded, embedded, strict=True):
            row[..., : vectors.shape[-2], :] = vectors
        return padded

    def get_elmo_vector_average(
        self, texts: Sentences, warmup: bool = True, layers: str = "average", session: Any = None
    ) -> Vectors:
        """One vector for each text: the mean of its words', divided by its length (the root of the sum of squares).

        Args:
            texts: As for `get_elmo_vectors`, and so are the others.
            warmup: Without an effect.
            layers: "average", "top" or "all".
            session: Without an effect.

        Returns:
            float32 (n_texts, width); for "all" (n_texts, n_layers, width), a text's layers together of length 1. Zeros
            for a text without words. For "average" and "top" the original gives the same where no text of the batch is
            longer; else it takes vectors of padding into the mean. Its "all" mixes numbers of words and of layers.

        Raises:
            ArgumentError: If `layers` is something else.
            TypeError: If `texts` are not tokenised texts.
        """
        embedded = self._embed(texts, layers)
        means = np.zeros((len(embedded), *self._per_text(layers), self.bilm.config.width), dtype=np.float32)
        for row, vectors in enumerate(embedded):
            if vectors.shape[-2]:
                mean = vectors.mean(axis=-2)
                means[row] = mean / (np.linalg.norm(mean) or 1)
        return means

    def _embed(self, texts: Sentences, layers: str) -> list[Vectors]:
        """Of each text (n_words, width), for "all" (n_layers, n_words, width)."""
        if layers not in LAYERS:
            raise ArgumentError(f"layers is {layers!r}, but must be one of {', '.join(LAYERS)}.")
        embedded = self.bilm.embed(texts)
        if layers == "average":
            return [vectors.mean(axis=0) for vectors in embedded]
        return [vectors[-1] for vectors in embedded] if layers == "top" else embedded

    def _per_text(self, layers: str) -> tuple[int, ...]:
        """What stands between a text and its words."""
        return (self.bilm.config.n_layers + 1,) if layers == "all" else ()

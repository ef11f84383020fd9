"""The `ElmoModel` of simple_elmo, which needs TensorFlow, with its methods and arguments, on our biLM.

Replace `from simple_elmo import ElmoModel` by `from spacy_elmo.simple_elmo import ElmoModel`. What is not here:
`get_elmo_substitutes`, and the argument `session`, which is TensorFlow's.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .bilm import BiLM
from .checkpoints import Source, load_bilm

LAYERS = ("average", "top", "all")

Vectors = npt.NDArray[np.float32]


class ElmoModel:
    """Vectors of tokenised texts, as one padded array. `load` comes first.

    A text's vectors depend on nothing but itself. In the original they depend on what was embedded before, for which it
    has `warmup`: taken here for the sake of programs that give it, and without an effect.
    """

    def __init__(self) -> None:
        self._bilm: BiLM | None = None

    def load(self, directory: Source, max_batch_size: int = 32, limit: int = 100, full: bool = False) -> None:
        """Load a model, onto a GPU where there is one.

        directory: a directory or archive, or what else `load_bilm` takes.
        max_batch_size, limit: taken for the sake of programs that give them. Batches are made by the number of words,
            and every distinct word of one is spelt once, with a vocabulary file or without.
        full: not supported.
        Raises CheckpointError where there is no such model; ValueError with `full`.
        """
        if full:
            raise ValueError(
                "full=True, for a language model from a TensorFlow checkpoint, is not supported. For vectors leave it "
                "out; `spacy_elmo.load_language_model` loads the language models that were trained here."
            )
        self._bilm = load_bilm(directory)

    @property
    def bilm(self) -> BiLM:
        """The model that `load` loaded. Raises RuntimeError before."""
        if self._bilm is None:
            raise RuntimeError("No model is loaded yet: call `load` with a model's directory first.")
        return self._bilm

    def get_elmo_vectors(self, texts: Sequence[Sequence[str]], warmup: bool = True, layers: str = "average") -> Vectors:
        """The vectors of all words.

        texts: lists of words.
        layers: "average", "top" or "all".
        RETURNS: float32 (n_texts, words of the longest text, width), with "all" (n_texts, words of the longest text,
            n_layers + 1, width); zeros after a text's last word.
        Raises ValueError where `layers` is something else; TypeError where `texts` is not made of lists of strings.
        """
        embedded = self._embed(texts, layers)
        shape = (len(texts), max(map(len, texts), default=0), *self._shape(layers))
        padded = np.zeros(shape, dtype=np.float32)
        for row, vectors in zip(padded, embedded, strict=True):
            row[: len(vectors)] = vectors
        return padded

    def get_elmo_vector_average(
        self, texts: Sequence[Sequence[str]], warmup: bool = True, layers: str = "average"
    ) -> Vectors:
        """The mean of each text's word vectors, over its own words; the original divides by the words of the longest
        text. Zeros for a text without words.

        texts: lists of words.
        layers: "average", "top" or "all".
        RETURNS: float32 (n_texts, width), with "all" (n_texts, n_layers + 1, width).
        Raises ValueError where `layers` is something else; TypeError where `texts` is not made of lists of strings.
        """
        means = np.zeros((len(texts), *self._shape(layers)), dtype=np.float32)
        for row, vectors in enumerate(self._embed(texts, layers)):
            if len(vectors):
                means[row] = vectors.mean(axis=0)
        return means

    def _embed(self, texts: Sequence[Sequence[str]], layers: str) -> list[Vectors]:
        """Of each text (n_words, width), with "all" (n_words, n_layers + 1, width)."""
        if layers not in LAYERS:
            raise ValueError(f"layers is {layers!r}, but must be one of {', '.join(LAYERS)}.")
        select = {
            "average": lambda vectors: vectors.mean(axis=0),
            "top": lambda vectors: vectors[-1],
            "all": lambda vectors: vectors.transpose(1, 0, 2),
        }
        return [select[layers](vectors) for vectors in self.bilm.embed(texts)]

    def _shape(self, layers: str) -> tuple[int, ...]:
        """What stands for each word."""
        config = self.bilm.config
        return (config.n_layers + 1, config.width) if layers == "all" else (config.width,)

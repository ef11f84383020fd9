"""Words to vectors as in ELMoForManyLangs (Che et al. 2018).

A vector of each known word beside the features of its characters, and a projection of both. A model has both, or one of
the two.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .char_features import DIFFERENTIABLE, CharFeatures, Operations, in_chunks, new_embedding
from .config import BiLMConfig, LexiconConfig
from .lexicon import PADDING, Lexicon


class LexiconEncoder(nn.Module):
    """(n_words, n) int64, as of `word_ids`, -> (n_words, projection_dim).

    Raises:
        ArgumentError: If the lexicon is not one of this config.
    """

    def __init__(self, config: BiLMConfig, shape: LexiconConfig, lexicon: Lexicon) -> None:
        super().__init__()
        lexicon.check(shape)
        self.config = config
        self.lexicon = lexicon
        self.words: nn.Embedding | None = None
        if lexicon.words is not None:
            self.words = new_embedding(shape.n_words, shape.word_dim, untrained=lexicon.words[PADDING])
        self.characters: CharFeatures | None = None
        if lexicon.characters is not None:
            padding = lexicon.characters[PADDING]
            self.characters = CharFeatures(config, shape.n_characters, padding=padding, untrained=padding)
        self.projection = nn.Linear(config.feature_dim, config.projection_dim, dtype=torch.float32)

    def word_ids(self, words: Sequence[str]) -> npt.NDArray[np.int64]:
        """The rows of ids that stand for words, (n_words, n)."""
        return self.lexicon.word_ids(words, self.config.max_characters)

    def boundary_ids(self) -> npt.NDArray[np.int64]:
        """The rows that stand for the begin and the end of a sentence, (2, n)."""
        return self.lexicon.boundary_ids(self.config.max_characters)

    def forward(self, ids: Tensor, operations: Operations = DIFFERENTIABLE) -> Tensor:
        """The vectors of words, (n_words, projection_dim), from the ids of words and characters in (n_words, n_ids)."""
        weight = self.projection.weight
        if len(ids) == 0:
            return weight.new_zeros(0, self.config.projection_dim)
        lengths = ids[:, 0] if self.characters is None else self.characters.lengths(self._spelling(ids))
        compute = partial(self._vectors, operations=operations)
        return in_chunks(ids, lengths, self.config.feature_dim, compute).to(weight.dtype)

    def _vectors(self, ids: Tensor, operations: Operations) -> Tensor:
        parts = []
        if self.words is not None:
            parts.append(self.words(ids[:, 0]))
        if self.characters is not None:
            parts.append(self.characters.features(self._spelling(ids), operations))
        return operations.linear(self.projection, torch.cat(parts, dim=1))

    def _spelling(self, ids: Tensor) -> Tensor:
        """The characters' part of the rows."""
        return ids[:, -self.config.max_characters :]

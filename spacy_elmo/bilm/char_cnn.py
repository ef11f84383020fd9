"""Character ids to word vectors: features of the characters, and a projection.

Kim et al. 2016 (character-aware language models) as used by Jozefowicz et al. 2016 and Peters et al. 2018.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from . import characters
from .char_features import DIFFERENTIABLE, CharFeatures, Operations, in_chunks
from .config import BiLMConfig


class CharCNN(CharFeatures):
    """(n_words, n_characters) int64 -> (n_words, projection_dim).

    Attributes:
        boundary_words: The words that `word_ids` reads as begin and end of a sentence. None by default: in running text
            they are markup like any other. `characters.BOUNDARY_WORDS` is what bilm-tf and AllenNLP read so.
    """

    boundary_words: Sequence[str] = ()

    def __init__(self, config: BiLMConfig) -> None:
        super().__init__(config, characters.N_CHARACTERS, padding=characters.PAD, untrained=0)
        self.projection = nn.Linear(config.n_filters, config.projection_dim, dtype=torch.float32)

    def word_ids(self, words: Sequence[str]) -> npt.NDArray[np.int64]:
        """The rows of ids that stand for words, (n_words, max_characters)."""
        return characters.word_ids(words, self.config.max_characters, self.boundary_words)

    def boundary_ids(self) -> npt.NDArray[np.int64]:
        """The rows that stand for the begin and the end of a sentence, (2, max_characters)."""
        return characters.boundary_ids(self.config.max_characters)

    def forward(self, ids: Tensor, operations: Operations = DIFFERENTIABLE) -> Tensor:
        """The vectors of words, (n_words, projection_dim), from their character ids (n_words, max_characters)."""
        weight = self.projection.weight
        if len(ids) == 0:
            return weight.new_zeros(0, self.config.projection_dim)
        compute = partial(self._words, operations=operations)
        return in_chunks(ids, self.lengths(ids), self.config.n_filters, compute).to(weight.dtype)

    def _words(self, ids: Tensor, operations: Operations) -> Tensor:
        return operations.linear(self.projection, self.features(ids, operations))

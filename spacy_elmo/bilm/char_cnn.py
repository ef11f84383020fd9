"""Character ids to word vectors: convolutions, max over positions, highway layers, projection.

Kim et al. 2016 (character-aware language models) as used by Jozefowicz et al. 2016 and Peters et al. 2018.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .characters import N_CHARACTERS, PAD
from .config import BiLMConfig

# Bytes of the largest temporary array. Sets how many words are computed together.
WORKING_BYTES = 16 * 2**20

_ACTIVATION = {"relu": torch.relu, "tanh": torch.tanh}

# Computes a linear layer. Inference has faster ways than the layer itself.
Linear = Callable[[nn.Linear, Tensor], Tensor]


class Highway(nn.Module):
    """y = g * relu(W_t x + b_t) + (1 - g) * x with g = sigmoid(W_c x + b_c) (Srivastava et al. 2015)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.transform = nn.Linear(dim, dim)
        self.carry = nn.Linear(dim, dim)

    def forward(self, x: Tensor, linear: Linear) -> Tensor:
        return torch.lerp(x, torch.relu(linear(self.transform, x)), torch.sigmoid(linear(self.carry, x)))


class CharCNN(nn.Module):
    """(n_words, n_characters) int64 -> (n_words, projection_dim)."""

    def __init__(self, config: BiLMConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(N_CHARACTERS, config.char_dim, padding_idx=0)
        self.convolutions = nn.ModuleList(nn.Conv1d(config.char_dim, count, width) for width, count in config.filters)
        self.highways = nn.ModuleList(Highway(config.n_filters) for _ in range(config.n_highway))
        self.projection = nn.Linear(config.n_filters, config.projection_dim)

    def forward(self, ids: Tensor, linear: Linear = nn.Linear.__call__) -> Tensor:
        """Words of similar length are computed together, since the convolutions run as far as the longest of them."""
        if len(ids) == 0:
            return self.projection.weight.new_zeros(0, self.config.projection_dim)
        order = torch.argsort((ids != PAD).sum(dim=1), stable=True)
        words = torch.cat([self._words(ids[rows], linear) for rows in order.split(_chunk_size(self.config.n_filters))])
        return words.to(self.projection.weight.dtype)[torch.argsort(order)]

    def _words(self, ids: Tensor, linear: Linear) -> Tensor:
        """The large products of the highways gain by many words, and take little memory for each."""
        widest = max(self.config.char_dim, *(count for _, count in self.config.filters))
        features = torch.cat(
            [self._features(chunk) for chunk in ids.split(_chunk_size(self.config.max_characters * widest))]
        )
        for highway in self.highways:
            features = highway(features, linear)
        return linear(self.projection, features)

    def _features(self, ids: Tensor) -> Tensor:
        characters = self.embedding(self._without_idle_padding(ids)).transpose(1, 2)
        activation = _ACTIVATION[self.config.activation]
        # The maximum commutes with the activation, which is monotonic; bilm-tf takes the maximum first. Of several
        # equal positions `max` gives the gradient to one, much faster than `amax` shares it out.
        return torch.cat([activation(conv(characters).max(dim=2).values) for conv in self.convolutions], dim=1)

    def _without_idle_padding(self, ids: Tensor) -> Tensor:
        """Cut the padding that no maximum depends on. All windows that hold nothing but padding are equal, so
        one of each width is enough, and short words need a fraction of the windows of a full row.
        """
        longest = int((ids != PAD).sum(dim=1).max())
        widest = max(width for width, _ in self.config.filters)
        return ids[:, : min(self.config.max_characters, longest + widest)]


def _chunk_size(numbers_per_word: int) -> int:
    return max(1, WORKING_BYTES // (4 * numbers_per_word))

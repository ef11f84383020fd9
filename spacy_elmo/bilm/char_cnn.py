"""Character ids to word vectors: convolutions, max over positions, highway layers, projection.

Kim et al. 2016 (character-aware language models) as used by Jozefowicz et al. 2016 and Peters et al. 2018.
"""

from typing import cast

import torch
from torch import Tensor, nn

from .characters import N_CHARACTERS, PAD
from .config import BiLMConfig

_ACTIVATION = {"relu": torch.relu, "tanh": torch.tanh}


class Highway(nn.Module):
    """y = g * relu(W_t x + b_t) + (1 - g) * x with g = sigmoid(W_c x + b_c) (Srivastava et al. 2015)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.transform = nn.Linear(dim, dim)
        self.carry = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(x, torch.relu(self.transform(x)), torch.sigmoid(self.carry(x)))


class CharCNN(nn.Module):
    """(n_words, n_characters) int64 -> (n_words, projection_dim)."""

    def __init__(self, config: BiLMConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(N_CHARACTERS, config.char_dim, padding_idx=0)
        self.convolutions = nn.ModuleList(nn.Conv1d(config.char_dim, count, width) for width, count in config.filters)
        self.highways = nn.ModuleList(Highway(config.n_filters) for _ in range(config.n_highway))
        self.projection = nn.Linear(config.n_filters, config.projection_dim)

    def forward(self, ids: Tensor) -> Tensor:
        characters = self.embedding(self._without_idle_padding(ids)).transpose(1, 2)
        activation = _ACTIVATION[self.config.activation]
        # The maximum commutes with the activation, which is monotonic; bilm-tf takes the maximum first.
        features = torch.cat([activation(conv(characters).amax(dim=2)) for conv in self.convolutions], dim=1)
        for highway in self.highways:
            features = highway(features)
        return cast(Tensor, self.projection(features))

    def _without_idle_padding(self, ids: Tensor) -> Tensor:
        """Cut the padding that no maximum depends on. All windows that hold nothing but padding are equal, so
        one of each width is enough, and short words need a fraction of the windows of a full row.
        """
        longest = int((ids != PAD).sum(dim=1).max()) if len(ids) else 0
        widest = max(width for width, _ in self.config.filters)
        return ids[:, : min(self.config.max_characters, longest + widest)]

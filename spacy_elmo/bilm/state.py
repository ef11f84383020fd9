"""What an LSTM carries from one sentence to the next."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .config import BiLMConfig


@dataclass(frozen=True)
class BiLMState:
    """The recurrent state of every direction (0 forward, 1 backward), layer and sequence of a batch, float32.

    Attributes:
        hidden: (2, n_layers, n_sequences, projection_dim), after projection and clipping.
        cell: (2, n_layers, n_sequences, cell_dim), after clipping.
    """

    hidden: Tensor
    cell: Tensor

    @classmethod
    def zeros(cls, config: BiLMConfig, n_sequences: int, device: torch.device | str = "cpu") -> "BiLMState":
        """The state before a first sentence."""
        shape = (2, config.n_layers, n_sequences)
        return cls(
            torch.zeros(*shape, config.projection_dim, dtype=torch.float32, device=device),
            torch.zeros(*shape, config.cell_dim, dtype=torch.float32, device=device),
        )

    @property
    def n_sequences(self) -> int:
        """How many sequences it is the state of."""
        return self.hidden.shape[2]

    def reorder(self, order: Tensor) -> "BiLMState":
        """The state with sequence `order[i]` in place i, as a copy."""
        return BiLMState(self.hidden[:, :, order], self.cell[:, :, order])

    def repeat(self, n_sequences: int) -> "BiLMState":
        """From a state of one sequence, one of as many that are all alike."""
        return BiLMState(self.hidden.repeat(1, 1, n_sequences, 1), self.cell.repeat(1, 1, n_sequences, 1))

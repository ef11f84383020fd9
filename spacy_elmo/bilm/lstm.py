"""The clipped LSTM with projection (Sak et al. 2014): its parameters, and its differentiable run for training.

`inference.lstm` runs the same parameters without autograd. Both take packed rows (see `packing`) and the state of the
sequences in packed order, and give back the new state beside the output. Neither keeps anything between calls.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from .lstm_function import LSTMFunction, Steps

# TensorFlow's LSTMCell, which bilm-tf used, adds 1 to the forget gate when it runs and does not store it in the bias.
FORGET_BIAS = 1.0

State = tuple[Tensor, Tensor]


class LSTMLayer(Protocol):
    """What running a layer takes of it, see `ProjectedLSTM`."""

    cell_clip: float
    projection_clip: float

    @property
    def weight(self) -> Tensor:
        """(4 * cell_dim, input_dim + projection_dim)."""

    @property
    def projection(self) -> Tensor:
        """(projection_dim, cell_dim)."""

    def split_weight(self) -> tuple[Tensor, Tensor]:
        """The gates' weights of the input and of the state."""

    def gate_bias(self) -> Tensor:
        """Of the four gates, (4 * cell_dim,)."""


class ProjectedLSTM(nn.Module):
    """One layer in one direction.

    Attributes:
        weight: (4 * cell_dim, input_dim + projection_dim), gates in the order input, candidate, forget, output (i, j,
            f, o, bilm-tf's order), columns for the input first, for the projected state second.
        bias: (4 * cell_dim,), without the forget gate's constant.
        projection: (projection_dim, cell_dim).
    """

    def __init__(
        self,
        input_dim: int,
        cell_dim: int,
        projection_dim: int,
        cell_clip: float | None,
        projection_clip: float | None,
    ) -> None:
        super().__init__()
        self.input_dim = input_dim
        self.cell_dim = cell_dim
        self.cell_clip = math.inf if cell_clip is None else cell_clip
        self.projection_clip = math.inf if projection_clip is None else projection_clip
        self.weight = nn.Parameter(torch.empty(4 * cell_dim, input_dim + projection_dim, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(4 * cell_dim, dtype=torch.float32))
        self.projection = nn.Parameter(torch.empty(projection_dim, cell_dim, dtype=torch.float32))
        nn.init.xavier_uniform_(self.weight)
        nn.init.xavier_uniform_(self.projection)

    def forward(
        self, x: Tensor, batch_sizes: Sequence[int], state: State, starts: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run the layer, differentiable.

        Args:
            x: (n_rows, input_dim) packed.
            batch_sizes: Sequences alive at each step.
            state: (n_sequences, projection_dim) and (n_sequences, cell_dim), of which the first `batch_sizes[0]` rows
                take part.
            starts: (n_rows,) bool, rows before which the state is set to zero; None for none.

        Returns:
            The output (n_rows, projection_dim), and the new state.
        """
        (output,), (new_state,) = run_side_by_side([self], [x], batch_sizes, [state], starts)
        return output, new_state

    def split_weight(self) -> tuple[Tensor, Tensor]:
        """The columns of the weight for the input, and those for the projected state."""
        return self.weight[:, : self.input_dim], self.weight[:, self.input_dim :]

    def gate_bias(self) -> Tensor:
        """The bias with the forget gate's constant."""
        forget = torch.zeros_like(self.bias)
        forget[2 * self.cell_dim : 3 * self.cell_dim] = FORGET_BIAS
        return self.bias + forget


def run_side_by_side(
    lstms: Sequence[LSTMLayer],
    xs: Sequence[Tensor],
    batch_sizes: Sequence[int],
    states: Sequence[State],
    starts: Tensor | None = None,
) -> tuple[list[Tensor], list[State]]:
    """One layer of each direction, or of one, differentiable.

    Args:
        lstms: The layers, with the same clips.
        xs: What each reads, see `ProjectedLSTM.forward`.
        batch_sizes: Of each of them.
        states: Of each layer.
        starts: Of each of them.

    Returns:
        The output and the new state of each layer.
    """
    steps = Steps(batch_sizes, starts, lstms[0].cell_clip, lstms[0].projection_clip)
    layers = zip(lstms, xs, states, strict=True)
    tensors = [
        tensor
        for lstm, x, (hidden, cell) in layers
        for tensor in (x, hidden, cell, lstm.weight, lstm.gate_bias(), lstm.projection)
    ]
    found = LSTMFunction.apply(steps, *tensors)
    return list(found[::3]), list(zip(found[1::3], found[2::3], strict=True))

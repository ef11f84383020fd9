"""The clipped LSTM with projection (Sak et al. 2014), in two ways of running that give the same numbers.

`forward` is differentiable, for training (see `lstm_function`); `run_in_place` is for inference.

Both take packed rows (see `packing`) and the state of the sequences in packed order, and give back the new state
beside the output. Neither keeps anything between calls.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .lstm_function import LSTMFunction

# TensorFlow's LSTMCell, which bilm-tf used, adds 1 to the forget gate when it runs and does not store it in the bias.
FORGET_BIAS = 1.0

State = tuple[Tensor, Tensor]


class ProjectedLSTM(nn.Module):
    """One layer in one direction.

    weight: (4 * cell_dim, input_dim + projection_dim), gates in the order input, candidate, forget, output (i, j, f,
        o, bilm-tf's order), columns for the input first, for the projected state second.
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
        self.weight = nn.Parameter(torch.empty(4 * cell_dim, input_dim + projection_dim))
        self.bias = nn.Parameter(torch.zeros(4 * cell_dim))
        self.projection = nn.Parameter(torch.empty(projection_dim, cell_dim))
        nn.init.xavier_uniform_(self.weight)
        nn.init.xavier_uniform_(self.projection)

    def forward(
        self, x: Tensor, batch_sizes: Sequence[int], state: State, starts: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """x: (n_rows, input_dim) packed. state: (n_sequences, projection_dim) and (n_sequences, cell_dim), of which
        the first `batch_sizes[0]` rows take part. starts: (n_rows,) bool, rows before which the state is set to zero.
        Gives ((n_rows, projection_dim), new state).
        """
        output, hidden, cell = LSTMFunction.apply(
            x,
            *state,
            self.weight,
            self._gate_bias(),
            self.projection,
            starts,
            batch_sizes,
            self.cell_clip,
            self.projection_clip,
        )
        return output, (hidden, cell)

    def run_in_place(self, x: Tensor, batch_sizes: Sequence[int], state: State) -> Tensor:
        """As `forward`, without autograd, and the state given is overwritten with the new one: its rows of ended
        sequences stay as they are, so nothing is sliced off or put back, and each step writes into the output.
        """
        input_weight, state_weight = self._split_weight()
        cell_dim = self.cell_dim
        # One product for the inputs of all steps; only the recurrent part has to wait for the step before.
        gates = F.linear(x, input_weight, self._gate_bias()).float()
        output = x.new_empty(len(x), self.projection.shape[0], dtype=torch.float32)
        hidden, cell = state
        row = 0
        for size in batch_sizes:
            h, c, step = hidden[:size], cell[:size], gates[row : row + size]
            step += F.linear(h, state_weight)
            candidate = step[:, cell_dim : 2 * cell_dim].tanh_()
            i, f, o = (step[:, k * cell_dim : (k + 1) * cell_dim].sigmoid_() for k in (0, 2, 3))
            c.mul_(f).addcmul_(i, candidate).clamp_(-self.cell_clip, self.cell_clip)
            torch.clamp(
                F.linear(torch.tanh(c, out=candidate).mul_(o), self.projection).float(),
                -self.projection_clip,
                self.projection_clip,
                out=h,
            )
            output[row : row + size] = h
            row += size
        return output

    def _split_weight(self) -> tuple[Tensor, Tensor]:
        return self.weight[:, : self.input_dim], self.weight[:, self.input_dim :]

    def _gate_bias(self) -> Tensor:
        forget = torch.zeros_like(self.bias)
        forget[2 * self.cell_dim : 3 * self.cell_dim] = FORGET_BIAS
        return self.bias + forget

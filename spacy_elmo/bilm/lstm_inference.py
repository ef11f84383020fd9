"""An LSTM layer made ready for inference: the same numbers as `ProjectedLSTM.forward`, without autograd."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .lstm import ProjectedLSTM, State
from .products import MANY_ROWS, prepare


class PreparedLSTM:
    """One layer in one direction, for steps of about `n_rows` rows."""

    def __init__(self, lstm: ProjectedLSTM, precision: str, n_rows: int) -> None:
        input_weight, state_weight = lstm.split_weight()
        self._input = prepare(input_weight, precision, MANY_ROWS)
        self._state = prepare(state_weight, precision, n_rows)
        self._projection = prepare(lstm.projection, precision, n_rows)
        self._bias = lstm.gate_bias()
        self._cell_clip = lstm.cell_clip
        self._projection_clip = lstm.projection_clip

    def input_gates(self, x: Tensor) -> Tensor:
        """The inputs' part of the gates, (n_rows, 4 * cell_dim), for all steps at once: one wide product. Only the
        state's part has to wait for the step before.
        """
        return self._input(x, self._bias)

    def run(self, gates: Tensor, batch_sizes: Sequence[int], state: State, index: Tensor | None = None) -> Tensor:
        """From the `input_gates` of packed rows to the output (n_rows, projection_dim).

        index: (n_rows,), the row of `gates` of each packed row, where several share one; without it the gates are
            overwritten.
        The state is overwritten with the new one: its rows of ended sequences stay as they are, so nothing is sliced
        off or put back.
        """
        hidden, cell = state
        cell_dim = cell.shape[1]
        output = hidden.new_empty(sum(batch_sizes), hidden.shape[1])
        h, row = hidden, 0
        for size in batch_sizes:
            hidden[size : len(h)] = h[size:]
            c, rows = cell[:size], slice(row, row + size)
            step = self._state(h[:size], gates[rows] if index is None else gates[index[rows]])
            # tanh(x) = 2 sigmoid(2 x) - 1, and torch's sigmoid takes a third of the time of its tanh. The factor of
            # the candidate, like that of the squashed cell below, is left to the product that follows.
            step[:, cell_dim : 2 * cell_dim].mul_(2.0)
            i, candidate, f, o = step.sigmoid_().chunk(4, dim=1)
            c.mul_(f).addcmul_(i, candidate.sub_(0.5), value=2.0).clamp_(-self._cell_clip, self._cell_clip)
            exposed = torch.mul(c, 2.0).sigmoid_().sub_(0.5).mul_(o)
            projected = self._projection(exposed, None).mul_(2.0)
            h = torch.clamp(projected, -self._projection_clip, self._projection_clip, out=output[rows])
            row += size
        hidden[: len(h)] = h
        return output

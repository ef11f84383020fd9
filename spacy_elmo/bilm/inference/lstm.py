"""An LSTM layer made ready for inference: the same numbers as `ProjectedLSTM.forward`, without autograd."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..lstm import LSTMLayer, State
from .products import MANY_ROWS, FixedWeight


class InferenceLSTM:
    """One layer in one direction."""

    def __init__(self, lstm: LSTMLayer, precision: str) -> None:
        input_weight, state_weight = lstm.split_weight()
        self._input = FixedWeight(input_weight, precision)
        self._state = FixedWeight(state_weight, precision)
        self._projection = FixedWeight(lstm.projection, precision)
        self._bias = lstm.gate_bias().float()
        self._cell_clip = lstm.cell_clip
        self._projection_clip = lstm.projection_clip

    def input_gates(self, x: Tensor) -> Tensor:
        """The inputs' part of the gates, (n_rows, 4 * cell_dim), for all steps at once: one wide product.

        Only the state's part has to wait for the step before.
        """
        # In the layout for many rows, however many there are: a second one would take as much memory as the first.
        return self._input.product(MANY_ROWS)(x, self._bias)

    def run(
        self, gates: Tensor, batch_sizes: Sequence[int], state: State, n_rows: int, index: Tensor | None = None
    ) -> Tensor:
        """From the `input_gates` of packed rows to the output.

        Args:
            gates: (n_rows, 4 * cell_dim). Overwritten, unless there is an `index`.
            batch_sizes: Rows of each step.
            state: Hidden and cell state, (n_sequences, projection_dim) and (n_sequences, cell_dim), of which the first
                `batch_sizes[0]` rows take part. Overwritten with the new one: its rows of ended sequences stay as they
                are, so nothing is sliced off or put back.
            n_rows: For how many rows a step the weights should be laid out.
            index: (n_rows,), the row of `gates` of each packed row, where several share one.

        Returns:
            (n_rows, projection_dim) float32.
        """
        state_product, projection = self._state.product(n_rows), self._projection.product(n_rows)
        hidden, cell = state
        cell_dim = cell.shape[1]
        output = hidden.new_empty(sum(batch_sizes), hidden.shape[1])
        h, row = hidden, 0
        for size in batch_sizes:
            hidden[size : len(h)] = h[size:]
            c, rows = cell[:size], slice(row, row + size)
            step = state_product(h[:size], gates[rows] if index is None else gates[index[rows]])
            # tanh(x) = 2 sigmoid(2 x) - 1, and torch's sigmoid takes a third of the time of its tanh. The factor of
            # the candidate, like that of the squashed cell below, is left to the product that follows.
            step[:, cell_dim : 2 * cell_dim].mul_(2.0)
            i, candidate, f, o = step.sigmoid_().chunk(4, dim=1)
            c.mul_(f).addcmul_(i, candidate.sub_(0.5), value=2.0).clamp_(-self._cell_clip, self._cell_clip)
            exposed = torch.mul(c, 2.0).sigmoid_().sub_(0.5).mul_(o)
            projected = projection(exposed, None).mul_(2.0)
            h = torch.clamp(projected, -self._projection_clip, self._projection_clip, out=output[rows])
            row += size
        hidden[: len(h)] = h
        return output

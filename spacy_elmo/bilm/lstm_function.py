"""The clipped LSTM with projection as one differentiable function of a whole window.

The time loop holds only what has to wait for the step before: one product forward and one backward, the projection, and
elementwise work. The gradients of both weights are single products over all rows, after the loop.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .lstm_cells import cells_for, hardtanh_backward


class LSTMFunction(torch.autograd.Function):
    """`apply(x, hidden, cell, weight, bias, projection, starts, batch_sizes, cell_clip, projection_clip)`.

    Args:
        x: (n_rows, input_dim) packed, `batch_sizes[t]` rows for step t, never more than for the step before.
        hidden: (batch_sizes[0], projection_dim), before the first step.
        cell: (batch_sizes[0], cell_dim), before the first step.
        weight: (4 * cell_dim, input_dim + projection_dim), gates in the order i, j, f, o.
        bias: (4 * cell_dim,), all of it: the forget gate's constant included.
        projection: (projection_dim, cell_dim).
        starts: (n_rows,) bool, rows before which the state is set to zero; None for none.

    Returns:
        The output (n_rows, projection_dim), and the state after each sequence's last step.

    Products run in the autocast precision where autocast is on, everything else in x's. The equations are those of
    Sak et al. 2014, section 2, without peepholes; clipped as in TensorFlow's LSTMCell, the cell before its output
    gate and the projected state last.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        hidden: Tensor,
        cell: Tensor,
        weight: Tensor,
        bias: Tensor,
        projection: Tensor,
        starts: Tensor | None,
        batch_sizes: Sequence[int],
        cell_clip: float,
        projection_clip: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs of a layer over packed steps, and its last state; keeps what the derivatives take."""
        dtype = _product_dtype(x)
        n_rows, input_dim = x.shape
        cell_dim, projection_dim = cell.shape[1], hidden.shape[1]
        product_weight, product_projection = weight.to(dtype).t(), projection.to(dtype).t()
        keep = None if starts is None else (~starts).to(x.dtype)[:, None]
        arguments = x.new_empty(n_rows, input_dim + projection_dim, dtype=dtype)
        arguments[:, :input_dim] = x
        gates = x.new_empty(n_rows, 4 * cell_dim)
        cells = x.new_empty(n_rows, cell_dim)
        squashed = x.new_empty(n_rows, cell_dim)  # tanh of the cell state
        exposed = x.new_empty(n_rows, cell_dim)  # the part of it that the output gate lets through
        output = x.new_empty(n_rows, projection_dim)
        final_hidden, final_cell, first_cell = hidden.clone(), cell.clone(), cell
        compute = cells_for(x)

        for rows, size, going_on in _steps(batch_sizes):
            h, c = hidden[:size], cell[:size]
            if keep is not None:
                h, c = h * keep[rows], c * keep[rows]
            arguments[rows, input_dim:] = h
            _product(bias, arguments[rows], product_weight, out=gates[rows])
            compute.forward(gates[rows], c, cells[rows], squashed[rows], exposed[rows], cell_clip)
            cell = cells[rows]
            projected = (exposed[rows].to(dtype) @ product_projection).to(x.dtype)
            hidden = torch.clamp(projected, -projection_clip, projection_clip, out=output[rows])
            final_hidden[going_on:size], final_cell[going_on:size] = hidden[going_on:], cell[going_on:]

        ctx.save_for_backward(arguments, first_cell, gates, cells, squashed, exposed, output, weight, projection, keep)
        ctx.batch_sizes, ctx.clips, ctx.dtype = batch_sizes, (cell_clip, projection_clip), dtype
        return output, final_hidden, final_cell

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor, d_final_hidden: Tensor, d_final_cell: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of all inputs, step by step from the last one to the first."""
        arguments, first_cell, gates, cells, squashed, exposed, output, weight, projection, keep = ctx.saved_tensors
        (cell_clip, projection_clip), dtype = ctx.clips, ctx.dtype
        input_dim = arguments.shape[1] - projection.shape[0]
        product_weight, product_projection = weight.to(dtype), projection.to(dtype)
        d_arguments = output.new_empty(arguments.shape)
        d_gates = torch.empty_like(gates)
        d_projected = torch.empty_like(output)
        # The gradient with respect to the state after the step at hand. Sequences that end early wait below `size`.
        d_hidden, d_cell = d_final_hidden.clone(), d_final_cell.contiguous().clone()
        compute = cells_for(output)

        steps = _steps(ctx.batch_sizes)
        cells_before = [first_cell, *(cells[rows] for rows, *_ in steps)]
        for (rows, size, _), before in zip(reversed(steps), cells_before[-2::-1], strict=True):
            dh, dc = d_hidden[:size], d_cell[:size]
            dh += d_output[rows]
            hardtanh_backward(dh, output[rows], -projection_clip, projection_clip, grad_input=d_projected[rows])
            d_exposed = (d_projected[rows].to(dtype) @ product_projection).to(output.dtype)
            compute.backward(
                gates[rows],
                before[:size],
                cells[rows],
                squashed[rows],
                d_exposed,
                d_gates[rows],
                dc,
                None if keep is None else keep[rows],
                cell_clip,
            )
            d_arguments[rows] = d_gates[rows].to(dtype) @ product_weight
            dh.copy_(d_arguments[rows, input_dim:])
            if keep is not None:
                dh.mul_(keep[rows])

        product_gates = d_gates.to(dtype)
        d_weight = (product_gates.t() @ arguments).to(weight.dtype)
        d_projection = (d_projected.to(dtype).t() @ exposed.to(dtype)).to(projection.dtype)
        d_bias = d_gates.sum(dim=0)
        d_x = d_arguments[:, :input_dim]
        return d_x, d_hidden, d_cell, d_weight, d_bias, d_projection, None, None, None, None


def _product_dtype(x: Tensor) -> torch.dtype:
    """Autograd functions see no autocast; the products here follow it by hand."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _steps(batch_sizes: Sequence[int]) -> list[tuple[slice, int, int]]:
    """Of each step its rows, their number, and the number of the step after."""
    ends = accumulate(batch_sizes)
    sizes = zip(batch_sizes, [*batch_sizes[1:], 0], strict=True)
    return [(slice(end - size, end), size, going_on) for end, (size, going_on) in zip(ends, sizes, strict=True)]


def _product(bias: Tensor, x: Tensor, weight: Tensor, out: Tensor) -> None:
    """bias + x @ weight, in the precision of the factors, into `out`."""
    if x.dtype == out.dtype:
        torch.addmm(bias, x, weight, out=out)
    else:
        torch.add(x @ weight, bias, out=out)

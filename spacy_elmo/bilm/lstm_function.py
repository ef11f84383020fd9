"""The clipped LSTM with projection as one differentiable function of a whole window, for a layer or two at once.

The time loop holds only what has to wait for the step before: one product forward and one backward, the projection, and
elementwise work. The gradients of both weights are single products over all rows, after the loop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .autocast import product_dtype, without_autocast
from .lstm_cells import Step, cells_for, hardtanh_backward
from .parallel import both, in_turn

T = TypeVar("T")


@dataclass(frozen=True)
class Steps:
    """What the layers that run side by side have in common.

    Attributes:
        batch_sizes: Rows of each step, never more than of the step before.
        starts: (n_rows,) bool, rows before which the state is set to zero; None for none.
        cell_clip: The bound of a cell.
        projection_clip: The bound of a projected state.
    """

    batch_sizes: Sequence[int]
    starts: Tensor | None
    cell_clip: float
    projection_clip: float


class LSTMFunction(torch.autograd.Function):
    """Layers that do not depend on each other, one or two of them: `apply(steps, *tensors)`.

    Two run side by side in the processor, forward and backward, see `parallel.both`.

    Args:
        steps: See `Steps`.
        tensors: Six of each layer:
            x: (n_rows, input_dim) packed, `batch_sizes[t]` rows for step t.
            hidden: (batch_sizes[0], projection_dim), before the first step.
            cell: (batch_sizes[0], cell_dim), before the first step.
            weight: (4 * cell_dim, input_dim + projection_dim), gates in the order i, j, f, o.
            bias: (4 * cell_dim,), all of it: the forget gate's constant included.
            projection: (projection_dim, cell_dim).

    Returns:
        Three of each layer: the output (n_rows, projection_dim), and the state after each sequence's last step.

    Products run in the autocast precision where autocast is on, everything else in x's. The equations are those of
    Sak et al. 2014, section 2, without peepholes; clipped as in TensorFlow's LSTMCell, the cell before its output
    gate and the projected state last.
    """

    @staticmethod
    def forward(ctx: Any, steps: Steps, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The outputs of layers over packed steps, and their last states; keeps what the derivatives take."""
        x, dtype = tensors[0], product_dtype(tensors[0])
        keep = None if steps.starts is None else (~steps.starts).to(x.dtype)[:, None]
        with without_autocast(x):
            found = _each(lambda *layer: _forward(steps, keep, dtype, *layer), _split(tensors, 6))
        ctx.save_for_backward(keep, *(tensor for _, saved in found for tensor in saved))
        ctx.steps, ctx.dtype = steps, dtype
        return tuple(tensor for outputs, _ in found for tensor in outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of all inputs."""
        keep, *saved = ctx.saved_tensors
        parts = _split(ctx.needs_input_grad[1:], 6), _split(saved, 9), _split(d_outputs, 3)
        layers = [(needs, *one, *d_one) for needs, one, d_one in zip(*parts, strict=True)]
        with without_autocast(d_outputs[0]):
            found = _each(lambda *layer: _backward(ctx.steps, keep, ctx.dtype, *layer), layers)
        return None, *(gradient for gradients in found for gradient in gradients)


def _split(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _each(run: Callable[..., T], layers: Sequence[Sequence[Any]]) -> list[T]:
    """`run` of one layer, or of two at once where they are in the processor's memory."""
    if len(layers) == 1:
        return [run(*layers[0])]
    first, second = layers
    found: dict[int, T] = {}
    side_by_side = both if first[-1].is_cpu else in_turn
    side_by_side(lambda: found.update({0: run(*first)}), lambda: found.update({1: run(*second)}))
    return [found[0], found[1]]


def _forward(
    steps: Steps,
    keep: Tensor | None,
    dtype: torch.dtype,
    x: Tensor,
    hidden: Tensor,
    cell: Tensor,
    weight: Tensor,
    bias: Tensor,
    projection: Tensor,
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, ...]]:
    """The outputs of a layer, and what `_backward` takes."""
    n_rows, input_dim = x.shape
    cell_dim, projection_dim = cell.shape[1], hidden.shape[1]
    product_weight, product_projection = weight.to(dtype).t(), projection.to(dtype).t()
    arguments = x.new_empty(n_rows, input_dim + projection_dim, dtype=dtype)
    arguments[:, :input_dim] = x
    gates = x.new_empty(n_rows, 4 * cell_dim)
    cells = x.new_empty(n_rows, cell_dim)
    squashed = x.new_empty(n_rows, cell_dim)  # tanh of the cell state
    exposed = x.new_empty(n_rows, cell_dim, dtype=dtype)  # the part of it that the output gate lets through
    output = x.new_empty(n_rows, projection_dim)
    final_hidden, final_cell, first_cell = hidden.clone(), cell.clone(), cell
    compute = cells_for(dtype, x, cell, bias)

    for rows, size, going_on in _steps(steps.batch_sizes):
        h, c = hidden[:size], cell[:size]
        if keep is not None:
            h, c = h * keep[rows], c * keep[rows]
        arguments[rows, input_dim:] = h
        if dtype == x.dtype:
            products, rest = torch.addmm(bias, arguments[rows], product_weight, out=gates[rows]), None
        else:
            products, rest = arguments[rows] @ product_weight, bias
        step = Step(c, gates[rows], cells[rows], squashed[rows], steps.cell_clip)
        compute.forward(step, products, rest, exposed[rows])
        cell = step.cells
        projected = (exposed[rows] @ product_projection).to(x.dtype)
        hidden = torch.clamp(projected, -steps.projection_clip, steps.projection_clip, out=output[rows])
        final_hidden[going_on:size], final_cell[going_on:size] = hidden[going_on:], cell[going_on:]

    saved = arguments, first_cell, gates, cells, squashed, exposed, output, weight, projection
    return (output, final_hidden, final_cell), saved


def _backward(
    steps: Steps,
    keep: Tensor | None,
    dtype: torch.dtype,
    needs: Sequence[bool],
    arguments: Tensor,
    first_cell: Tensor,
    gates: Tensor,
    cells: Tensor,
    squashed: Tensor,
    exposed: Tensor,
    output: Tensor,
    weight: Tensor,
    projection: Tensor,
    d_output: Tensor,
    d_final_hidden: Tensor,
    d_final_cell: Tensor,
) -> tuple[Tensor | None, ...]:
    """The gradients of a layer's inputs, step by step from the last one to the first.

    Those of parameters that do not need one, such as frozen ones, are left out.
    """
    input_dim = arguments.shape[1] - projection.shape[0]
    product_weight, product_projection = weight.to(dtype), projection.to(dtype)
    d_arguments = output.new_empty(arguments.shape)
    d_gates = torch.empty_like(gates, dtype=dtype)
    d_projected = torch.empty_like(output)
    # The gradient with respect to the state after the step at hand. Sequences that end early wait below `size`.
    d_hidden, d_cell = d_final_hidden.clone(), d_final_cell.contiguous().clone()
    compute = cells_for(dtype, output, first_cell)

    all_steps = _steps(steps.batch_sizes)
    cells_before = [first_cell, *(cells[rows] for rows, *_ in all_steps)]
    for (rows, size, _), before in zip(reversed(all_steps), cells_before[-2::-1], strict=True):
        dh, dc = d_hidden[:size], d_cell[:size]
        dh += d_output[rows]
        hardtanh_backward(dh, output[rows], -steps.projection_clip, steps.projection_clip, grad_input=d_projected[rows])
        d_exposed = d_projected[rows].to(dtype) @ product_projection
        step = Step(before[:size], gates[rows], cells[rows], squashed[rows], steps.cell_clip)
        compute.backward(step, d_exposed, d_gates[rows], dc, None if keep is None else keep[rows])
        d_arguments[rows] = d_gates[rows] @ product_weight
        dh.copy_(d_arguments[rows, input_dim:])
        if keep is not None:
            dh.mul_(keep[rows])

    d_weight = (d_gates.t() @ arguments).to(weight.dtype) if needs[3] else None
    d_bias = d_gates.sum(dim=0, dtype=output.dtype) if needs[4] else None
    d_projection = (d_projected.to(dtype).t() @ exposed).to(projection.dtype) if needs[5] else None
    return d_arguments[:, :input_dim], d_hidden, d_cell, d_weight, d_bias, d_projection


def _steps(batch_sizes: Sequence[int]) -> list[tuple[slice, int, int]]:
    """Of each step its rows, their number, and the number of the step after."""
    ends = accumulate(batch_sizes)
    sizes = zip(batch_sizes, [*batch_sizes, 0][1:], strict=True)
    return [(slice(end - size, end), size, going_on) for end, (size, going_on) in zip(ends, sizes, strict=True)]

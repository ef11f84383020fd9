"""What training computes of an LSTM's step between its products: by the native kernel, or by torch.

Of a step with `n` rows, gates are (n, 4 * cell_dim), in the order i, j, f, o, everything else is (n, cell_dim).
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .native import NativeKernel
from .native.library import Cells
from .native.tensors import address, kernel_of

# Fused elementwise derivatives, which autograd uses, too. That of hardtanh is zero where its argument lies on a bound.
hardtanh_backward = torch.ops.aten.hardtanh_backward.grad_input
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


@dataclass(frozen=True)
class Step:
    """What forward and backward both take of a step. Forward fills all but `before`.

    Attributes:
        before: The cells of the step before. Where a sequence starts anew they are zero forward; backward they may be
            what they were.
        gates: What the gates' functions make of their arguments.
        cells: The new ones.
        squashed: Their tanh.
        clip: The bound of a cell.
    """

    before: Tensor
    gates: Tensor
    cells: Tensor
    squashed: Tensor
    clip: float


class CellUpdate(Protocol):
    """The equations of Sak et al. 2014, section 2, without peepholes, the cell clipped before its output gate."""

    def forward(self, step: Step, products: Tensor, bias: Tensor | None, exposed: Tensor) -> None:
        """From the gates' arguments to cells.

        Args:
            step: To be filled.
            products: The gates' arguments but for the bias, in the type of the products; may be the step's gates.
            bias: (4 * cell_dim,), None for none.
            exposed: To be filled with what the output gate lets through of the cells, in the type of the products.
        """

    def backward(self, step: Step, d_exposed: Tensor, d_gates: Tensor, d_cells: Tensor, keep: Tensor | None) -> None:
        """The gradient of the gates' arguments, and of the cells before.

        Args:
            step: As `forward` left it.
            d_exposed: The gradient of what `forward` gave, in the type of the products. May be overwritten.
            d_gates: To be filled, the same.
            d_cells: The gradient of the cells; overwritten with that of the cells before.
            keep: (n, 1), 0 where a sequence started anew, else 1. None for 1.
        """


class TorchCells:
    """By torch, in any type and on any device."""

    def forward(self, step: Step, products: Tensor, bias: Tensor | None, exposed: Tensor) -> None:
        """See `CellUpdate`."""
        gates, cells = step.gates, step.cells
        if bias is not None:
            torch.add(products, bias, out=gates)
        i, j, f, o = gates.chunk(4, dim=1)
        i.sigmoid_()
        j.tanh_()
        gates[:, 2 * cells.shape[1] :].sigmoid_()
        torch.mul(step.before, f, out=cells).addcmul_(i, j).clamp_(-step.clip, step.clip)
        torch.mul(o, torch.tanh(cells, out=step.squashed), out=exposed)

    def backward(self, step: Step, d_exposed: Tensor, d_gates: Tensor, d_cells: Tensor, keep: Tensor | None) -> None:
        """See `CellUpdate`."""
        d_exposed, result = d_exposed.to(step.gates.dtype), torch.empty_like(step.gates)
        i, j, f, o = step.gates.chunk(4, dim=1)
        d_i, d_j, d_f, d_o = result.chunk(4, dim=1)
        _sigmoid_backward(d_exposed * step.squashed, o, grad_input=d_o)
        d_cells += torch.ops.aten.tanh_backward(d_exposed.mul_(o), step.squashed)
        hardtanh_backward(d_cells, step.cells, -step.clip, step.clip, grad_input=d_cells)
        _sigmoid_backward(d_cells * j, i, grad_input=d_i)
        _tanh_backward(d_cells * i, j, grad_input=d_j)
        d_kept = d_cells * step.before
        d_cells.mul_(f)
        if keep is not None:
            d_kept.mul_(keep)
            d_cells.mul_(keep)
        _sigmoid_backward(d_kept, f, grad_input=d_f)
        d_gates.copy_(result)


class NativeCells:
    """By a native kernel: float32 in the processor's memory, products in bfloat16 as well."""

    def __init__(self, kernel: NativeKernel) -> None:
        self._kernel = kernel

    def forward(self, step: Step, products: Tensor, bias: Tensor | None, exposed: Tensor) -> None:
        """See `CellUpdate`."""
        self._run(step, {"products": products, "exposed": exposed}, {"bias": bias}, backward=False)

    def backward(self, step: Step, d_exposed: Tensor, d_gates: Tensor, d_cells: Tensor, keep: Tensor | None) -> None:
        """See `CellUpdate`."""
        products = {"products": d_exposed.contiguous(), "d_gates": d_gates}
        self._run(step, products, {"d_cells": d_cells, "keep": keep}, backward=True)

    def _run(
        self, step: Step, products: dict[str, Tensor], numbers: dict[str, Tensor | None], *, backward: bool
    ) -> None:
        """`products` are all of one type, `numbers` float32."""
        is_half = products["products"].dtype == torch.bfloat16
        dtype = torch.bfloat16 if is_half else torch.float32
        numbers |= {"before": step.before.contiguous(), "gates": step.gates}
        numbers |= {"cells": step.cells, "squashed": step.squashed}
        addresses = {name: address(tensor, dtype) for name, tensor in products.items()}
        addresses |= {name: address(tensor, torch.float32) for name, tensor in numbers.items() if tensor is not None}
        n_rows, cell_dim = step.cells.shape
        cells = Cells(**addresses, cell_dim=cell_dim, clip=step.clip, is_half=is_half)
        self._kernel.step(cells, n_rows, torch.get_num_threads(), backward=backward)


def cells_for(product_dtype: torch.dtype, *tensors: Tensor) -> CellUpdate:
    """What computes of such tensors, with products of such a type."""
    kernel = kernel_of(*tensors) if product_dtype in (torch.float32, torch.bfloat16) else None
    return TorchCells() if kernel is None else NativeCells(kernel)

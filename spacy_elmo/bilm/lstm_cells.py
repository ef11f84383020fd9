"""What training computes of an LSTM's step between its products: by the native kernel, or by torch.

Of a step with `n` rows, gates are (n, 4 * cell_dim), in the order i, j, f, o, everything else is (n, cell_dim).
"""

from typing import Protocol

import torch
from torch import Tensor

from .native import NativeKernel, kernel_for
from .native.library import Cells

# Fused elementwise derivatives, which autograd uses, too. That of hardtanh is zero where its argument lies on a bound.
hardtanh_backward = torch.ops.aten.hardtanh_backward.grad_input
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


class CellUpdate(Protocol):
    """The equations of Sak et al. 2014, section 2, without peepholes, the cell clipped before its output gate."""

    def forward(
        self,
        products: Tensor,
        bias: Tensor | None,
        gates: Tensor,
        before: Tensor,
        cells: Tensor,
        squashed: Tensor,
        exposed: Tensor,
        clip: float,
    ) -> None:
        """From the gates' arguments to cells.

        Args:
            products: The gates' arguments but for the bias, in the type of the products; may be `gates` itself.
            bias: None for none.
            gates: To be filled with what the gates' functions make of their arguments.
            before: The cells of the step before.
            cells: To be filled with the new ones.
            squashed: To be filled with their tanh.
            exposed: To be filled with what the output gate lets through of it, in the type of the products.
            clip: The bound of a cell.
        """

    def backward(
        self,
        gates: Tensor,
        before: Tensor,
        cells: Tensor,
        squashed: Tensor,
        d_exposed: Tensor,
        d_gates: Tensor,
        d_cells: Tensor,
        keep: Tensor | None,
        clip: float,
    ) -> None:
        """The gradient of the gates' arguments, and of the cells before.

        Args:
            gates: What `forward` left in them, as in the next four.
            before: The cells of the step before, also where `keep` has set them to zero.
            cells: The new ones.
            squashed: Their tanh.
            d_exposed: The gradient of what `forward` gave, in the type of the products. May be overwritten.
            d_gates: To be filled, the same.
            d_cells: The gradient of the cells; overwritten with that of the cells before.
            keep: (n, 1), 0 where a sequence started anew, else 1.
            clip: The bound of a cell.
        """


class TorchCells:
    """By torch, in any type and on any device."""

    def forward(
        self,
        products: Tensor,
        bias: Tensor | None,
        gates: Tensor,
        before: Tensor,
        cells: Tensor,
        squashed: Tensor,
        exposed: Tensor,
        clip: float,
    ) -> None:
        """See `CellUpdate`."""
        if bias is not None:
            torch.add(products, bias, out=gates)
        i, j, f, o = gates.chunk(4, dim=1)
        i.sigmoid_()
        j.tanh_()
        gates[:, 2 * cells.shape[1] :].sigmoid_()
        torch.mul(before, f, out=cells).addcmul_(i, j).clamp_(-clip, clip)
        torch.mul(o, torch.tanh(cells, out=squashed), out=exposed)

    def backward(
        self,
        gates: Tensor,
        before: Tensor,
        cells: Tensor,
        squashed: Tensor,
        d_exposed: Tensor,
        d_gates: Tensor,
        d_cells: Tensor,
        keep: Tensor | None,
        clip: float,
    ) -> None:
        """See `CellUpdate`."""
        d_exposed, result = d_exposed.to(gates.dtype), torch.empty_like(gates)
        i, j, f, o = gates.chunk(4, dim=1)
        d_i, d_j, d_f, d_o = result.chunk(4, dim=1)
        _sigmoid_backward(d_exposed * squashed, o, grad_input=d_o)
        d_cells += torch.ops.aten.tanh_backward(d_exposed.mul_(o), squashed)
        hardtanh_backward(d_cells, cells, -clip, clip, grad_input=d_cells)
        _sigmoid_backward(d_cells * j, i, grad_input=d_i)
        _tanh_backward(d_cells * i, j, grad_input=d_j)
        d_kept = d_cells * before
        d_cells.mul_(f)
        if keep is not None:
            d_kept.mul_(keep)
            d_cells.mul_(keep)
        _sigmoid_backward(d_kept, f, grad_input=d_f)
        d_gates.copy_(result)


class NativeCells:
    """By a native kernel: float32 in the processor's memory."""

    def __init__(self, kernel: NativeKernel) -> None:
        self._kernel = kernel

    def forward(
        self,
        products: Tensor,
        bias: Tensor | None,
        gates: Tensor,
        before: Tensor,
        cells: Tensor,
        squashed: Tensor,
        exposed: Tensor,
        clip: float,
    ) -> None:
        """See `CellUpdate`."""
        tensors = products, bias, gates, before.contiguous(), cells, squashed, exposed
        step = Cells(*_addresses(*tensors), cell_dim=cells.shape[1], clip=clip, is_half=_is_half(products))
        self._kernel.step(step, len(cells), torch.get_num_threads(), backward=False)

    def backward(
        self,
        gates: Tensor,
        before: Tensor,
        cells: Tensor,
        squashed: Tensor,
        d_exposed: Tensor,
        d_gates: Tensor,
        d_cells: Tensor,
        keep: Tensor | None,
        clip: float,
    ) -> None:
        """See `CellUpdate`."""
        tensors = (
            d_exposed.contiguous(),
            None,
            gates,
            before.contiguous(),
            cells,
            squashed,
            None,
            d_gates,
            d_cells,
            keep,
        )
        step = Cells(*_addresses(*tensors), cell_dim=cells.shape[1], clip=clip, is_half=_is_half(d_exposed))
        self._kernel.step(step, len(cells), torch.get_num_threads(), backward=True)


def _addresses(*tensors: Tensor | None) -> list[int | None]:
    assert all(tensor is None or tensor.is_contiguous() for tensor in tensors)
    return [None if tensor is None else tensor.data_ptr() for tensor in tensors]


def _is_half(products: Tensor) -> bool:
    return products.dtype == torch.bfloat16


def cells_for(x: Tensor, product_dtype: torch.dtype) -> CellUpdate:
    """What computes in the type and on the device of x, with products of such a type."""
    fits = x.dtype == torch.float32 and x.device.type == "cpu" and product_dtype in (torch.float32, torch.bfloat16)
    kernel = kernel_for("float32") if fits else None
    return TorchCells() if kernel is None else NativeCells(kernel)

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
        self, gates: Tensor, before: Tensor, cells: Tensor, squashed: Tensor, exposed: Tensor, clip: float
    ) -> None:
        """From the gates' arguments to cells.

        Args:
            gates: Their arguments, and then what their functions make of them.
            before: The cells of the step before.
            cells: To be filled with the new ones.
            squashed: To be filled with their tanh.
            exposed: To be filled with what the output gate lets through of it.
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
            d_exposed: The gradient of what `forward` gave. May be overwritten.
            d_gates: To be filled.
            d_cells: The gradient of the cells; overwritten with that of the cells before.
            keep: (n, 1), 0 where a sequence started anew, else 1.
            clip: The bound of a cell.
        """


class TorchCells:
    """By torch, in any type and on any device."""

    def forward(
        self, gates: Tensor, before: Tensor, cells: Tensor, squashed: Tensor, exposed: Tensor, clip: float
    ) -> None:
        """See `CellUpdate`."""
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
        i, j, f, o = gates.chunk(4, dim=1)
        d_i, d_j, d_f, d_o = d_gates.chunk(4, dim=1)
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


class NativeCells:
    """By a native kernel: float32 in the processor's memory."""

    def __init__(self, kernel: NativeKernel) -> None:
        self._kernel = kernel

    def forward(
        self, gates: Tensor, before: Tensor, cells: Tensor, squashed: Tensor, exposed: Tensor, clip: float
    ) -> None:
        """See `CellUpdate`."""
        before = before.contiguous()
        step = Cells(*_addresses(gates, before, cells, squashed, exposed), cell_dim=cells.shape[1], clip=clip)
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
        before, d_exposed = before.contiguous(), d_exposed.contiguous()
        step = Cells(
            *_addresses(gates, before, cells, squashed, d_exposed, d_gates, d_cells),
            keep=None if keep is None else keep.data_ptr(),
            cell_dim=cells.shape[1],
            clip=clip,
        )
        self._kernel.step(step, len(cells), torch.get_num_threads(), backward=True)


def _addresses(*tensors: Tensor) -> list[int]:
    assert all(tensor.is_contiguous() for tensor in tensors)
    return [tensor.data_ptr() for tensor in tensors]


def cells_for(x: Tensor) -> CellUpdate:
    """What computes in the type and on the device of x."""
    kernel = kernel_for("float32") if x.dtype == torch.float32 and x.device.type == "cpu" else None
    return TorchCells() if kernel is None else NativeCells(kernel)

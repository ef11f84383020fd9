"""What the kernels take of torch's tensors. They read and write memory whatever it holds, so it is looked at here."""

import torch
from torch import Tensor

from .library import NativeKernel, kernel_for


def kernel_of(*tensors: Tensor) -> NativeKernel | None:
    """The kernel that computes of these: float32 in the processor's memory. None for others, or where there is none."""
    fits = all(tensor.dtype == torch.float32 and tensor.is_cpu for tensor in tensors)
    return kernel_for("float32") if fits else None


def address(tensor: Tensor, dtype: torch.dtype) -> int:
    """Where its numbers lie, one after another; good as long as the tensor is.

    Raises:
        TypeError: They are of another type, not in the processor's memory, or not in one piece.
    """
    if tensor.dtype != dtype or not tensor.is_cpu or not tensor.is_contiguous():
        raise TypeError(
            f"A kernel takes contiguous {dtype} numbers in the processor's memory, not {tensor.dtype} on "
            f"{tensor.device} with strides {tensor.stride()} and shape {tuple(tensor.shape)}."
        )
    return tensor.data_ptr()

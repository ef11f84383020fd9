"""A linear layer by the native kernel."""

import torch
from torch import Tensor, nn

from .. import parallel
from ..native import NativeKernel
from ..native.library import Linear
from ..native.tensors import address


class NativeLinear:
    """A float32 layer that does not change. What a row becomes depends on no other row."""

    def __init__(self, layer: nn.Linear, kernel: NativeKernel) -> None:
        self._kernel = kernel
        self._weight = kernel.pack(layer.weight.detach().contiguous().numpy(), gates=False)
        self._bias = layer.bias.detach().contiguous()
        self._shape = layer.out_features, layer.in_features

    def __call__(self, x: Tensor) -> Tensor:
        """(n_rows, in_features) to (n_rows, out_features), on as many threads as torch has in this one."""
        x, y = x.contiguous(), x.new_empty(len(x), self._shape[0])
        x_at, bias_at, y_at = (address(tensor, torch.float32) for tensor in (x, self._bias, y))
        n_outputs, n_inputs = self._shape
        linear = Linear(x_at, self._weight.ctypes.data, bias_at, y_at, n_inputs, n_outputs)
        self._kernel.multiply_add(linear, len(x), parallel.n_threads())
        return y

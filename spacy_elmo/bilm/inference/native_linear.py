"""A linear layer by the native kernel."""

from torch import Tensor, nn

from .. import parallel
from ..native import NativeKernel
from ..native.library import Linear


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
        addresses = x.data_ptr(), self._weight.ctypes.data, self._bias.data_ptr(), y.data_ptr()
        n_outputs, n_inputs = self._shape
        self._kernel.multiply_add(Linear(*addresses, n_inputs, n_outputs), len(x), parallel.n_threads())
        return y

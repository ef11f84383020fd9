"""The LSTM layers by the native kernel: both directions, and where there are more threads groups of their sequences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .. import parallel
from ..config import BiLMConfig
from ..lstm import LSTMLayer
from ..native import NativeKernel
from ..native.library import Batch, Direction, Layer
from ..native.tensors import address
from ..packing import Packing
from ..stack import Stacks
from ..state import BiLMState
from .layer_loop import Tokens

# More rows would push a step's weights out of the second-level cache, and fewer read the inputs' weights too often.
CHUNK_ROWS = 256
# Sequences that are worth a thread: a step of fewer takes little less time, since the weights are read all the same.
GROUP_SEQUENCES = 8


class _Stack:
    """The layers of one direction, laid out for a kernel."""

    def __init__(self, stack: list[LSTMLayer], kernel: NativeKernel) -> None:
        self._arrays: list[npt.NDArray[Any]] = []
        self.layers = (Layer * len(stack))()
        for layer, lstm in zip(self.layers, stack, strict=True):
            input_weight, state_weight = (part.detach().float().numpy() for part in lstm.split_weight())
            layer.input = self._keep(kernel.pack(input_weight, gates=True))
            layer.state = self._keep(kernel.pack(state_weight, gates=True))
            layer.projection = self._keep(
                kernel.pack(lstm.projection.detach().float().contiguous().numpy(), gates=False)
            )
            layer.bias = self._keep(lstm.gate_bias().detach().float().contiguous().numpy())

    def _keep(self, array: npt.NDArray[Any]) -> int:
        """Its address, which is good as long as this object is."""
        self._arrays.append(array)
        return array.ctypes.data


class NativeLoop:
    """By a native kernel, on its own threads: as many as torch has in the calling one.

    What a sentence's vectors are depends on no other sentence, and not on the number of threads: not in a bit.
    """

    def __init__(self, config: BiLMConfig, stacks: Stacks, kernel: NativeKernel) -> None:
        self._config = config
        self._kernel = kernel
        self._stacks = [_Stack(list(stack), kernel) for stack in stacks]
        self._clips = stacks[0][0].cell_clip, stacks[0][0].projection_clip

    def run(
        self,
        words: Tensor,
        tokens: Tokens,
        packing: Packing,
        state: BiLMState,
        layers: Tensor,
        n_rows: int,
        chunk_rows: int,
        summed: Sequence[int] | None = None,
    ) -> None:
        """See `layer_loop.LayerLoop`."""
        n_threads, n_sequences = parallel.n_threads(), len(packing.order)
        n_groups = max(1, min((n_threads + 1) // 2, n_sequences // GROUP_SEQUENCES))
        words, sizes = words.contiguous(), np.ascontiguousarray(packing.batch_sizes)
        layer_numbers = np.arange(self._config.n_layers + 1)
        flags = None if summed is None else np.isin(layer_numbers, summed).astype(np.uint8)
        batch = Batch(
            self._config.n_layers,
            self._config.projection_dim,
            self._config.cell_dim,
            self._config.skip_connections,
            *self._clips,
            address(words, torch.float32),
            len(words),
            sizes.ctypes.data,
            len(sizes),
            layers.stride(0),
            layers.stride(1),
            min(chunk_rows, CHUNK_ROWS),
            n_groups,
            None if flags is None else flags.ctypes.data,
        )
        orders = [np.ascontiguousarray(order) for order in packing.directions]
        types = [tokens[order] for order in orders]
        directions = [
            Direction(
                stack.layers,
                types[i].ctypes.data,
                orders[i].ctypes.data,
                address(state.hidden[i], torch.float32),
                address(state.cell[i], torch.float32),
                layers[:, :, i * self._config.projection_dim :].data_ptr(),
            )
            for i, stack in enumerate(self._stacks)
        ]
        self._kernel.run(batch, directions, n_threads)

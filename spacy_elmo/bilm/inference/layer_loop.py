"""What runs the LSTM layers of both directions: by torch here, by the native kernel in `native_loop`."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..config import BiLMConfig
from ..packing import Packing
from ..parallel import both, in_turn
from ..stack import Stacks
from ..state import BiLMState
from .lstm import InferenceLSTM

Tokens = npt.NDArray[np.int64]


class LayerLoop(Protocol):
    """Runs all layers of both directions."""

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
        """Fill `layers`, and advance the state in place.

        Args:
            words: The vectors of word types, (n_types, projection_dim).
            tokens: The type of each token.
            packing: Of the tokens.
            state: Before the first tokens, sequences in packed order.
            layers: (n_layers + 1, n_tokens, 2 * projection_dim); or (1, n_tokens, 2 * projection_dim), for a sum.
            n_rows: For how many sequences the weights should be laid out.
            chunk_rows: Rows that may go through the layers together, which bounds the memory that this takes.
            summed: The layers that are added up, in ascending order; None for all, each in its place.
        """


class TorchLoop:
    """By torch: anywhere, and on any device."""

    def __init__(self, config: BiLMConfig, stacks: Stacks, precision: str) -> None:
        self._config = config
        self._lstms = tuple([InferenceLSTM(lstm, precision) for lstm in stack] for stack in stacks)

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
        """See `LayerLoop`."""

        def run_direction(direction: int) -> None:
            half = layers[:, :, direction * self._config.projection_dim : (direction + 1) * self._config.projection_dim]
            write = _Writer(half, summed)
            write(0, slice(None), words[torch.from_numpy(tokens).to(words.device)])
            states = list(zip(state.hidden[direction], state.cell[direction], strict=True))
            order = packing.directions[direction]
            for steps, rows in packing.chunks(chunk_rows):
                sizes = packing.batch_sizes[steps].tolist()
                self._run_chunk(direction, words, tokens, order[rows], sizes, states, write, n_rows)

        side_by_side = both if words.device.type == "cpu" else in_turn
        side_by_side(lambda: run_direction(0), lambda: run_direction(1))

    def _run_chunk(
        self,
        direction: int,
        words: Tensor,
        tokens: Tokens,
        rows: Tokens,
        sizes: Sequence[int],
        states: list[tuple[Tensor, Tensor]],
        write: "_Writer",
        n_rows: int,
    ) -> None:
        """Some steps of one direction through all layers: write those above the words, advance the states in place.

        Args:
            direction: 0 forward, 1 backward.
            words: (n_types, projection_dim).
            tokens: The type of each token.
            rows: The chunk's tokens in packed order.
            sizes: Sequences of each step.
            states: Hidden and cell of each layer.
            write: Takes the layers.
            n_rows: Sequences that weights should be laid out for.
        """
        places = torch.from_numpy(rows).to(words.device)
        # Words that come twice share the inputs' part of their gates in the first layer.
        types, index = (torch.from_numpy(a).to(words.device) for a in np.unique(tokens[rows], return_inverse=True))
        first, *others = zip(self._lstms[direction], states, strict=True)
        lstm, state = first
        x = lstm.run(lstm.input_gates(words[types]), sizes, state, n_rows, index)
        write(1, places, x)
        for layer, (lstm, state) in enumerate(others, start=2):
            y = lstm.run(lstm.input_gates(x), sizes, state, n_rows)
            x = y.add_(x) if self._config.skip_connections else y
            write(layer, places, x)


class _Writer:
    """Puts the rows of layers where `LayerLoop.run` wants them.

    Args:
        output: (n_layers + 1, n_tokens, projection_dim), or 1 of a sum.
        summed: See there.
    """

    def __init__(self, output: Tensor, summed: Sequence[int] | None) -> None:
        self._output, self._summed = output, summed

    def __call__(self, layer: int, places: Tensor | slice, rows: Tensor) -> None:
        if self._summed is None:
            self._output[layer, places] = rows
        elif layer == self._summed[0]:
            self._output[0, places] = rows
        elif layer in self._summed:
            self._output[0, places] += rows

"""The LSTM layers of both directions over a training window: what a training step spends its time in."""

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from ..bilm import BiLM
from ..bilm.lstm import ProjectedLSTM
from ..bilm.stack import run_stack

T = TypeVar("T")


class Recurrence(nn.Module):
    """Runs the LSTM layers of a biLM, whose parameters these are.

    Tensors in, tensors out, all of them of shapes that stay the same from window to window: so that it can be captured.
    """

    def __init__(self, bilm: BiLM) -> None:
        super().__init__()
        self.config = bilm.config
        self.forward_layers, self.backward_layers = bilm.forward_layers, bilm.backward_layers
        self._side: torch.cuda.Stream | None = None

    def forward(
        self, x_forward: Tensor, x_backward: Tensor, starts: Tensor, hidden: Tensor, cell: Tensor, *keep: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Run a window.

        Args:
            x_forward: Word vectors in the order that the forward direction reads them, (n_rows, projection_dim).
            x_backward: In that of the other one, same shape.
            starts: (n_rows,) bool, rows before which the state is set to zero.
            hidden: The state before the window, as `BiLMState` has it.
            cell: The same.
            keep: What dropout multiplies with, (n_rows, `masked_size`); nothing for no dropout.

        Returns:
            The top layers of both directions, each (n_rows, projection_dim), and the state after the window, hidden and
            cell, without gradients.
        """
        masks = [None, None] if not keep else keep[0].chunk(2, dim=1)

        def run(direction: int) -> tuple[Tensor, Tensor, Tensor]:
            return self._direction(
                direction, (x_forward, x_backward)[direction], starts, hidden, cell, masks[direction]
            )

        (top_forward, *forward_state), (top_backward, *backward_state) = self._both(run)
        new_hidden, new_cell = (torch.stack(both).detach() for both in zip(forward_state, backward_state, strict=True))
        return top_forward, top_backward, new_hidden, new_cell

    @property
    def masked_size(self) -> int:
        """Values of a row that dropout may take: each LSTM layer's input and the output, in both directions."""
        return 2 * (self.config.n_layers + 1) * self.config.projection_dim

    def _both(self, run: Callable[[int], T]) -> tuple[T, T]:
        """Both directions, which have nothing to do with each other: where they are captured, side by side."""
        if self._side is None:
            return run(0), run(1)
        main = torch.cuda.current_stream()
        self._side.wait_stream(main)
        with torch.cuda.stream(self._side):
            backward = run(1)
        forward = run(0)
        main.wait_stream(self._side)
        return forward, backward

    def _direction(
        self, direction: int, x: Tensor, starts: Tensor, hidden: Tensor, cell: Tensor, keep: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The top layer, and the hidden and cell states of all layers."""
        n_lanes = hidden.shape[2]
        outputs, new_hidden, new_cell = run_stack(
            cast(Sequence[ProjectedLSTM], (self.forward_layers, self.backward_layers)[direction]),
            x,
            [n_lanes] * (len(x) // n_lanes),
            (hidden[direction], cell[direction]),
            skip_connections=self.config.skip_connections,
            starts=starts,
            keep=keep,
        )
        return outputs[-1], new_hidden, new_cell

    def capture(self, n_lanes: int, unroll: int, dropout: bool) -> None:
        """Record a window's kernels, of forward and backward pass, as CUDA graphs.

        Each step of the time loop is some dozens of small kernels: to launch them one by one takes a GPU's processor
        several times as long as they run.

        Args:
            n_lanes: Of all windows from now on.
            unroll: The same.
            dropout: Whether they come with `keep`.
        """
        config, device, rows = self.config, next(self.parameters()).device, n_lanes * unroll
        words = [torch.zeros(rows, config.projection_dim, device=device, requires_grad=True) for _ in range(2)]
        starts = torch.zeros(rows, dtype=torch.bool, device=device)
        state = [
            torch.zeros(2, config.n_layers, n_lanes, dim, device=device)
            for dim in (config.projection_dim, config.cell_dim)
        ]
        keep = [torch.ones(rows, self.masked_size, device=device)] * dropout
        self._side = torch.cuda.Stream(device)
        # The capture takes place on a stream of its own, which newer versions of PyTorch warn of in each process.
        if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
            torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
        torch.cuda.make_graphed_callables(self, (*words, starts, *state, *keep))

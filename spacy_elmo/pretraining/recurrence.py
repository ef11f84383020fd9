"""The LSTM layers of both directions over a training window: what a training step spends its time in."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..bilm import BiLM, BiLMState
from ..bilm.lstm import ProjectedLSTM
from ..bilm.stack import run_stacks


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
        masks = keep[0].chunk(2, dim=1) if keep else None

        def run(directions: slice) -> tuple[list[Tensor], BiLMState]:
            return self._directions(directions, (x_forward, x_backward), starts, BiLMState(hidden, cell), masks)

        if self._side is None:
            (top_forward, top_backward), state = run(slice(0, 2))
            return top_forward, top_backward, state.hidden.detach(), state.cell.detach()
        main = torch.cuda.current_stream()
        self._side.wait_stream(main)
        with torch.cuda.stream(self._side):
            (top_backward,), backward = run(slice(1, 2))
        (top_forward,), forward = run(slice(0, 1))
        main.wait_stream(self._side)
        new_hidden = torch.cat([forward.hidden, backward.hidden]).detach()
        return top_forward, top_backward, new_hidden, torch.cat([forward.cell, backward.cell]).detach()

    @property
    def masked_size(self) -> int:
        """Values of a row that dropout may take: each LSTM layer's input and the output, in both directions."""
        return 2 * (self.config.n_layers + 1) * self.config.projection_dim

    def _directions(
        self,
        directions: slice,
        words: Sequence[Tensor],
        starts: Tensor,
        state: BiLMState,
        masks: Sequence[Tensor] | None,
    ) -> tuple[list[Tensor], BiLMState]:
        """The top layer of some directions, and their states."""
        stacks = cast(Sequence[Sequence[ProjectedLSTM]], (self.forward_layers, self.backward_layers))
        outputs, new_state = run_stacks(
            stacks[directions],
            words[directions],
            [state.n_sequences] * (len(starts) // state.n_sequences),
            BiLMState(state.hidden[directions], state.cell[directions]),
            skip_connections=self.config.skip_connections,
            starts=starts,
            keep=None if masks is None else masks[directions],
        )
        return outputs[-1], new_state

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

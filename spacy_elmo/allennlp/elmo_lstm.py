"""AllenNLP's LSTM layers, by their parameters' names and shapes, and what they remember from call to call."""

import torch
from torch import Tensor, nn

from ..bilm import BiLMConfig, BiLMState
from ..errors import ArgumentError


class LstmCellWithProjection(nn.Module):
    """The parameters of one layer in one direction. `ElmoBiLm` runs it."""

    def __init__(self, config: BiLMConfig) -> None:
        super().__init__()
        self.input_linearity = nn.Linear(config.projection_dim, 4 * config.cell_dim, bias=False)
        self.state_linearity = nn.Linear(config.projection_dim, 4 * config.cell_dim)
        self.state_projection = nn.Linear(config.cell_dim, config.projection_dim, bias=False)


class ElmoLstm(nn.Module):
    """The parameters of all layers, and the states that the rows of a batch were left in.

    There are as many rows as the largest batch so far had. A smaller batch goes on from the first of them and leaves
    the others as they are; a larger one gives its new rows zeros.

    Attributes:
        stateful: Whether anything is remembered. May be changed at any time.
    """

    def __init__(self, config: BiLMConfig, stateful: bool) -> None:
        super().__init__()
        # In AllenNLP's order, by which optimizers number parameters.
        for number in range(config.n_layers):
            for direction in ("forward", "backward"):
                self.add_module(f"{direction}_layer_{number}", LstmCellWithProjection(config))
        self.states = RowStates(config)
        self.stateful = stateful

    def reset_states(self, mask: Tensor | None = None) -> None:
        """Forget all states, or those of the rows where `mask` is true: see `RowStates.forget`."""
        self.states.forget(mask)


class RowStates:
    """The LSTM states of the rows of a batch, see `ElmoLstm`."""

    def __init__(self, config: BiLMConfig) -> None:
        self.config = config
        self._state: BiLMState | None = None

    def take(self, n_rows: int, device: torch.device) -> BiLMState:
        """The state that a batch of `n_rows` sentences begins from; zeros for rows of which nothing is remembered."""
        if self._state is None:
            return BiLMState.zeros(self.config, n_rows, device)
        remembered = _on(self._state, device)
        missing = max(0, n_rows - remembered.n_sequences)
        return _first(_join(remembered, BiLMState.zeros(self.config, missing, device)), n_rows)

    def put(self, state: BiLMState) -> None:
        """Remember the state that a batch ended in, cut from the graph."""
        state = BiLMState(state.hidden.detach(), state.cell.detach())
        if self._state is not None and self._state.n_sequences > state.n_sequences:
            rest = _rest(_on(self._state, state.hidden.device), state.n_sequences)
            state = _join(state, rest)
        self._state = state

    def forget(self, mask: Tensor | None = None) -> None:
        """Forget all states, or those of the rows where `mask` (n_rows,) is true.

        Raises:
            ArgumentError: If the mask is not of as many rows as are remembered.
        """
        if mask is None or self._state is None:
            self._state = None
            return
        if mask.shape != (self._state.n_sequences,):
            raise ArgumentError(
                f"The mask has the shape {tuple(mask.shape)}, but states of {self._state.n_sequences} rows are "
                f"remembered, those of the largest batch so far: give one value for each of them."
            )
        keep = ~mask.bool().to(self._state.hidden.device)[:, None]
        self._state = BiLMState(self._state.hidden * keep, self._state.cell * keep)


def _on(state: BiLMState, device: torch.device) -> BiLMState:
    return BiLMState(state.hidden.to(device), state.cell.to(device))


def _first(state: BiLMState, n_rows: int) -> BiLMState:
    return BiLMState(state.hidden[:, :, :n_rows], state.cell[:, :, :n_rows])


def _rest(state: BiLMState, n_rows: int) -> BiLMState:
    return BiLMState(state.hidden[:, :, n_rows:], state.cell[:, :, n_rows:])


def _join(first: BiLMState, second: BiLMState) -> BiLMState:
    """The precision is the more precise of the two."""
    return BiLMState(torch.cat([first.hidden, second.hidden], dim=2), torch.cat([first.cell, second.cell], dim=2))

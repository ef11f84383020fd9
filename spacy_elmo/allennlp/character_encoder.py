"""AllenNLP's character convolutions, by their parameters' names and shapes."""

import torch
from torch import nn

from ..bilm import BiLMConfig
from ..bilm.characters import N_CHARACTERS


class Highway(nn.Module):
    """The parameters of highway layers, each with both of its weights in one. `ElmoBiLm` runs them."""

    def __init__(self, dim: int, n_layers: int) -> None:
        super().__init__()
        self._layers = nn.ModuleList(nn.Linear(dim, 2 * dim) for _ in range(n_layers))


class ElmoCharacterEncoder(nn.Module):
    """The parameters of the word encoder. `ElmoBiLm` runs it."""

    def __init__(self, config: BiLMConfig) -> None:
        super().__init__()
        self._output_dim = config.projection_dim
        self._char_embedding_weights = nn.Parameter(torch.empty(N_CHARACTERS, config.char_dim))
        for number, (width, count) in enumerate(config.filters):
            self.add_module(f"char_conv_{number}", nn.Conv1d(config.char_dim, count, width))
        self._highways = Highway(config.n_filters, config.n_highway)
        self._projection = nn.Linear(config.n_filters, config.projection_dim)

    def get_output_dim(self) -> int:
        """Width of a word's vector: half of that of a layer."""
        return self._output_dim

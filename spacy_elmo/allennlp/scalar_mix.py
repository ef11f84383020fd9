"""The weighted sum of a biLM's layers (Peters et al. 2018, eq. 1), with AllenNLP's parameters."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import ArgumentError

# Keeps the division by a standard deviation of zero finite, in half precision too.
_TINY = {torch.float16: 1e-4}
_TINY_ELSE = 1e-13


class ScalarMix(nn.Module):
    """`gamma * sum(softmax(scalar_parameters)_k * layer_k)`.

    Args:
        n_layers: How many layers are mixed.
        do_layer_norm: Normalise each layer first, over all numbers of the batch that the mask lets through.
        initial: The weights before the softmax; None for zeros.
        trainable: Whether gamma and weights are trained.

    Raises:
        ArgumentError: If `initial` is not of `n_layers` numbers.
    """

    def __init__(
        self, n_layers: int, do_layer_norm: bool, initial: Sequence[float] | None = None, trainable: bool = True
    ) -> None:
        super().__init__()
        weights = [0.0] * n_layers if initial is None else list(initial)
        if len(weights) != n_layers:
            raise ArgumentError(
                f"scalar_mix_parameters has {len(weights)} numbers, but the biLM gives {n_layers} layers: give one "
                f"for each."
            )
        self.do_layer_norm = do_layer_norm
        self.gamma = nn.Parameter(torch.ones(1), requires_grad=trainable)
        self.scalar_parameters = nn.ParameterList(
            nn.Parameter(torch.tensor([float(weight)]), requires_grad=trainable) for weight in weights
        )

    def forward(self, layers: Sequence[Tensor], mask: Tensor) -> Tensor:
        """The mixture of layers, each (batch, n_words, width). mask: bool (batch, n_words), true where words stand."""
        if self.do_layer_norm:
            layers = [_normalize(layer, mask) for layer in layers]
        weights = torch.softmax(torch.cat(list(self.scalar_parameters)), dim=0)
        mixed = weights[0] * layers[0]
        for weight, layer in zip(weights[1:], layers[1:], strict=True):
            mixed = mixed + weight * layer
        return self.gamma * mixed


def _normalize(layer: Tensor, mask: Tensor) -> Tensor:
    """Mean and variance come from the words alone. The padding is moved and scaled with the rest, as in AllenNLP."""
    numbers = layer[mask]
    mean = numbers.mean()
    variance = (numbers - mean).square().mean()
    return (layer - mean) / torch.sqrt(variance + _TINY.get(layer.dtype, _TINY_ELSE))

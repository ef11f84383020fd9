"""What an update of the component does with the gradients that its listeners send back."""

from collections.abc import Callable
from typing import Any

from ..layers.types import Layers, LayersBackprop, Vectors


class LayersGradient:
    """Gathers the gradients of one batch's layers from any number of listeners, then sends them on at once."""

    def __init__(self, backprop: LayersBackprop, losses: dict[str, float], name: str) -> None:
        self._backprop = backprop
        self._losses = losses
        self._name = name
        self._sum: Layers | None = None

    def add(self, d_layers: Layers) -> list[Any]:
        """Add a listener's gradient of the layers; its loss is the squared length."""
        self._losses[self._name] += sum(float((array**2).sum()) for array in d_layers)
        if self._sum is None:
            self._sum = [array.copy() for array in d_layers]
        else:
            for total, array in zip(self._sum, d_layers, strict=True):
                total += array
        return []

    @property
    def has_come(self) -> bool:
        """Whether any listener has sent one."""
        return self._sum is not None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled between a batch and its update, the gradient is gone: its graph exists in this process alone."""
        return LayersGradient, (discard, {self._name: 0.0}, self._name)

    def apply(self) -> None:
        """Send the sum back through the biLM."""
        if self._sum is not None:
            self._backprop(self._sum)


class MixBackprop:
    """The callback for spaCy's listeners: the gradient of the vectors, through the component's mix, to the layers'."""

    def __init__(self, backprop_mix: Callable[[Vectors], Layers], add_gradient: LayersBackprop) -> None:
        self._backprop_mix = backprop_mix
        self._add_gradient = add_gradient

    def __call__(self, d_vectors: Vectors) -> list[Any]:
        """Add the gradient of the vectors to that of the layers."""
        return self._add_gradient(self._backprop_mix(d_vectors))

    def __reduce__(self) -> tuple[Any, ...]:
        """See `LayersGradient`."""
        return MixBackprop, (discard, discard)


def discard(gradient: Any) -> list[Any]:
    """The gradient of what is not trained."""
    return []

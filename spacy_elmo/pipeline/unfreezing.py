"""Fine-tuning step by step: a biLM whose layers join the training one after another, at rates of their own."""

import re
from dataclasses import dataclass
from typing import Any

from spacy import Language

from ..errors import ElmoError
from ..layers.encoder import bilm_shim
from .component import Elmo

_LSTM_LAYER = re.compile(r"(?:forward|backward)_layers\.(\d+)\.")


class UnfreezingError(ElmoError, ValueError):
    """What is to be unfrozen is not there, or is frozen for good; or it would go backwards."""


@dataclass(frozen=True)
class GradualUnfreezing:
    """The callback "spacy-elmo.gradual_unfreezing.v1", for `before_update` in [training].

    The top LSTM layer is trained from the first step, the one below it after `every` steps, and so on. The word encoder
    comes last (Howard & Ruder 2018, section 3.3). A layer does not change before its turn. The components that listen
    are trained at the optimizer's own rate from the beginning.

    Args:
        component: The name of the ELMo component, which must have `frozen = false`.
        every: The number of steps from one layer to the next; with 0 all are trained from the first step.
        rate: The learning rate of the top layer, as a share of the optimizer's.
        decay: What the rate is multiplied by from each layer to the one below it. Section 3.2 there has 1 / 2.6.
    """

    component: str = "elmo"
    every: int = 100
    rate: float = 0.1
    decay: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ("every", "rate", "decay"):
            if (value := getattr(self, name)) < 0:
                raise UnfreezingError(f"spacy-elmo.gradual_unfreezing.v1: {name} is {value}; it is 0 or more.")

    def __call__(self, nlp: Language, info: dict[str, Any]) -> None:
        """Tell the component how far it is.

        Args:
            nlp: The pipeline in training.
            info: spaCy's, of which "step" counts.

        Raises:
            UnfreezingError: There is no ELMo component of this name that is trained.
        """
        elmo = nlp.get_pipe(self.component) if nlp.has_pipe(self.component) else None
        if not isinstance(elmo, Elmo) or elmo.frozen:
            raise UnfreezingError(
                f"spacy-elmo.gradual_unfreezing.v1 found no component '{self.component}' that is trained. Name one in "
                f"[training.before_update], and set frozen = false in [components.{self.component}]."
            )
        shim = bilm_shim(elmo.encoder)
        n_layers = shim.bilm.config.n_layers
        shim.learn_rate_of = _Rates(self, n_layers, info["step"])


@dataclass(frozen=True)
class _Rates:
    """The share of the optimizer's rate that a parameter has at a step."""

    settings: GradualUnfreezing
    n_layers: int
    step: int

    def __call__(self, name: str) -> float:
        layer = _LSTM_LAYER.match(name)
        below_top = self.n_layers - (0 if layer is None else int(layer[1]) + 1)
        if self.step < below_top * self.settings.every:
            return 0.0
        return self.settings.rate * self.settings.decay**below_top

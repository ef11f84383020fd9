"""What the files of a model hold, whatever their format."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..bilm import BiLM, BiLMConfig
from ..bilm.lexicon import Lexicon


@dataclass(frozen=True)
class Contents:
    """parameters: float32, under the names and in the shapes of `BiLM`.
    lexicon: of a model that has one.
    """

    config: BiLMConfig
    parameters: dict[str, Tensor]
    lexicon: Lexicon | None = None

    def bilm(self, precision: str) -> BiLM:
        """The biLM, on the CPU, for inference."""
        # On the meta device no memory is taken and nothing is initialised only to be overwritten.
        with torch.device("meta"):
            bilm = BiLM(self.config, precision, self.lexicon)
        bilm.load_state_dict(self.parameters, assign=True)
        return bilm.eval()

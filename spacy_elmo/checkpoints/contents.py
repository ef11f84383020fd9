"""What the files of a model hold, whatever their format."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..bilm import BiLM, BiLMConfig
from ..bilm.lexicon import Lexicon
from .errors import CheckpointError


@dataclass(frozen=True)
class Contents:
    """What is read of a model.

    Attributes:
        where: What it was read from, for messages.
        config: The dimensions.
        parameters: float32, under the names and in the shapes of `BiLM`.
        lexicon: Of a model that has one.

    Raises:
        CheckpointError: A parameter holds values that are not finite.
    """

    where: str
    config: BiLMConfig
    parameters: dict[str, Tensor]
    lexicon: Lexicon | None = None

    def __post_init__(self) -> None:
        for name, tensor in self.parameters.items():
            if not torch.isfinite(tensor).all():
                raise CheckpointError(
                    f"{self.where}: the parameter {name} holds values that are not finite numbers in float32. The file "
                    f"is damaged, or its training has failed. Fetch or copy it again."
                )

    def bilm(self, precision: str) -> BiLM:
        """The biLM, on the CPU, for inference."""
        # On the meta device no memory is taken and nothing is initialised only to be overwritten.
        with torch.device("meta"):
            bilm = BiLM(self.config, precision, self.lexicon)
        bilm.load_state_dict(self.parameters, assign=True)
        return bilm.eval()

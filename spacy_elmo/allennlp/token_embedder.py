"""AllenNLP's `ElmoTokenEmbedder`: one representation, projected where that is wanted."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, cast

from torch import Tensor, nn

from ..checkpoints import Source
from .elmo import Elmo
from .embedder import DEFAULT_OPTIONS_FILE, DEFAULT_WEIGHT_FILE


class ElmoTokenEmbedder(nn.Module):
    """An `Elmo` of one representation, as a tensor.

    Args:
        options_file, weight_file: As for `Elmo`; by default AllenNLP's "original" model.
        do_layer_norm, dropout, requires_grad, vocab_to_cache, scalar_mix_parameters: As for `Elmo`.
        projection_dim: Width of a learned linear projection of the representation; None for none.

    Its state dict has the names and shapes of AllenNLP's.
    """

    def __init__(
        self,
        options_file: Source = DEFAULT_OPTIONS_FILE,
        weight_file: str | PathLike[str] | None = DEFAULT_WEIGHT_FILE,
        do_layer_norm: bool = False,
        dropout: float = 0.5,
        requires_grad: bool = False,
        projection_dim: int | None = None,
        vocab_to_cache: Sequence[str] | None = None,
        scalar_mix_parameters: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self._elmo = Elmo(
            options_file,
            weight_file,
            1,
            requires_grad,
            do_layer_norm,
            dropout,
            vocab_to_cache,
            scalar_mix_parameters=scalar_mix_parameters,
        )
        width = self._elmo.get_output_dim()
        self._projection = nn.Linear(width, projection_dim) if projection_dim else None
        self.output_dim = projection_dim or width

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "ElmoTokenEmbedder":
        """From the arguments as AllenNLP's config files hold them, by name; `type`, which names the class, is left out.

        Raises:
            TypeError: If a name is not one of an argument.
        """
        return cls(**{name: value for name, value in params.items() if name != "type"})

    def get_output_dim(self) -> int:
        """Width of the representation."""
        return self.output_dim

    def forward(self, elmo_tokens: Tensor | None, word_inputs: Tensor | None = None) -> Tensor:
        """The representation (batch, …, n_words, width) of character ids or numbered words: see `Elmo.forward`."""
        (representation,) = self._elmo(elmo_tokens, word_inputs)["elmo_representations"]
        return cast(Tensor, representation if self._projection is None else self._projection(representation))

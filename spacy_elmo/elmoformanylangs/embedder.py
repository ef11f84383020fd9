"""ELMoForManyLangs' `Embedder`."""

import numpy as np
import numpy.typing as npt
import torch

from ..bilm.sentences import Sentences
from ..checkpoints import Source, load_bilm
from ..errors import ArgumentError

AVERAGE = -1
ALL = -2


class Embedder:
    """Vectors of tokenised sentences.

    A sentence's depend on nothing but itself; in the original, they depend on what was embedded before.

    Args:
        model_dir: The directory of a model, or what else `load_bilm` takes.
        batch_size: Taken for the sake of programs that give it. Batches are made by the number of words, and no vector
            depends on them.
        device: None for a GPU where there is one, else the CPU.

    Raises:
        CheckpointError: If there is no such model.
    """

    def __init__(self, model_dir: Source, batch_size: int = 64, *, device: torch.device | str | None = None) -> None:
        self.model_dir = model_dir
        self.batch_size = batch_size
        self.bilm = load_bilm(model_dir, device).read_boundary_words()

    def sents2elmo(self, sents: Sentences, output_layer: int = AVERAGE) -> list[npt.NDArray[np.float32]]:
        """The vectors of each sentence, in their order.

        Args:
            sents: Tokenised sentences, without marks for begin and end: see `as_words` for what may be given.
            output_layer: -1 for the average of all layers; -2 for all layers; or the number of a layer, 0 that of the
                word vectors, which know no context.

        Returns:
            float32 arrays (n_words, width); for -2 (n_layers + 1, n_words, width).

        Raises:
            ArgumentError: If there is no such layer.
            TypeError: If `sents` are not tokenised sentences.
        """
        n_layers = self.bilm.config.n_layers + 1
        if not ALL <= output_layer < n_layers:
            raise ArgumentError(
                f"output_layer is {output_layer}, but must be -1 for the average of the layers, -2 for all of them, or "
                f"a layer's number from 0 to {n_layers - 1}."
            )
        return [select(layers, output_layer) for layers in self.bilm.embed(sents)]


def select(layers: npt.NDArray[np.float32], output_layer: int) -> npt.NDArray[np.float32]:
    """What `output_layer` stands for, see `Embedder.sents2elmo`, of all layers (n_layers + 1, n_words, width)."""
    if output_layer == ALL:
        return layers
    if output_layer == AVERAGE:
        return layers.mean(axis=0)
    # A copy, so that a layer that is kept does not keep the others.
    return layers[output_layer].copy()

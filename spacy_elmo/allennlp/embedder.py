"""AllenNLP's `ElmoEmbedder`, which AllenNLP 1.0 removed: words to NumPy arrays of all layers."""

from collections.abc import Iterable, Iterator
from itertools import islice
from os import PathLike

import numpy as np
import numpy.typing as npt

from ..bilm.sentences import Sentences, Token, as_words
from ..checkpoints import Source
from .files import load
from .states import RowStates

DEFAULT_MODEL = "original"
DEFAULT_BATCH_SIZE = 64

Layers = npt.NDArray[np.float32]


class ElmoEmbedder:
    """All layers of a biLM for tokenised sentences.

    Args:
        options_file, weight_file: The two files of a model in AllenNLP's format; or the two addresses of a published
            one, which stand for its name. With `weight_file=None`, `options_file` is anything that `load_bilm` takes: a
            name, a directory. Nothing is downloaded: `python -m spacy elmo download NAME` does that.
        cuda_device: The number of a GPU; -1 for the CPU.
        stateful: AllenNLP's own behaviour, where each sentence goes on from the LSTM state that the sentence in its row
            of the batch before ended in, so that results depend on earlier calls. `reset_states` forgets them.

    Raises:
        CheckpointError: If there is no such model.
    """

    def __init__(
        self,
        options_file: Source = DEFAULT_MODEL,
        weight_file: str | PathLike[str] | None = None,
        cuda_device: int = -1,
        *,
        stateful: bool = False,
    ) -> None:
        self.cuda_device = cuda_device
        device = "cpu" if cuda_device < 0 else f"cuda:{cuda_device}"
        self.bilm = load(options_file, weight_file, device).read_boundary_words()
        self._states = RowStates(self.bilm.config, stateful)

    def embed_sentence(self, sentence: Iterable[str | Token]) -> Layers:
        """All layers of a sentence, float32 (n_layers + 1, n_words, width)."""
        return self.embed_batch([sentence])[0]

    def embed_batch(self, batch: Sentences) -> list[Layers]:
        """All layers of each sentence, as from `embed_sentence`. Of any number of sentences, in bounded memory, unless
        stateful, when they are one batch.

        Raises:
            TypeError: If `batch` are not tokenised sentences: see `as_words` for what may be given.
        """
        sentences = as_words(batch)
        if not self._states.stateful or not any(sentences):
            return self.bilm.embed(sentences)
        layers, state = self.bilm.embed_stateful(sentences, self._states.take(len(sentences), self.bilm.device))
        self._states.put(state)
        return layers

    def embed_sentences(self, sentences: Sentences, batch_size: int = DEFAULT_BATCH_SIZE) -> Iterator[Layers]:
        """Embed sentences as they come, `batch_size` of them at a time, and give their layers in their order."""
        remaining = iter(sentences)
        while batch := list(islice(remaining, batch_size)):
            yield from self.embed_batch(batch)

    def reset_states(self) -> None:
        """Forget what earlier calls left behind. Without `stateful` there is nothing."""
        self._states.reset_states()

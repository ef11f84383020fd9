"""AllenNLP's `ElmoEmbedder`, which AllenNLP 1.0 removed: words to NumPy arrays of all layers."""

from collections.abc import Iterable, Iterator
from itertools import islice
from os import PathLike

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..bilm import BiLM
from ..bilm.sentences import Sentences, Token, as_words
from ..checkpoints import Source
from ..errors import ArgumentError
from .elmo_bilm import ElmoBiLm
from .elmo_lstm import RowStates
from .files import load
from .vectors_file import write_vectors

_DEFAULT_FOLDER = "https://allennlp.s3.amazonaws.com/models/elmo/2x4096_512_2048cnn_2xhighway"
# AllenNLP's names for the published model "original".
DEFAULT_OPTIONS_FILE = f"{_DEFAULT_FOLDER}/elmo_2x4096_512_2048cnn_2xhighway_options.json"
DEFAULT_WEIGHT_FILE = f"{_DEFAULT_FOLDER}/elmo_2x4096_512_2048cnn_2xhighway_weights.hdf5"
DEFAULT_BATCH_SIZE = 64

Layers = npt.NDArray[np.float32]


class ElmoEmbedder:
    """All layers of a biLM for tokenised sentences.

    Args:
        options_file, weight_file: The two files of a model in AllenNLP's format; or the two addresses of a published
            one, which stand for its name. With `weight_file=None`, `options_file` is anything that `load_bilm` takes: a
            name, a directory. Nothing is downloaded: `python -m spacy elmo download NAME` does that. Without both, the
            published model "original".
        cuda_device: The number of a GPU; -1 for the CPU.
        stateful: AllenNLP's own behaviour, where each sentence goes on from the LSTM state that the sentence in its row
            of the batch before ended in, so that results depend on earlier calls. `reset_states` forgets them.

    Raises:
        CheckpointError: If there is no such model.
    """

    def __init__(
        self,
        options_file: Source = DEFAULT_OPTIONS_FILE,
        weight_file: str | PathLike[str] | None = None,
        cuda_device: int = -1,
        *,
        stateful: bool = False,
    ) -> None:
        if options_file == DEFAULT_OPTIONS_FILE and weight_file is None:
            weight_file = DEFAULT_WEIGHT_FILE
        self.cuda_device = cuda_device
        device = "cpu" if cuda_device < 0 else f"cuda:{cuda_device}"
        self._bilm = load(options_file, weight_file, device).read_boundary_words()
        self._module: ElmoBiLm | None = None
        self._stateful = stateful
        self._states = RowStates(self._bilm.config)

    @property
    def elmo_bilm(self) -> ElmoBiLm:
        """The model as AllenNLP's module.

        It takes the weights' memory a second time, so it is made when it is first asked for; from then on its weights
        are those that count.
        """
        if self._module is None:
            self._module = ElmoBiLm(self._bilm.requires_grad_(False), stateful=self._stateful)
        return self._module

    @property
    def bilm(self) -> BiLM:
        """The model as it is now. Not to be changed: `elmo_bilm` is."""
        if self._module is not None:
            self._bilm = self._module.for_inference().read_boundary_words()
        return self._bilm

    def embed_sentence(self, sentence: Iterable[str | Token]) -> Layers:
        """All layers of a sentence, float32 (n_layers + 1, n_words, width)."""
        return self.embed_batch([sentence])[0]

    def embed_batch(self, batch: Sentences) -> list[Layers]:
        """All layers of each sentence, as from `embed_sentence`.

        Of any number of sentences, in bounded memory, unless stateful, when they are one batch.

        Raises:
            TypeError: If `batch` are not tokenised sentences: see `as_words` for what may be given.
        """
        sentences = as_words(batch)
        bilm = self.bilm
        if not self._stateful or not any(sentences):
            return bilm.embed(sentences)
        layers, state = bilm.embed_stateful(sentences, self._states.take(len(sentences), bilm.device))
        self._states.put(state)
        return layers

    def batch_to_embeddings(self, batch: Sentences) -> tuple[Tensor, Tensor]:
        """As `embed_batch`, padded, on the model's device.

        Returns:
            All layers, float32 (n_sentences, n_layers + 1, words of the longest sentence, width), zeros after a
            sentence's last word; and the mask, bool (n_sentences, words of the longest sentence).
        """
        embedded = self.embed_batch(batch)
        config, device = self.bilm.config, self.bilm.device
        lengths = [layers.shape[1] for layers in embedded]
        padded = np.zeros((len(embedded), config.n_layers + 1, max(lengths, default=0), config.width), dtype=np.float32)
        for row, layers in zip(padded, embedded, strict=True):
            row[:, : layers.shape[1]] = layers
        mask = np.arange(padded.shape[2]) < np.array(lengths, dtype=np.int64)[:, None]
        return torch.from_numpy(padded).to(device), torch.from_numpy(mask).to(device)

    def embed_sentences(self, sentences: Sentences, batch_size: int = DEFAULT_BATCH_SIZE) -> Iterator[Layers]:
        """Embed sentences as they come, `batch_size` of them at a time, and give their layers in their order.

        Raises:
            ArgumentError: If `batch_size` is below 1.
        """
        if batch_size < 1:
            raise ArgumentError(f"batch_size is {batch_size}, but must be 1 or more.")
        return self._embed_sentences(iter(sentences), batch_size)

    def _embed_sentences(self, remaining: Iterator[Iterable[str | Token]], batch_size: int) -> Iterator[Layers]:
        while batch := list(islice(remaining, batch_size)):
            yield from self.embed_batch(batch)

    def embed_file(
        self,
        input_file: Iterable[str],
        output_file_path: str | PathLike[str],
        output_format: str = "all",
        batch_size: int = DEFAULT_BATCH_SIZE,
        forget_sentences: bool = False,
        use_sentence_keys: bool = False,
    ) -> None:
        """Embed a text file into an HDF5 file of vectors, which `write_vectors` describes. It is there whole, or not.

        Args:
            input_file: Lines, each a sentence of words between spaces.
            output_file_path: The file to write.
            output_format: "all" for all layers, "top" for the last, "average" for their mean.
            batch_size: How many sentences are embedded together.
            forget_sentences: Do not write which sentence stood in which line.
            use_sentence_keys: Name vectors by their sentence, not by the number of its line.

        Raises:
            ArgumentError: If there is no such format, a line is empty, or a sentence cannot be the name of its vectors.
        """
        lines = [line.strip() for line in input_file]
        vectors = self.embed_sentences((line.split() for line in lines), batch_size)
        write_vectors(output_file_path, lines, vectors, output_format, not forget_sentences, use_sentence_keys)

    def reset_states(self) -> None:
        """Forget what earlier calls left behind. Without `stateful` there is nothing."""
        self._states.forget()

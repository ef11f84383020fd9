"""The biLM: a word encoder and, in each direction, a stack of LSTM layers (Peters et al. 2018, section 3)."""

import hashlib
import json
from collections.abc import Hashable, Iterator, Sequence
from itertools import chain
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..errors import ArgumentError
from .char_cnn import CharCNN
from .characters import BOUNDARY_WORDS
from .config import BiLMConfig
from .inference import PRECISIONS, Engine
from .lexicon import Lexicon
from .lexicon_encoder import LexiconEncoder
from .lstm import ProjectedLSTM
from .sentences import Sentences, as_words
from .stack import run_layers
from .state import BiLMState
from .weights import WeightsTracker
from .words import WordTypes


class BiLM(nn.Module):
    """A bidirectional language model without its output softmax: what ELMo vectors come from.

    Args:
        config: Its dimensions.
        precision: Of the LSTMs' matrix products in `embed`: "float32" (exact), or "bfloat16" (relative error of a
            vector below one percent on average; faster where the processor has bfloat16 units, slower where not).
            Parameters and results stay float32, and so does the word encoder.
        lexicon: Of a model that has one: where the config's `lexicon` is not None.

    Raises:
        ArgumentError: If there is no such precision, or the lexicon is not one of the config.
    """

    def __init__(self, config: BiLMConfig, precision: str = "float32", lexicon: Lexicon | None = None) -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise ArgumentError(f"biLM precision {precision!r} is not one of {', '.join(PRECISIONS)}.")
        self.config = config
        self.precision = precision
        self._weights = WeightsTracker()
        if config.lexicon is None and lexicon is not None:
            raise ArgumentError("A lexicon was given, but the biLM's config is one of a model that has no lexicon.")
        if config.lexicon is None:
            self.char_cnn = CharCNN(config)
        elif lexicon is None:
            raise ArgumentError("The biLM's config is one of a model with a lexicon, but none was given.")
        else:
            self.lexicon_encoder = LexiconEncoder(config, config.lexicon, lexicon)
        self.forward_layers = nn.ModuleList(self._new_lstm() for _ in range(config.n_layers))
        self.backward_layers = nn.ModuleList(self._new_lstm() for _ in range(config.n_layers))

    def _new_lstm(self) -> ProjectedLSTM:
        config = self.config
        return ProjectedLSTM(
            input_dim=config.projection_dim,
            cell_dim=config.cell_dim,
            projection_dim=config.projection_dim,
            cell_clip=config.cell_clip,
            projection_clip=config.projection_clip,
        )

    @property
    def stacks(self) -> tuple[list[ProjectedLSTM], list[ProjectedLSTM]]:
        """The LSTM layers of each direction, forward first."""
        forward, backward = list(self.forward_layers), list(self.backward_layers)
        return cast(list[ProjectedLSTM], forward), cast(list[ProjectedLSTM], backward)

    @property
    def word_encoder(self) -> CharCNN | LexiconEncoder:
        """What makes vectors of words, from their bytes alone, or with the lexicon of a model that has one."""
        return self.char_cnn if self.config.lexicon is None else self.lexicon_encoder

    @property
    def lexicon(self) -> Lexicon | None:
        """The words and characters that a model has numbers for, if it is one that has."""
        return None if self.config.lexicon is None else self.lexicon_encoder.lexicon

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.word_encoder.projection.weight.device

    def read_boundary_words(self) -> "BiLM":
        """From now on, take "<S>" and "</S>" among the words for the boundaries, as bilm-tf and AllenNLP do.

        A model with a lexicon always reads its own, "<bos>" and "<eos>", as ELMoForManyLangs does.

        Returns:
            The biLM itself.
        """
        if isinstance(self.word_encoder, CharCNN):
            self.word_encoder.boundary_words = BOUNDARY_WORDS
        return self

    @property
    def engine(self) -> Engine:
        """What runs the present weights without autograd, to ask for at each use, for it changes with them."""
        return self._weights.kept(("engine", self.precision), self._tensors(), self._new_engine)

    def _new_engine(self) -> Engine:
        return Engine(self.config, self.word_encoder, self.stacks, self.precision)

    def weights_token(self) -> Hashable:
        """A value that differs from an earlier one whenever the weights may have changed since.

        For all who keep what they computed with them. No other biLM and no other process gives an equal one. Takes some
        0.1 ms.

        Seen for certain is what torch counts: optimizers, `load_state_dict`, operations in place (also under `no_grad`
        and through `detach()`), `parameter.data = x`, `to`, `half`, other parameters or modules in place of those there
        were. Torch does not count what is written through `parameter.data` (`parameter.data[3] = 0`,
        `parameter.data.mul_(2)`), through a NumPy or DLPack array of the same memory, by an optimizer with
        `fused=True`, by a replayed CUDA graph, by another process, or into tensors made in inference mode: call
        `changed` after these.

        Returns:
            A text. Equal texts mean equal weights; after `to("cpu")` and the like, equal weights may have another one.
        """
        return self._weights.token(self._tensors())

    def changed(self) -> None:
        """Say that weights were written in a way that torch does not count, see `weights_token`.

        Whatever was computed with the old ones is computed again when it is next needed.
        """
        self._weights.renew()

    def digest(self) -> str:
        """What a biLM is, whatever file it came from.

        The SHA-256, in hexadecimal digits, of its config, its lexicon, and its weights. Computed once for each
        `weights_token`.
        """
        return self._weights.kept("digest", self._tensors(), self._compute_digest)

    def _tensors(self) -> Iterator[Tensor]:
        """All that a change of the weights could be one of."""
        return chain(self.parameters(), self.buffers())

    def _compute_digest(self) -> str:
        lexicon = None if self.lexicon is None else [self.lexicon.words, self.lexicon.characters]
        total = hashlib.sha256(json.dumps([self.config.to_dict(), lexicon], sort_keys=True).encode("ascii"))
        for name, tensor in sorted(self.state_dict().items()):
            total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode("ascii"))
            total.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
        return total.hexdigest()

    def _replicate_for_data_parallel(self) -> "BiLM":
        """For `DataParallel`: its replicas share attributes, and have no list of parameters to tell them apart."""
        replica: BiLM = super()._replicate_for_data_parallel()
        replica._weights = WeightsTracker()
        return replica

    def embed(self, sentences: Sentences) -> list[npt.NDArray[np.float32]]:
        """The vectors of all layers for tokenised sentences, each alone.

        Neither the other sentences, nor their order, nor earlier calls play a part. For inference: no autograd, working
        memory bounded at any length.

        Args:
            sentences: Lists of words, without sentence boundary marks. May be empty, and so may each sentence.

        Returns:
            Float32 arrays (n_layers + 1, n_tokens, 2 * projection_dim) in the order of the sentences. Layer 0 is the
            word encoder's vector, twice; in the others the forward half stands first.

        Raises:
            TypeError: If `sentences` are not tokenised sentences, see `sentences.as_words`.
        """
        return self.engine.embed(as_words(sentences))

    def embed_average(self, sentences: Sentences, layers: Sequence[int]) -> list[npt.NDArray[np.float32]]:
        """The average of some layers, the same to the last bit as of what `embed` gives, without its memory.

        Args:
            sentences: As for `embed`.
            layers: Numbers of layers, in ascending order.

        Returns:
            Float32 arrays (n_tokens, 2 * projection_dim).

        Raises:
            TypeError: If `sentences` are not tokenised sentences.
            ArgumentError: If the layers are not some of this biLM's, in ascending order.
        """
        if not layers or sorted(set(layers) & set(range(self.config.n_layers + 1))) != list(layers):
            raise ArgumentError(
                f"The layers {list(layers)} are not some of 0 to {self.config.n_layers}, in this order."
            )
        sums = self.engine.embed(as_words(sentences), layers)
        for array in sums:
            array /= len(layers)
        return [array[0] for array in sums]

    def embed_stateful(
        self, sentences: Sentences, state: BiLMState | None = None
    ) -> tuple[list[npt.NDArray[np.float32]], BiLMState]:
        """As `embed`, but sentence i goes on from the state that sequence i of `state` was left in.

        So the published implementations went on from batch to batch. Empty sentences pass through their boundary marks.

        Args:
            sentences: As for `embed`.
            state: Of as many sequences as there are sentences; None for zeros.

        Returns:
            The vectors, as from `embed`, and the state after these sentences.

        Raises:
            TypeError: If `sentences` are not tokenised sentences.
            ArgumentError: If the numbers of sequences differ.
        """
        sentences = as_words(sentences)
        if state is None:
            state = BiLMState.zeros(self.config, len(sentences), self.device)
        if state.n_sequences != len(sentences):
            raise ArgumentError(
                f"The state is one of {state.n_sequences} sequences, but there are {len(sentences)} sentences."
            )
        return self.engine.embed_stateful(sentences, state)

    def forward(self, sentences: Sentences) -> list[Tensor]:
        """As `embed`, differentiable: for training. The sentences form one batch.

        Hooks on the embedding and the convolutions of characters are not called where the native kernel computes them.

        Args:
            sentences: As for `embed`.

        Returns:
            Tensors (n_layers + 1, n_tokens, 2 * projection_dim) that carry the graph to the parameters.

        Raises:
            TypeError: If `sentences` are not tokenised sentences.
        """
        sentences = as_words(sentences)
        filled = [sentence for sentence in sentences if len(sentence)]
        layers = iter(self._forward_batch(filled) if filled else [])
        empty = self.word_encoder.projection.weight.new_zeros(self.config.n_layers + 1, 0, self.config.width)
        return [next(layers) if len(sentence) else empty for sentence in sentences]

    def _forward_batch(self, sentences: Sequence[Sequence[str]]) -> list[Tensor]:
        types = WordTypes.of(sentences, self.word_encoder)
        layers, _ = self.forward_types(types)
        return [sentence[:, 1:-1] for sentence in layers.split(types.lengths, dim=1)]

    def forward_types(self, types: WordTypes, state: BiLMState | None = None) -> tuple[Tensor, BiLMState]:
        """As `Engine.run`, differentiable and in the parameters' own precision.

        All layers of a batch, boundaries included, from a state of as many sequences, None for zeros, to a state. See
        `stack.run_layers`.
        """
        if state is None:
            state = BiLMState.zeros(self.config, len(types.lengths), self.device)
        skip = self.config.skip_connections
        return run_layers(self.word_encoder, self.stacks, types, state, skip_connections=skip)

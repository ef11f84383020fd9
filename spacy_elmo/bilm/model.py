"""The biLM: a character CNN and, in each direction, a stack of LSTM layers (Peters et al. 2018, section 3)."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from . import engine
from .char_cnn import CharCNN
from .config import BiLMConfig
from .derived import Derived
from .lstm import ProjectedLSTM
from .packing import Packing
from .products import PRECISIONS
from .state import BiLMState
from .words import WordTypes


class BiLM(nn.Module):
    """A bidirectional language model without its output softmax: what ELMo vectors come from.

    config: its dimensions.
    precision: of the LSTMs' matrix products in `embed`: "float32" (exact), or "bfloat16" (relative error of a vector
        below one percent on average; faster where the processor has bfloat16 units, slower where not). Parameters and
        results stay float32, and so does the char CNN.
    """

    def __init__(self, config: BiLMConfig, precision: str = "float32") -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise ValueError(f"biLM precision {precision!r} is not one of {', '.join(PRECISIONS)}.")
        self.config = config
        self.precision = precision
        self.derived = Derived()
        self.char_cnn = CharCNN(config)
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
    def device(self) -> torch.device:
        return self.char_cnn.projection.weight.device

    def embed(self, sentences: Sequence[Sequence[str]]) -> list[npt.NDArray[np.float32]]:
        """The vectors of all layers for tokenised sentences, each alone: neither the other sentences, nor their
        order, nor earlier calls play a part. For inference: no autograd, working memory bounded at any length.

        sentences: lists of words, without sentence boundary marks. May be empty, and so may each sentence.
        RETURNS: float32 arrays (n_layers + 1, n_tokens, 2 * projection_dim) in the order of the sentences. Layer 0
            is the character CNN's vector, twice; in the others the forward half stands first.
        Raises TypeError where `sentences` is not made of lists of strings.
        """
        _check(sentences)
        return engine.embed(self, sentences)

    def embed_stateful(
        self, sentences: Sequence[Sequence[str]], state: BiLMState | None = None
    ) -> tuple[list[npt.NDArray[np.float32]], BiLMState]:
        """As `embed`, but sentence i goes on from the state that sequence i of `state` was left in, as the published
        implementations did from batch to batch. Empty sentences pass through their boundary marks.

        state: of as many sequences as there are sentences; None for zeros.
        RETURNS: (vectors as from `embed`, the state after these sentences).
        Raises ValueError where the numbers of sequences differ.
        """
        _check(sentences)
        if state is None:
            state = BiLMState.zeros(self.config, len(sentences), self.device)
        if state.n_sequences != len(sentences):
            raise ValueError(
                f"The state is one of {state.n_sequences} sequences, but there are {len(sentences)} sentences."
            )
        return engine.embed_batch(self, sentences, state)

    def forward(self, sentences: Sequence[Sequence[str]]) -> list[Tensor]:
        """As `embed`, differentiable: for training. The sentences form one batch.

        RETURNS: tensors (n_layers + 1, n_tokens, 2 * projection_dim) that carry the graph to the parameters.
        """
        _check(sentences)
        filled = [sentence for sentence in sentences if len(sentence)]
        layers = iter(self._forward_batch(filled) if filled else [])
        empty = torch.zeros(self.config.n_layers + 1, 0, self.config.width, device=self.device)
        return [next(layers) if len(sentence) else empty for sentence in sentences]

    def _forward_batch(self, sentences: Sequence[Sequence[str]]) -> list[Tensor]:
        types = WordTypes.of(sentences, self.config.max_characters)
        packing = Packing.of(types.lengths)
        table = self.char_cnn(torch.from_numpy(types.ids).to(self.device))
        tokens = table[torch.from_numpy(types.tokens).to(self.device)]
        halves = [
            self._forward_direction(tokens, rows, stack, packing)
            for rows, stack in zip(packing.directions, self.stacks, strict=True)
        ]
        layers = torch.stack([torch.cat([forward, backward], dim=1) for forward, backward in zip(*halves, strict=True)])
        return [sentence[:, 1:-1] for sentence in layers.split(types.lengths, dim=1)]

    def _forward_direction(
        self, tokens: Tensor, rows: npt.NDArray[np.int64], stack: list[ProjectedLSTM], packing: Packing
    ) -> list[Tensor]:
        """One direction of all layers, each (n_rows, projection_dim) in the flat order of `tokens`."""
        index = torch.from_numpy(rows).to(tokens.device)
        back = torch.argsort(index)
        sizes = packing.batch_sizes.tolist()
        # From zeros, in the parameters' own precision: a biLM in float64 is the measure of rounding errors.
        hidden = tokens.new_zeros(sizes[0], self.config.projection_dim)
        cell = tokens.new_zeros(sizes[0], self.config.cell_dim)
        outputs, x = [tokens], tokens[index]
        for number, lstm in enumerate(stack):
            y, _ = lstm(x, sizes, (hidden, cell))
            x = y + x if number and self.config.skip_connections else y
            outputs.append(x[back])
        return outputs


def _check(sentences: Sequence[Sequence[str]]) -> None:
    if isinstance(sentences, str) or any(isinstance(sentence, str) for sentence in sentences):
        raise TypeError(
            "A biLM embeds tokenised sentences, lists of words such as [['A', 'word']], but got a string in place of "
            "a list. Split the text into words first, for instance with a spaCy tokenizer."
        )
    for sentence in sentences:
        for word in sentence:
            if not isinstance(word, str):
                raise TypeError(f"A biLM embeds words that are strings, but got {word!r} ({type(word).__name__}).")

"""AllenNLP's `Elmo`: character ids to learned mixtures of a biLM's layers."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..bilm import BiLM
from ..checkpoints import Source
from ..errors import ArgumentError
from .elmo_bilm import ElmoBiLm, _ElmoBiLm
from .scalar_mix import ScalarMix


class Elmo(nn.Module):
    """ELMo representations, each its own weighted sum of the layers of one biLM.

    Its parameters have the names, shapes and order of AllenNLP's `Elmo`, so that models and optimizers saved with one
    load into the other. Like any module it is made in torch's default precision and on its default device.

    Args:
        options_file, weight_file: The two files of a model in AllenNLP's format; or the two addresses of a published
            one, which stand for its name. With `weight_file=None`, `options_file` is anything that `load_bilm` takes: a
            name, a directory. Nothing is downloaded: `python -m spacy elmo download NAME` does that.
        num_output_representations: How many mixtures, each with weights of its own.
        requires_grad: Train the biLM, too. Otherwise it is frozen, and runs without autograd.
        do_layer_norm: Normalise each layer before it is mixed, over all words of the batch.
        dropout: Of the representations, in training mode.
        vocab_to_cache: Words that `word_inputs` may number, the first standing for padding. All other words stay
            allowed. There is no table of their vectors: words are computed once anyway, and kept for a while.
        keep_sentence_boundaries: Leave the vectors of the boundaries in the representations.
        scalar_mix_parameters: Fixed weights of the layers, before the softmax, in place of learned ones.
        module: In place of both files, a `BiLM`, of which it takes a copy, or a module that does what `ElmoBiLm` does.
            It is trained or frozen as it comes, whatever `requires_grad` says.
        stateful: AllenNLP's own behaviour, where each sentence goes on from the LSTM state that the sentence in its row
            of the batch before ended in, so that results depend on earlier calls. `reset_states` forgets them.

    Raises:
        CheckpointError: If the files are not those of a model.
        ArgumentError: If arguments contradict each other.
    """

    # Does what `ElmoBiLm` does, of which torch's own type for a module inside a module says nothing.
    _elmo_lstm: Any

    def __init__(
        self,
        options_file: Source | None,
        weight_file: str | PathLike[str] | None,
        num_output_representations: int,
        requires_grad: bool = False,
        do_layer_norm: bool = False,
        dropout: float = 0.5,
        vocab_to_cache: Sequence[str] | None = None,
        keep_sentence_boundaries: bool = False,
        scalar_mix_parameters: Sequence[float] | None = None,
        module: nn.Module | None = None,
        *,
        stateful: bool = False,
    ) -> None:
        super().__init__()
        if num_output_representations < 1:
            raise ArgumentError(f"num_output_representations is {num_output_representations}, but must be 1 or more.")
        if module is None:
            self._elmo_lstm = _ElmoBiLm(options_file, weight_file, requires_grad, vocab_to_cache, stateful=stateful)
        elif options_file is not None or weight_file is not None:
            raise ArgumentError("With a module, options_file and weight_file have to be None: they name a model, too.")
        elif isinstance(module, BiLM):
            self._elmo_lstm = ElmoBiLm(module, vocab_to_cache, stateful)
        elif stateful or vocab_to_cache is not None:
            raise ArgumentError("stateful and vocab_to_cache are for a biLM; a module of your own has to see to both.")
        else:
            self._elmo_lstm = module
        self._keep_sentence_boundaries = keep_sentence_boundaries
        self._dropout = nn.Dropout(dropout)
        self._n_mixes = num_output_representations
        for number in range(num_output_representations):
            mix = ScalarMix(
                self._elmo_lstm.num_layers, do_layer_norm, scalar_mix_parameters, scalar_mix_parameters is None
            )
            self.add_module(f"scalar_mix_{number}", mix)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "Elmo":
        """From the arguments as AllenNLP's config files hold them, by name.

        Raises:
            TypeError: If a name is not one of an argument, or one that is needed is missing.
        """
        return cls(**{"weight_file": None, **params})

    def get_output_dim(self) -> int:
        """Width of a representation."""
        return cast(int, self._elmo_lstm.get_output_dim())

    def reset_states(self, mask: Tensor | None = None) -> None:
        """Forget the states of all rows, or of those where `mask` is true. Without `stateful` there are none."""
        self._elmo_lstm._elmo_lstm.reset_states(mask)

    def forward(self, inputs: Tensor | None, word_inputs: Tensor | None = None) -> dict[str, Any]:
        """The representations of a batch.

        Args:
            inputs: Character ids (batch, …, n_words, 50) as from `batch_to_ids`, zeros after a sentence's last word.
                Each of the leading places is a sentence.
            word_inputs: (batch, …, n_words), numbers of words in `vocab_to_cache`, for words whose ids in `inputs` are
                zeros; 0 is padding. `inputs` may be None where all words are numbered. Not looked at without a
                vocabulary.

        Returns:
            "elmo_representations": a list of tensors (batch, …, n_words, width), zeros in the padding; "mask": bool
            (batch, …, n_words), true where a word stands. With `keep_sentence_boundaries`, n_words + 2.

        Raises:
            ArgumentError: If shapes do not fit the model or each other, or padding stands between words.
        """
        given = word_inputs if inputs is None else inputs
        if given is None:
            raise ArgumentError("Elmo needs character ids, or word_inputs in their place, but got neither.")
        places = given.shape if inputs is None else given.shape[:-1]
        if len(places) < 2:
            raise ArgumentError(
                f"Elmo takes batches of sentences, character ids of the shape (batch, words, characters), but got "
                f"{tuple(given.shape)}."
            )
        output = self._elmo_lstm(
            None if inputs is None else inputs.flatten(0, -3),
            None if word_inputs is None else word_inputs.flatten(0, -2),
        )
        layers, mask = output["activations"], output["mask"]
        # A word stands two places before each place of the mask but the first two: both boundaries are gone.
        words = mask if self._keep_sentence_boundaries else mask[:, 2:]
        representations = []
        for number in range(self._n_mixes):
            mixed = getattr(self, f"scalar_mix_{number}")(layers, mask)
            if not self._keep_sentence_boundaries:
                mixed = torch.where(words[..., None], mixed[:, 1:-1], 0)
            representations.append(self._dropout(mixed).reshape(*places[:-1], *mixed.shape[1:]))
        return {"elmo_representations": representations, "mask": words.reshape(*places[:-1], words.shape[1])}

"""AllenNLP's module of a biLM: its parameters, padded tensors of character ids in, padded tensors of layers out."""

import copy
from collections.abc import Sequence
from operator import attrgetter
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..bilm import BiLM, BiLMConfig, BiLMState
from ..bilm.characters import BOUNDARY_WORDS, word_ids
from ..bilm.weights import WeightsTracker
from ..bilm.words import WordTypes
from ..checkpoints import Source
from ..checkpoints.allennlp_parameters import from_allennlp, to_allennlp
from ..errors import ArgumentError
from .character_encoder import ElmoCharacterEncoder
from .character_ids import Ids, word_types
from .elmo_lstm import ElmoLstm
from .files import load

# A table of word vectors that AllenNLP computes from the other parameters and stores with them.
_WORD_TABLE = "_word_embedding.weight"


class ElmoBiLm(nn.Module):
    """All layers of a biLM for batches of character ids.

    An ordinary module: its parameters are AllenNLP's, in names, shapes and order, and what it computes follows from
    them. A biLM in our own layout is made of them: for each call while any is trained; else once, and again after they
    have changed.

    Args:
        bilm: The model. Its weights are copied, and trained if any of its parameters is.
        vocabulary: The words that `word_inputs` may number, number 0 standing for padding.
        stateful: Whether a sentence goes on from where the one in its row of the last batch ended. `_elmo_lstm`
            remembers the states, as in AllenNLP, and `_elmo_lstm.reset_states()` forgets them.

    Raises:
        ArgumentError: If the model has a lexicon.
    """

    def __init__(self, bilm: BiLM, vocabulary: Sequence[str] | None = None, stateful: bool = False) -> None:
        super().__init__()
        if bilm.lexicon is not None:
            raise ArgumentError(
                "This model has a lexicon of words and characters, as those of ELMoForManyLangs do, so AllenNLP's "
                "character ids mean nothing to it. Use `BiLM.embed`, or `spacy_elmo.elmoformanylangs.Embedder`."
            )
        self.config = bilm.config
        self.num_layers = bilm.config.n_layers + 1
        self._vocabulary: Ids | None = None
        if vocabulary is not None:
            self._vocabulary = word_ids(vocabulary, bilm.config.max_characters, BOUNDARY_WORDS)
            self._vocabulary[:1] = 0
        with torch.device("meta"):
            self._token_embedder = ElmoCharacterEncoder(bilm.config)
            self._elmo_lstm = ElmoLstm(bilm.config, stateful)
        parameters = to_allennlp(bilm.state_dict(), bilm.config)
        self.load_state_dict({name: tensor.clone() for name, tensor in parameters.items()}, assign=True)
        self.requires_grad_(any(parameter.requires_grad for parameter in bilm.parameters()))
        self._names = list(parameters)
        self._weights = WeightsTracker()
        self._kept: tuple[str, BiLM] | None = None

    def get_output_dim(self) -> int:
        """Width of a layer."""
        return self.config.width

    def changed(self) -> None:
        """Say that frozen weights were written in a way that torch does not count.

        Such a way is `parameter.data.copy_(…)`: see `BiLM.weights_token`.
        """
        self._weights.renew()

    def to_bilm(self) -> BiLM:
        """A biLM with a copy of these weights: to save with `save_bilm`, or for a spaCy pipeline."""
        return copy.deepcopy(self.for_inference()).requires_grad_(True)

    def forward(self, inputs: Tensor | None, word_inputs: Tensor | None = None) -> dict[str, Any]:
        """All layers of a batch.

        Args:
            inputs: Integers (batch, n_words, max_characters), zeros after a sentence's last word.
            word_inputs: Integers (batch, n_words), numbers of words in the vocabulary, which stand for the words that
                have no characters in `inputs`; `inputs` may be None where every word has one.

        Returns:
            "activations": a tensor (batch, n_words + 2, width) for each layer, boundaries included and zeros after
            them; "mask": bool (batch, n_words + 2), true where there is a vector.

        Raises:
            ArgumentError: If a shape is not the model's, padding stands between words, or the number of a word that has
                no characters is not in the vocabulary.
        """
        if torch.compiler.is_compiling():
            # Nothing in here is for a compiler: NumPy, threads, and a recurrence with a loop of its own.
            return torch.compiler.disable(self._layers)(inputs, word_inputs)
        return self._layers(inputs, word_inputs)

    def _layers(self, inputs: Tensor | None, word_inputs: Tensor | None) -> dict[str, Any]:
        ids = self._character_ids(inputs, word_inputs)
        n_sentences, n_words, _ = ids.shape
        weight = self._token_embedder._projection.weight
        mask = torch.zeros(n_sentences, n_words + 2, dtype=torch.bool, device=weight.device)
        padded = weight.new_zeros(self.num_layers, n_sentences, n_words + 2, self.config.width)
        if n_sentences:
            types = word_types(ids)
            layers = self._run(types, weight)
            lengths = torch.tensor(types.lengths, device=weight.device)
            mask = torch.arange(n_words + 2, device=weight.device) < lengths[:, None]
            padded[:, mask] = layers
        return {"activations": list(padded), "mask": mask}

    def _run(self, types: WordTypes, weight: Tensor) -> Tensor:
        lstm = self._elmo_lstm
        n_rows = len(types.lengths)
        zeros = BiLMState.zeros(self.config, n_rows, weight.device)
        layers, state = self._run_from(types, lstm.states.take(n_rows, weight.device) if lstm.stateful else zeros)
        if lstm.stateful:
            lstm.states.put(state)
        return layers

    def _run_from(self, types: WordTypes, state: BiLMState) -> tuple[Tensor, BiLMState]:
        """With a graph where one is wanted, else by the inference engine, which computes in float32."""
        tensors = self._tensors()
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors.values()):
            run = _Differentiable(self.config)
            ours = {f"bilm.{name}": tensor for name, tensor in from_allennlp(tensors, self.config).items()}
            return functional_call(run, ours, (types, state), strict=True)
        bilm = self.for_inference()
        if bilm.char_cnn.projection.weight.dtype == torch.float32:
            return bilm.engine.run(types, state)
        with torch.no_grad():
            return bilm.forward_types(types, state)

    def for_inference(self) -> BiLM:
        """A frozen biLM with these weights as they are now, which shares memory with them: not to be changed.

        Not kept while weights are trained: programs that train swap them through `parameter.data`, which torch does
        not count, as AllenNLP's own moving averages do.
        """
        tensors = self._tensors()
        if any(tensor.requires_grad for tensor in tensors.values()):
            return _new(self.config, tensors)
        token = self._weights.token(tensors.values())
        # One value, read once and written once: replicas in other threads do the same with theirs.
        kept = self._kept
        if kept is None or kept[0] != token:
            self._kept = kept = token, _new(self.config, tensors)
        return kept[1]

    def _tensors(self) -> dict[str, Tensor]:
        """The weights by their names.

        As attributes, which all that takes their place sets: `functional_call`, the replicas of `DataParallel`, whose
        list of parameters is empty, and parametrisations.
        """
        return {name: attrgetter(name)(self) for name in self._names}

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which make a biLM of their own."""
        return {**self.__dict__, "_kept": None}

    def _character_ids(self, inputs: Tensor | None, word_inputs: Tensor | None) -> Ids:
        ids = None if inputs is None else inputs.detach().cpu().numpy().astype(np.int64, copy=False)
        wanted = self.config.max_characters
        if ids is not None and (ids.ndim != 3 or ids.shape[2] != wanted):
            raise ArgumentError(
                f"This model takes character ids of the shape (batch, words, {wanted}), but got {ids.shape}; "
                f"`batch_to_ids(sentences, max_characters={wanted})` makes them."
            )
        if word_inputs is not None and self._vocabulary is not None:
            return self._filled_in(ids, word_inputs.detach().cpu().numpy())
        if ids is None:
            raise ArgumentError("Without a vocabulary, given as vocab_to_cache, inputs has to hold character ids.")
        return ids

    def _filled_in(self, ids: Ids | None, numbers: Ids) -> Ids:
        """The characters of the words, from the vocabulary where they are not given."""
        assert self._vocabulary is not None
        if ids is None:
            ids = np.zeros((*numbers.shape, self._vocabulary.shape[1]), dtype=np.int64)
        if ids.shape[:2] != numbers.shape:
            raise ArgumentError(
                f"inputs has the shape {ids.shape} and word_inputs {numbers.shape}, which are not the same words."
            )
        lacking = ~ids.any(axis=2)
        wanted = numbers[lacking]
        if unknown := sorted(set(wanted[(wanted < 0) | (wanted >= len(self._vocabulary))].tolist())):
            raise ArgumentError(
                f"word_inputs has the numbers {unknown}, but vocab_to_cache has {len(self._vocabulary)} words. Words "
                f"that are not among these are welcome where inputs has their characters."
            )
        filled = ids.copy()
        filled[lacking] = self._vocabulary[wanted]
        return filled

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        """As any module, without the table of a vocabulary's vectors: they follow from the other weights."""
        if self._vocabulary is not None:
            state_dict.pop(prefix + _WORD_TABLE, None)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


class _ElmoBiLm(ElmoBiLm):
    """As AllenNLP's class of this name, from files: see `Elmo` for what may be given."""

    def __init__(
        self,
        options_file: Source | None,
        weight_file: str | PathLike[str] | None,
        requires_grad: bool = False,
        vocab_to_cache: Sequence[str] | None = None,
        *,
        stateful: bool = False,
    ) -> None:
        bilm = load(options_file, weight_file, torch.get_default_device()).requires_grad_(requires_grad)
        super().__init__(bilm.to(torch.get_default_dtype()), vocab_to_cache, stateful)


class _Differentiable(nn.Module):
    """`BiLM.forward_types` as the call of a module without weights of its own, which `functional_call` lends it."""

    def __init__(self, config: BiLMConfig) -> None:
        super().__init__()
        with torch.device("meta"):
            self.bilm = BiLM(config)

    def forward(self, types: WordTypes, state: BiLMState) -> tuple[Tensor, BiLMState]:
        return self.bilm.forward_types(types, state)


def _new(config: BiLMConfig, theirs: dict[str, Tensor]) -> BiLM:
    """A frozen biLM with these weights, which shares the memory of those that look alike in both layouts."""
    with torch.device("meta"):
        bilm = BiLM(config)
    detached = {name: tensor.detach() for name, tensor in theirs.items()}
    bilm.load_state_dict(from_allennlp(detached, config), assign=True)
    return bilm.eval().requires_grad_(False)

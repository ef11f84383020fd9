"""A biLM as a module with padded tensors in and out, and with AllenNLP's names in its state dict."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..bilm import BiLM, BiLMState
from ..bilm.characters import BOUNDARY_WORDS, word_ids
from ..bilm.engine import run_layers
from ..bilm.words import WordTypes
from .character_ids import Ids, word_types
from .parameters import from_allennlp, to_allennlp
from .states import RowStates

# A table of word vectors that AllenNLP computes from the other parameters and stores with them.
_WORD_TABLE = "_word_embedding.weight"


class ElmoBiLm(nn.Module):
    """All layers of a biLM for batches of character ids.

    vocabulary: the words that `word_inputs` may number, number 0 standing for padding.
    stateful: whether a sentence goes on from where the one in its row of the last batch ended. The states are kept in
        the attribute `_elmo_lstm`, as in AllenNLP, and `_elmo_lstm.reset_states()` forgets them.

    Its state dict has AllenNLP's names and shapes. `named_parameters` has ours.
    """

    def __init__(self, bilm: BiLM, vocabulary: Sequence[str] | None = None, stateful: bool = False) -> None:
        super().__init__()
        if bilm.lexicon is not None:
            raise ValueError(
                "This model has a lexicon of words and characters, as those of ELMoForManyLangs do, so AllenNLP's "
                "character ids mean nothing to it. Use `BiLM.embed`, or `spacy_elmo.elmoformanylangs.Embedder`."
            )
        self.bilm = bilm
        self.num_layers = bilm.config.n_layers + 1
        self._elmo_lstm = RowStates(bilm.config, stateful)
        self._vocabulary: Ids | None = None
        if vocabulary is not None:
            self._vocabulary = word_ids(vocabulary, bilm.config.max_characters, BOUNDARY_WORDS)
            self._vocabulary[:1] = 0

    def get_output_dim(self) -> int:
        return self.bilm.config.width

    def forward(self, inputs: Tensor | None, word_inputs: Tensor | None = None) -> dict[str, Any]:
        """inputs: (batch, n_words, max_characters) integers, zeros after a sentence's last word.
        word_inputs: (batch, n_words), numbers of words in the vocabulary, which stand for the words that have no
            characters in `inputs`; `inputs` may be None where every word has one.
        RETURNS: {"activations": a tensor (batch, n_words + 2, width) for each layer, boundaries included and zeros
            after them, "mask": (batch, n_words + 2) bool, true where there is a vector}.
        Raises ValueError where a shape is not the model's, padding stands between words, or a number of a word that has
            no characters is not in the vocabulary.
        """
        ids = self._character_ids(inputs, word_inputs)
        n_sentences, n_words, _ = ids.shape
        weight, width = next(self.bilm.parameters()), self.bilm.config.width
        mask = torch.zeros(n_sentences, n_words + 2, dtype=torch.bool, device=weight.device)
        padded = weight.new_zeros(self.num_layers, n_sentences, n_words + 2, width)
        if n_sentences:
            types = word_types(ids)
            layers, state = self._run(types, self._elmo_lstm.take(n_sentences, weight.device))
            self._elmo_lstm.put(state)
            lengths = torch.tensor(types.lengths, device=weight.device)
            mask = torch.arange(n_words + 2, device=weight.device) < lengths[:, None]
            padded[:, mask] = layers
        return {"activations": list(padded), "mask": mask}

    def _run(self, types: WordTypes, state: BiLMState) -> tuple[Tensor, BiLMState]:
        """With a graph where one is wanted, else by the inference engine, which computes in float32."""
        if torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self.bilm.parameters()):
            return self.bilm.forward_types(types, state)
        if next(self.bilm.parameters()).dtype == torch.float32:
            return run_layers(self.bilm, types, BiLMState(state.hidden.float(), state.cell.float()))
        with torch.no_grad():
            return self.bilm.forward_types(types, state)

    def _character_ids(self, inputs: Tensor | None, word_inputs: Tensor | None) -> Ids:
        ids = None if inputs is None else inputs.detach().cpu().numpy().astype(np.int64, copy=False)
        wanted = self.bilm.config.max_characters
        if ids is not None and (ids.ndim != 3 or ids.shape[2] != wanted):
            raise ValueError(
                f"This model takes character ids of the shape (batch, words, {wanted}), but got {ids.shape}; "
                f"`batch_to_ids(sentences, max_characters={wanted})` makes them."
            )
        if word_inputs is not None and self._vocabulary is not None:
            return self._filled_in(ids, word_inputs.detach().cpu().numpy())
        if ids is None:
            raise ValueError("Without a vocabulary, given as vocab_to_cache, inputs has to hold character ids.")
        return ids

    def _filled_in(self, ids: Ids | None, numbers: Ids) -> Ids:
        """The characters of the words, from the vocabulary where they are not given."""
        assert self._vocabulary is not None
        if ids is None:
            ids = np.zeros((*numbers.shape, self._vocabulary.shape[1]), dtype=np.int64)
        if ids.shape[:2] != numbers.shape:
            raise ValueError(
                f"inputs has the shape {ids.shape} and word_inputs {numbers.shape}, which are not the same words."
            )
        lacking = ~ids.any(axis=2)
        wanted = numbers[lacking]
        if unknown := sorted(set(wanted[(wanted < 0) | (wanted >= len(self._vocabulary))].tolist())):
            raise ValueError(
                f"word_inputs has the numbers {unknown}, but vocab_to_cache has {len(self._vocabulary)} words. Words "
                f"that are not among these are welcome where inputs has their characters."
            )
        filled = ids.copy()
        filled[lacking] = self._vocabulary[wanted]
        return filled

    def state_dict(  # type: ignore[override]
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """As any module's, with AllenNLP's names and shapes. Tensors that are laid out otherwise here are copies."""
        destination = OrderedDict() if destination is None else destination
        parameters = to_allennlp(self.bilm.state_dict(keep_vars=keep_vars), self.bilm.config)
        destination.update({prefix + name: tensor for name, tensor in parameters.items()})
        return destination

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Translate AllenNLP's parameters in `state_dict`, from which torch then fills the biLM. Faults are told with
        AllenNLP's names; what is missing or of another shape stays as it is.
        """
        given = {name[len(prefix) :]: state_dict.pop(name) for name in list(state_dict) if name.startswith(prefix)}
        if self._vocabulary is not None:
            given.pop(_WORD_TABLE, None)
        present = to_allennlp(self.bilm.state_dict(), self.bilm.config)
        if strict:
            unexpected_keys += [prefix + name for name in given if name not in present]
            missing_keys += [prefix + name for name in present if name not in given]
        for name, tensor in present.items():
            if name in given and given[name].shape != tensor.shape:
                error_msgs.append(
                    f"size mismatch for {prefix}{name}: the shape in the checkpoint is {tuple(given[name].shape)}, in "
                    f"this model {tuple(tensor.shape)}."
                )
            elif name in given:
                present[name] = given[name]
        for name, tensor in from_allennlp(present, self.bilm.config).items():
            state_dict[f"{prefix}bilm.{name}"] = tensor

"""Thinc's handle on the biLM: when it loads, where it lives, how it is updated and serialized."""

import contextlib
import copy
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import torch
from thinc.api import Optimizer, get_torch_default_device, torch2xp, xp2torch
from thinc.shims import Shim

from ..bilm import BiLM
from ..bilm.parallel import alone, here
from ..checkpoints import CheckpointError, Source, embedded_for, load_bilm
from ..checkpoints.message import pack, unpack
from .types import Array

# Thinc types the arrays of these by their number of dimensions, which is not known here.
_to_array: Any = torch2xp
_to_tensor: Any = xp2torch

_Sentences = Sequence[Sequence[str]]


class BiLMShim(Shim):
    """Holds a biLM that loads when it is first needed: from `source`, unless `from_bytes` brought the weights.

    Attributes:
        language: Of the texts to come, an ISO 639 code. Without a source it says which model is meant.
        learn_rate_of: The share of the optimizer's rate by a parameter's name. Where it is 0 the parameter stays.
    """

    def __init__(self, source: Source | None, precision: str) -> None:
        super().__init__(None, config={"source": source, "precision": precision})
        self.language: str | None = None
        self.learn_rate_of: Callable[[str], float] | None = None

    @property
    def bilm(self) -> BiLM:
        """The model, loaded when it is first asked for."""
        if self._model is None:
            self._model = load_bilm(self._source(), get_torch_default_device(), self.cfg["precision"])
        return self._model

    def _source(self) -> Source:
        source: Source | None = self.cfg["source"]
        if source is not None:
            return source
        if self.language is None:
            raise CheckpointError(
                "No source was named, and there is no pipeline yet whose language would say which model is meant. Name "
                'one: source = "en_elmo_sm".'
            )
        return embedded_for(self.language)

    def weights_token(self) -> Hashable:
        """See `BiLM.weights_token`: for those who keep results computed with the weights."""
        return self.bilm.weights_token()

    def predict(self, sentences: _Sentences) -> list[Array]:
        """Layers of each sentence, NumPy arrays."""
        return self.bilm.embed(sentences)

    def predict_average(self, sentences: _Sentences, layers: Sequence[int]) -> list[Array]:
        """The average of some layers of each sentence, (n_tokens, width) NumPy arrays."""
        return self.bilm.embed_average(sentences, layers)

    def begin_update(self, sentences: _Sentences) -> tuple[list[Array], Any]:
        """Layers of each sentence, and the callback that adds their gradients to the parameters' gradients."""
        bilm = self.bilm
        call = alone if bilm.device.type == "cpu" else here
        tensors = call(lambda: bilm(sentences))

        def backprop(d_layers: Sequence[Array]) -> None:
            pairs = [(y, _to_tensor(dy, device=y.device)) for y, dy in zip(tensors, d_layers, strict=True) if y.numel()]
            if pairs:
                call(lambda: torch.autograd.backward([y for y, _ in pairs], [dy for _, dy in pairs]))

        return [_to_array(tensor.detach()) for tensor in tensors], backprop

    def finish_update(self, optimizer: Optimizer) -> None:
        """Let spaCy's optimizer change the weights by the gradients that have come."""
        if self._model is None:
            return
        for name, parameter in self._model.named_parameters():
            gradient, parameter.grad = parameter.grad, None
            rate = 1.0 if self.learn_rate_of is None else self.learn_rate_of(name)
            if gradient is not None and rate:
                value, _ = optimizer((self.id, name), _to_array(parameter.data), _to_array(gradient), lr_scale=rate)
                # Thinc writes into the parameter's memory, which torch does not see: only this assignment it does.
                parameter.data = _to_tensor(value, device=parameter.device)

    @contextlib.contextmanager
    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """Swap in other values, such as averages, kept under the keys that `finish_update` gave the optimizer."""
        parameters = dict(self._model.named_parameters()) if self._model is not None else {}
        swapped = {name: parameters[name].data for name in parameters if (self.id, name) in params}
        for name in swapped:
            parameters[name].data = _to_tensor(params[self.id, name], device=parameters[name].device)
        try:
            yield
        finally:
            for name, value in swapped.items():
                parameters[name].data = value

    def to_device(self, device_type: str, device_id: int) -> None:
        """Move the model, where it is loaded."""
        if self._model is not None:
            self._model.to(f"cuda:{device_id}" if device_type == "gpu" else "cpu")

    def to_bytes(self) -> bytes:
        """The whole biLM, so that what is saved needs no other file."""
        return pack(self.bilm)

    def from_bytes(self, data: bytes) -> "BiLMShim":
        """Take the biLM that `to_bytes` wrote."""
        self._model = unpack(data).bilm(self.cfg["precision"]).to(get_torch_default_device())
        return self

    def copy(self) -> "BiLMShim":
        """A biLM of its own, which an optimizer can tell from this one."""
        copied = copy.deepcopy(self)
        copied.id = Shim(None).id
        return copied

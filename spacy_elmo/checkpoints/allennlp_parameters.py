"""A biLM's parameters under the names and in the shapes that AllenNLP's modules give them, and back.

Their highway layers hold both weights in one, and keep what ours let through, so that the second half changes its sign.
Their LSTMs hold the weights for inputs and for states apart, have the gates in the order i, f, j, o, and the forget
gate's constant in the bias.
"""

from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor

from ..bilm import BiLMConfig
from ..bilm.lstm import FORGET_BIAS

_CNN = "_token_embedder"
_KINDS = ("weight", "bias")
_DIRECTIONS = ("forward", "backward")


def to_allennlp(parameters: Mapping[str, Tensor], config: BiLMConfig) -> dict[str, Tensor]:
    """A `BiLM`'s parameters, given by name, as AllenNLP's, by their names below `_elmo_lstm` and in its order."""
    theirs = {}
    for name, ours in _same(config).items():
        theirs[name] = parameters[ours]
    for number, kind in product(range(config.n_highway), _KINDS):
        transform, carry = (parameters[f"char_cnn.highways.{number}.{gate}.{kind}"] for gate in ("transform", "carry"))
        theirs[f"{_CNN}._highways._layers.{number}.{kind}"] = torch.cat([transform, -carry])
    for number, direction in product(range(config.n_layers), _DIRECTIONS):
        ours, name = f"{direction}_layers.{number}", f"_elmo_lstm.{direction}_layer_{number}"
        weight = _swap_gates(parameters[f"{ours}.weight"])
        bias = _shift_forget_gate(parameters[f"{ours}.bias"], FORGET_BIAS)
        theirs[f"{name}.input_linearity.weight"] = weight[:, : config.projection_dim].contiguous()
        theirs[f"{name}.state_linearity.weight"] = weight[:, config.projection_dim :].contiguous()
        theirs[f"{name}.state_linearity.bias"] = _swap_gates(bias)
        theirs[f"{name}.state_projection.weight"] = parameters[f"{ours}.projection"]
    return theirs


def from_allennlp(theirs: Mapping[str, Tensor], config: BiLMConfig) -> dict[str, Tensor]:
    """The inverse of `to_allennlp`. All of AllenNLP's parameters have to be there."""
    parameters = {ours: theirs[name] for name, ours in _same(config).items()}
    parameters |= highways_from_allennlp(theirs, config, f"{_CNN}._highways", "char_cnn.highways")
    return parameters | lstms_from_allennlp(theirs, config, "_elmo_lstm.")


def highways_from_allennlp(theirs: Mapping[str, Tensor], config: BiLMConfig, name: str, ours: str) -> dict[str, Tensor]:
    """Of AllenNLP's highway layers, which have this name there, and another one with us."""
    parameters = {}
    for number, kind in product(range(config.n_highway), _KINDS):
        transform, kept = theirs[f"{name}._layers.{number}.{kind}"].chunk(2)
        parameters[f"{ours}.{number}.transform.{kind}"] = transform
        parameters[f"{ours}.{number}.carry.{kind}"] = -kept
    return parameters


def lstms_from_allennlp(theirs: Mapping[str, Tensor], config: BiLMConfig, prefix: str = "") -> dict[str, Tensor]:
    """Of AllenNLP's LSTM layers, whose names begin so."""
    parameters = {}
    for number, direction in product(range(config.n_layers), _DIRECTIONS):
        ours, name = f"{direction}_layers.{number}", f"{prefix}{direction}_layer_{number}"
        weights = [_gates_swapped(theirs[f"{name}.{part}.weight"]) for part in ("input_linearity", "state_linearity")]
        bias = _swap_gates(theirs[f"{name}.state_linearity.bias"])
        # One copy of the largest weights: fine-tuning through AllenNLP's class makes it for every batch.
        parameters[f"{ours}.weight"] = torch.cat(weights, dim=3).flatten(0, 2)
        parameters[f"{ours}.bias"] = _shift_forget_gate(bias, -FORGET_BIAS)
        parameters[f"{ours}.projection"] = theirs[f"{name}.state_projection.weight"]
    return parameters


def _same(config: BiLMConfig) -> dict[str, str]:
    """AllenNLP's name of each parameter that differs by its name alone, and ours."""
    names = {f"{_CNN}._char_embedding_weights": "char_cnn.embedding.weight"}
    for number, kind in product(range(len(config.filters)), _KINDS):
        names[f"{_CNN}.char_conv_{number}.{kind}"] = f"char_cnn.convolutions.{number}.{kind}"
    for kind in _KINDS:
        names[f"{_CNN}._projection.{kind}"] = f"char_cnn.projection.{kind}"
    return names


def _swap_gates(x: Tensor) -> Tensor:
    """i, j, f, o to i, f, j, o, and back."""
    return _gates_swapped(x).flatten(0, 2)


def _gates_swapped(x: Tensor) -> Tensor:
    """The same as a view (2, 2, cell_dim, …): with the gates numbered by two digits, the digits change places."""
    return x.unflatten(0, (2, 2, -1)).transpose(0, 1)


def _shift_forget_gate(bias: Tensor, shift: float) -> Tensor:
    """A bias, in our order of the gates, with the forget gate's part moved."""
    cell_dim = len(bias) // 4
    shifted = bias.clone()
    shifted[2 * cell_dim : 3 * cell_dim] += shift
    return shifted

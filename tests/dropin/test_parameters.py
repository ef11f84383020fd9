"""The state dict: AllenNLP's names, shapes and values, in and out."""

import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spacy_elmo.allennlp import Elmo, batch_to_ids

from .models import BATCHES, SmallModel, write_model
from .test_elmo import close, mix, set_mixes

IDS = batch_to_ids(BATCHES[1])

# What the state dict of AllenNLP 2.10.1's `Elmo` holds for the small model.
NAMES_AND_SHAPES = {
    "_elmo_lstm._token_embedder._char_embedding_weights": (262, 5),
    "_elmo_lstm._token_embedder.char_conv_0.weight": (4, 5, 1),
    "_elmo_lstm._token_embedder.char_conv_0.bias": (4,),
    "_elmo_lstm._token_embedder.char_conv_1.weight": (6, 5, 2),
    "_elmo_lstm._token_embedder.char_conv_1.bias": (6,),
    "_elmo_lstm._token_embedder.char_conv_2.weight": (8, 5, 3),
    "_elmo_lstm._token_embedder.char_conv_2.bias": (8,),
    "_elmo_lstm._token_embedder._highways._layers.0.weight": (36, 18),
    "_elmo_lstm._token_embedder._highways._layers.0.bias": (36,),
    "_elmo_lstm._token_embedder._highways._layers.1.weight": (36, 18),
    "_elmo_lstm._token_embedder._highways._layers.1.bias": (36,),
    "_elmo_lstm._token_embedder._projection.weight": (6, 18),
    "_elmo_lstm._token_embedder._projection.bias": (6,),
    **{
        f"_elmo_lstm._elmo_lstm.{direction}_layer_{layer}.{name}": shape
        for layer in (0, 1)
        for direction in ("forward", "backward")
        for name, shape in {
            "input_linearity.weight": (40, 6),
            "state_linearity.weight": (40, 6),
            "state_linearity.bias": (40,),
            "state_projection.weight": (6, 10),
        }.items()
    },
    "scalar_mix_0.gamma": (1,),
    "scalar_mix_0.scalar_parameters.0": (1,),
    "scalar_mix_0.scalar_parameters.1": (1,),
    "scalar_mix_0.scalar_parameters.2": (1,),
    "scalar_mix_1.gamma": (1,),
    "scalar_mix_1.scalar_parameters.0": (1,),
    "scalar_mix_1.scalar_parameters.1": (1,),
    "scalar_mix_1.scalar_parameters.2": (1,),
}


class Tagger(nn.Module):
    """As a user's model may be, its ELMo somewhere inside."""

    def __init__(self, elmo: Elmo) -> None:
        super().__init__()
        self.embedder = nn.ModuleDict({"elmo": elmo})
        self.output = nn.Linear(12, 3)


def test_names_and_shapes_are_allennlp_s(model: SmallModel) -> None:
    state = Elmo(*model.files, 2).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == NAMES_AND_SHAPES
    assert not any(tensor.requires_grad for tensor in state.values())


def test_values_are_allennlp_s(model: SmallModel) -> None:
    """Read from the reference's weights, which are laid out as TensorFlow's, the way that AllenNLP reads them."""
    state = Elmo(*model.files, 2).state_dict()
    weights = {path: torch.from_numpy(array).float() for path, array in model.reference.w.items()}
    cell = weights["RNN_1/RNN/MultiRNNCell/Cell0/LSTMCell/W_0"].t()
    i, j, f, o = cell.chunk(4)
    name = "_elmo_lstm._elmo_lstm.backward_layer_0"
    assert torch.equal(state[f"{name}.input_linearity.weight"], torch.cat([i, f, j, o])[:, :6])
    assert torch.equal(state[f"{name}.state_linearity.weight"], torch.cat([i, f, j, o])[:, 6:])
    i, j, f, o = weights["RNN_1/RNN/MultiRNNCell/Cell0/LSTMCell/B"].chunk(4)
    assert torch.equal(state[f"{name}.state_linearity.bias"], torch.cat([i, f + 1, j, o]))
    highway = torch.cat([weights["CNN_high_1/W_transform"].t(), -weights["CNN_high_1/W_carry"].t()])
    assert torch.equal(state["_elmo_lstm._token_embedder._highways._layers.1.weight"], highway)
    assert not state["_elmo_lstm._token_embedder._char_embedding_weights"][0].any()


@pytest.mark.parametrize("assign", [False, True])
def test_a_model_saved_loads_into_another(model: SmallModel, tmp_path: Path, assign: bool) -> None:
    saved = Tagger(set_mixes(Elmo(*model.files, 2, dropout=0, requires_grad=True), gamma=0.7))
    torch.save(saved.state_dict(), tmp_path / "model.pt")
    other_files = write_model(tmp_path, activation="relu").files
    other = Tagger(Elmo(*other_files, 2, dropout=0))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.fill_(0.1)
    other.embedder["elmo"](IDS)
    result = other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True), assign=assign)
    assert list(result.missing_keys) == list(result.unexpected_keys) == []
    for name, tensor in saved.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, rtol=0, atol=2e-7)
    for weights, found in zip(([0.3, -0.2, 0.9],), other.embedder["elmo"](IDS)["elmo_representations"], strict=False):
        close(found, mix(model.batch(BATCHES[1]), weights, 0.7))


def test_the_file_holds_the_parameters_and_no_more(model: SmallModel, tmp_path: Path) -> None:
    elmo = Elmo(*model.files, 1)
    torch.save(elmo.state_dict(), tmp_path / "model.pt")
    loaded = torch.load(tmp_path / "model.pt", weights_only=True)
    assert all(tensor.untyped_storage().nbytes() == 4 * tensor.numel() for tensor in loaded.values())


def test_what_does_not_fit_is_told_in_allennlp_s_names(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1)
    before = {name: tensor.clone() for name, tensor in elmo.state_dict().items()}
    name = "_elmo_lstm._elmo_lstm.forward_layer_1.state_linearity.weight"
    incomplete = OrderedDict((key, tensor + 1) for key, tensor in before.items() if key != name)
    with pytest.raises(RuntimeError, match=re.escape(f'Missing key(s) in state_dict: "{name}"')):
        elmo.load_state_dict(incomplete)
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "_elmo_lstm\.surplus"'):
        elmo.load_state_dict({**before, "_elmo_lstm.surplus": torch.ones(1)})
    with pytest.raises(RuntimeError, match=rf"size mismatch for {re.escape(name)}"):
        elmo.load_state_dict({**before, name: torch.ones(2, 2)})
    result = elmo.load_state_dict(incomplete, strict=False)
    assert list(result.missing_keys) == [name]
    torch.testing.assert_close(elmo.state_dict()[name], before[name], rtol=0, atol=2e-7)
    changed = "_elmo_lstm._elmo_lstm.forward_layer_1.input_linearity.weight"
    torch.testing.assert_close(elmo.state_dict()[changed], before[changed] + 1, rtol=0, atol=2e-7)


def test_a_table_of_cached_words_is_not_needed(model: SmallModel) -> None:
    """AllenNLP stores it with the model; its vectors follow from the other parameters."""
    elmo = Elmo(*model.files, 1, vocab_to_cache=["", "the"])
    stored = {**elmo.state_dict(), "_elmo_lstm._word_embedding.weight": torch.ones(2, 6)}
    assert not elmo.load_state_dict(stored).unexpected_keys
    with pytest.raises(RuntimeError, match="_word_embedding"):
        Elmo(*model.files, 1).load_state_dict(stored)


def test_tensors_with_a_graph(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1, requires_grad=True)
    kept: dict[str, Tensor] = elmo.state_dict(keep_vars=True)
    sum(tensor.sum() for tensor in kept.values()).backward()
    assert all(parameter.grad is not None for parameter in elmo.parameters())

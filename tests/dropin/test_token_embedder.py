"""`ElmoTokenEmbedder`, and the other ways to an `Elmo` that AllenNLP has."""

from typing import Any

import pytest
import torch

from spacy_elmo import CheckpointError
from spacy_elmo.allennlp import DEFAULT_OPTIONS_FILE, Elmo, ElmoTokenEmbedder, _ElmoBiLm, batch_to_ids

from .models import BATCHES, VOCABULARY, SmallModel, mix
from .test_elmo import close

IDS = batch_to_ids(BATCHES[1])


def test_it_is_one_representation(model: SmallModel) -> None:
    weights = [0.3, -0.2, 0.9]
    embedder = ElmoTokenEmbedder(*model.files, dropout=0, scalar_mix_parameters=weights)
    assert embedder.get_output_dim() == embedder.output_dim == 12
    close(embedder(IDS), mix(model.batch(BATCHES[1]), weights))
    deep = embedder(IDS.view(2, 2, *IDS.shape[1:]))
    assert torch.equal(deep.view(4, -1, 12), embedder(IDS))


def test_it_is_projected(model: SmallModel) -> None:
    plain = ElmoTokenEmbedder(*model.files, dropout=0)
    embedder = ElmoTokenEmbedder(*model.files, dropout=0, projection_dim=3)
    assert embedder.get_output_dim() == 3
    assert embedder._projection is not None
    wanted = plain(IDS) @ embedder._projection.weight.t() + embedder._projection.bias
    torch.testing.assert_close(embedder(IDS), wanted, rtol=0, atol=1e-6)
    names = {f"_elmo.{name}" for name in Elmo(*model.files, 1).state_dict()} | {
        "_projection.weight",
        "_projection.bias",
    }
    assert set(embedder.state_dict()) == names


def test_its_arguments_reach_elmo(model: SmallModel) -> None:
    embedder = ElmoTokenEmbedder(*model.files, True, 0.25, True, None, VOCABULARY)
    assert embedder._elmo.scalar_mix_0.do_layer_norm
    assert embedder._elmo._dropout.p == 0.25
    assert all(parameter.requires_grad for parameter in embedder.parameters())
    assert embedder.eval()(None, torch.tensor([[1, 2, 0]])).shape == (1, 3, 12)


def test_the_default_is_the_original_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("SPACY_ELMO_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="python -m spacy elmo download original"):
        ElmoTokenEmbedder()
    assert DEFAULT_OPTIONS_FILE.endswith("elmo_2x4096_512_2048cnn_2xhighway_options.json")


def test_from_params(model: SmallModel) -> None:
    options, weights = model.files
    files = {"options_file": options, "weight_file": weights}
    elmo = Elmo.from_params({**files, "num_output_representations": 2, "dropout": 0.1, "do_layer_norm": True})
    assert len(elmo(IDS)["elmo_representations"]) == 2
    assert elmo._dropout.p == 0.1
    embedder = ElmoTokenEmbedder.from_params({"type": "elmo_token_embedder", **files, "projection_dim": 5})
    assert embedder(IDS).shape == (4, 5, 5)
    with pytest.raises(TypeError, match="dropuot"):
        Elmo.from_params({**files, "num_output_representations": 1, "dropuot": 0.1})
    with pytest.raises(TypeError, match="num_output_representations"):
        Elmo.from_params(files)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_the_module_inside(model: SmallModel, requires_grad: bool) -> None:
    bilm = _ElmoBiLm(*model.files, requires_grad, VOCABULARY)
    assert bilm.get_output_dim() == 12
    assert bilm._token_embedder.get_output_dim() == 6
    assert bilm.num_layers == 3
    assert all(parameter.requires_grad is requires_grad for parameter in bilm.parameters())
    (layers, *_) = torch.stack(bilm(IDS)["activations"]).transpose(0, 1)
    close(layers[:, 1:3], model.layers(BATCHES[1][0]))
    elmo = Elmo(None, None, 1, dropout=0, module=bilm)
    close(elmo(IDS)["elmo_representations"][0], model.batch(BATCHES[1]).mean(axis=0))

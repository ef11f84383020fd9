"""`Elmo` against the NumPy reference, and as a module."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spacy_elmo import BiLM, CheckpointError, load_bilm, save_bilm
from spacy_elmo.allennlp import Elmo, batch_to_ids
from spacy_elmo.allennlp.elmo_bilm import ElmoBiLm

from .models import BATCHES, MIXES, VOCABULARY, SmallModel, mix, write_model

BATCH = BATCHES[1]
IDS = batch_to_ids(BATCH)


def set_mixes(elmo: Elmo, gamma: float = 1.0) -> Elmo:
    for number, weights in enumerate(MIXES[: elmo._n_mixes]):
        scalar_mix = getattr(elmo, f"scalar_mix_{number}")
        with torch.no_grad():
            scalar_mix.gamma.fill_(gamma)
            for parameter, weight in zip(scalar_mix.scalar_parameters, weights, strict=True):
                parameter.fill_(weight)
    return elmo


def close(found: torch.Tensor, wanted: np.ndarray, tolerance: float = 1e-5) -> None:
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_representations_are_mixtures_of_the_reference_s_layers(model: SmallModel, requires_grad: bool) -> None:
    elmo = set_mixes(Elmo(*model.files, 2, requires_grad=requires_grad, dropout=0), gamma=1.5)
    output = elmo(IDS)
    layers = model.batch(BATCH)
    assert len(output["elmo_representations"]) == 2
    for representation, weights in zip(output["elmo_representations"], MIXES, strict=True):
        assert representation.dtype == torch.float32
        close(representation, mix(layers, weights, 1.5))
    assert output["mask"].dtype == torch.bool
    assert output["mask"].tolist() == [[place < len(sentence) for place in range(5)] for sentence in BATCH]
    assert elmo.get_output_dim() == 12


def test_the_padding_is_zero(model: SmallModel) -> None:
    output = Elmo(*model.files, 1, dropout=0)(IDS)
    (representation,) = output["elmo_representations"]
    assert not representation[~output["mask"]].any()
    assert representation[output["mask"]].all()


def test_nothing_is_remembered_by_default(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1, dropout=0)
    first = elmo(IDS)["elmo_representations"][0]
    elmo(batch_to_ids(BATCHES[0]))
    assert torch.equal(elmo(IDS)["elmo_representations"][0], first)
    # Nor does a sentence depend on its neighbours.
    alone = elmo(batch_to_ids(BATCH[2:3]))["elmo_representations"][0]
    np.testing.assert_allclose(alone[0].detach(), first[2, :3].detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 2), (1, 2, 2), (4, 1, 1)])
def test_more_dimensions_are_more_sentences(model: SmallModel, shape: tuple[int, ...]) -> None:
    elmo = Elmo(*model.files, 1, dropout=0)
    flat = elmo(IDS)
    output = elmo(IDS.view(*shape, 5, 50))
    assert output["elmo_representations"][0].shape == (*shape, 5, 12)
    assert output["mask"].shape == (*shape, 5)
    assert torch.equal(output["elmo_representations"][0].reshape(4, 5, 12), flat["elmo_representations"][0])
    kept = Elmo(*model.files, 1, dropout=0, keep_sentence_boundaries=True)(IDS.view(*shape, 5, 50))
    assert kept["elmo_representations"][0].shape == (*shape, 7, 12)


def test_boundaries_are_kept_where_they_shall(model: SmallModel) -> None:
    output = Elmo(*model.files, 1, dropout=0, keep_sentence_boundaries=True)(IDS)
    assert output["mask"].sum(dim=1).tolist() == [len(sentence) + 2 for sentence in BATCH]
    (representation,) = output["elmo_representations"]
    without = Elmo(*model.files, 1, dropout=0)(IDS)["elmo_representations"][0]
    for row, sentence in enumerate(BATCH):
        assert torch.equal(representation[row, 1 : len(sentence) + 1], without[row, : len(sentence)])
        assert representation[row, len(sentence) + 1].all()
        assert not representation[row, len(sentence) + 2 :].any()


def test_layer_norm_is_over_all_words_and_boundaries(model: SmallModel) -> None:
    output = ElmoBiLm(load_bilm(model.files, device="cpu").requires_grad_(False))(IDS)
    (mixed,) = Elmo(*model.files, 1, dropout=0, do_layer_norm=True)(IDS)["elmo_representations"]
    normal = []
    for layer in output["activations"]:
        numbers = layer[output["mask"]].double()
        normal.append((layer.double() - numbers.mean()) / numbers.std(unbiased=False))
    wanted = torch.stack(normal).mean(dim=0)[:, 1:-1] * output["mask"][:, 2:, None]
    close(mixed, wanted.numpy())


def test_fixed_mixtures_are_not_trained(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 2, dropout=0, scalar_mix_parameters=[-9e10, 1, -9e10])
    assert not any(parameter.requires_grad for parameter in elmo.parameters())
    for representation in elmo(IDS)["elmo_representations"]:
        close(representation, model.batch(BATCH)[1])
        assert not representation.requires_grad


def test_a_frozen_bilm_runs_without_autograd(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1, dropout=0)
    trained = [name for name, parameter in elmo.named_parameters() if parameter.requires_grad]
    assert trained == ["scalar_mix_0.gamma", *(f"scalar_mix_0.scalar_parameters.{i}" for i in range(3))]
    assert not any(layer.requires_grad for layer in elmo._elmo_lstm(IDS)["activations"])
    elmo(IDS)["elmo_representations"][0].sum().backward()
    assert all((parameter.grad is None) != parameter.requires_grad for parameter in elmo.parameters())


def test_a_bilm_that_is_trained_changes_all_its_weights(model: SmallModel) -> None:
    elmo = set_mixes(Elmo(*model.files, 1, requires_grad=True, dropout=0))
    elmo(IDS)["elmo_representations"][0].square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in elmo.parameters())
    with torch.no_grad():
        assert not elmo(IDS)["elmo_representations"][0].requires_grad


def test_what_was_trained_is_what_runs_without_gradients(model: SmallModel) -> None:
    """Whatever the inference engine keeps of the weights between calls."""
    elmo = Elmo(*model.files, 1, requires_grad=True, dropout=0)
    optimizer = torch.optim.SGD(elmo.parameters(), lr=0.01)
    seen = []
    for _ in range(2):
        (found,) = elmo(IDS)["elmo_representations"]
        with torch.no_grad():
            (without,) = elmo(IDS)["elmo_representations"]
        np.testing.assert_allclose(found.detach(), without, rtol=0, atol=1e-5)
        seen.append(without)
        found.sum().backward()
        optimizer.step()
    assert not torch.allclose(*seen, atol=1e-2)


def test_gradients_are_those_of_finite_differences(model: SmallModel) -> None:
    elmo = set_mixes(Elmo(*model.files, 2, requires_grad=True, dropout=0)).double()
    factors = torch.sin(torch.arange(2 * IDS.shape[0] * IDS.shape[1] * 12, dtype=torch.float64))

    def loss() -> torch.Tensor:
        return torch.stack(elmo(IDS)["elmo_representations"]).flatten() @ factors

    loss().backward()
    for parameter in elmo.parameters():
        assert parameter.grad is not None
        place = int(parameter.grad.abs().argmax())
        with torch.no_grad():
            flat = parameter.view(-1)
            flat[place] += 1e-6
            above = loss()
            flat[place] -= 2e-6
            below = loss()
            flat[place] += 1e-6
        slope = float(above - below) / 2e-6
        assert slope == pytest.approx(float(parameter.grad.view(-1)[place]), rel=1e-4, abs=1e-7)


def test_dropout_is_of_the_representations_in_training(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1)
    torch.manual_seed(0)
    (dropped,) = elmo(IDS)["elmo_representations"]
    (whole,) = elmo.eval()(IDS)["elmo_representations"]
    words = elmo(IDS)["mask"]
    kept = (dropped != 0) & words[..., None]
    assert torch.equal(dropped[kept], 2 * whole[kept])
    assert 0.3 < kept[words].float().mean() < 0.7


def test_words_of_the_vocabulary_by_their_numbers(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1, dropout=0, vocab_to_cache=VOCABULARY)
    numbers = torch.tensor([[1, 4, 2, 3], [4, 0, 0, 0]])
    sentences = [["the", "a", "and", "on"], ["a"]]
    wanted = elmo(batch_to_ids(sentences))
    for inputs in (None, batch_to_ids(sentences), torch.zeros(2, 4, 50, dtype=torch.long)):
        output = elmo(inputs, numbers)
        assert torch.equal(output["elmo_representations"][0], wanted["elmo_representations"][0])
        assert torch.equal(output["mask"], wanted["mask"])
    deep = elmo(None, numbers.view(2, 2, 2))
    assert deep["elmo_representations"][0].shape == (2, 2, 2, 12)


def test_words_outside_the_vocabulary_are_spelt(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1, dropout=0, vocab_to_cache=VOCABULARY)
    ids = batch_to_ids([["the", "unheard", "of"]])
    wanted = elmo(ids)["elmo_representations"][0]
    mixed = ids.clone()
    mixed[0, 0] = 0
    for numbers in ([[1, 0, 0]], [[1, 99, 77]]):
        assert torch.equal(elmo(mixed, torch.tensor(numbers))["elmo_representations"][0], wanted)
        assert not mixed[0, 0].any()  # what was given stays as it was
    with pytest.raises(ValueError, match=r"numbers \[-1, 77\], but vocab_to_cache has 5 words"):
        elmo(None, torch.tensor([[1, 77, -1]]))


def test_no_sentences_and_empty_ones(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1, dropout=0)
    assert elmo(batch_to_ids([]))["elmo_representations"][0].shape == (0, 0, 12)
    output = elmo(batch_to_ids([[], []]))
    assert output["elmo_representations"][0].shape == (2, 0, 12)
    assert output["mask"].shape == (2, 0)


def test_a_model_by_its_name_or_directory(tiny_source: str) -> None:
    elmo = Elmo(tiny_source, None, 1, dropout=0)
    (found,) = elmo(batch_to_ids([["a", "word"]], max_characters=20))["elmo_representations"]
    (wanted,) = load_bilm(tiny_source, device="cpu").embed([["a", "word"]])
    close(found[0], wanted.mean(axis=0))


@pytest.mark.parametrize("trained", [False, True])
def test_a_bilm_as_module_is_copied(tiny_bilm: BiLM, trained: bool) -> None:
    bilm = copy.deepcopy(tiny_bilm).requires_grad_(trained)
    before = {name: tensor.clone() for name, tensor in bilm.state_dict().items()}
    elmo = Elmo(None, None, 1, dropout=0, module=bilm)
    assert all(parameter.requires_grad is trained for parameter in elmo._elmo_lstm.parameters())
    (layers,) = tiny_bilm.embed([["a"]])
    close(elmo(batch_to_ids([["a"]], 20))["elmo_representations"][0][0], layers.mean(axis=0))
    with torch.no_grad():
        for parameter in elmo.parameters():
            parameter.fill_(7)
    assert all(torch.equal(tensor, before[name]) for name, tensor in bilm.state_dict().items())


@pytest.mark.parametrize("requires_grad", [False, True])
def test_its_weights_make_a_bilm_again(model: SmallModel, tmp_path: Path, requires_grad: bool) -> None:
    elmo = Elmo(*model.files, 1, dropout=0, requires_grad=requires_grad)
    with torch.no_grad():
        for parameter in elmo._elmo_lstm.parameters():
            parameter.mul_(0.9)
    wanted = torch.stack(elmo._elmo_lstm(IDS)["activations"])[:, 0, 1:9].detach()
    bilm = elmo._elmo_lstm.to_bilm()
    save_bilm(bilm, tmp_path / "saved")
    (found,) = load_bilm(tmp_path / "saved", device="cpu").embed(BATCH[:1])
    np.testing.assert_allclose(found, wanted[:, : len(BATCH[0])], rtol=0, atol=1e-5)
    with torch.no_grad():
        for parameter in bilm.parameters():
            parameter.zero_()
    assert torch.equal(torch.stack(elmo._elmo_lstm(IDS)["activations"])[:, 0, 1:9], wanted)


def test_a_module_of_one_s_own(model: SmallModel) -> None:
    class Doubled(nn.Module):
        num_layers = 3

        def __init__(self) -> None:
            super().__init__()
            self.inner = ElmoBiLm(load_bilm(model.files, device="cpu"))

        def get_output_dim(self) -> int:
            return 12

        def forward(self, inputs: torch.Tensor, word_inputs: torch.Tensor | None) -> dict:
            output = self.inner(inputs, word_inputs)
            return {**output, "activations": [2 * layer for layer in output["activations"]]}

    elmo = Elmo(None, None, 1, dropout=0, module=Doubled())
    close(elmo(IDS)["elmo_representations"][0], 2 * model.batch(BATCH).mean(axis=0))
    with pytest.raises(ValueError, match="a module of your own"):
        Elmo(None, None, 1, module=Doubled(), stateful=True)


def test_copies_and_pickles(model: SmallModel) -> None:
    elmo = set_mixes(Elmo(*model.files, 2, dropout=0, vocab_to_cache=VOCABULARY, stateful=True))
    elmo(batch_to_ids(BATCHES[0]))
    copies = [copy.deepcopy(elmo), pickle.loads(pickle.dumps(elmo))]
    wanted = elmo(IDS)["elmo_representations"]
    elmo(IDS)
    for other in copies:
        # With their own states, weights and vocabularies.
        for found, representation in zip(other(IDS)["elmo_representations"], wanted, strict=True):
            # To rounding: a copy keeps no vectors of words seen before, and computes them with others beside them.
            torch.testing.assert_close(found, representation, rtol=0, atol=1e-6)
        assert other(None, torch.tensor([[1, 2]]))["mask"].all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.bfloat16, 0.1), (torch.float16, 0.02)])
def test_other_precisions(model: SmallModel, dtype: torch.dtype, tolerance: float) -> None:
    elmo = Elmo(*model.files, 1, dropout=0, do_layer_norm=True, stateful=True)
    (wanted,) = elmo(IDS)["elmo_representations"]
    elmo(batch_to_ids(BATCHES[0]))
    elmo.reset_states()
    elmo = elmo.to(dtype)
    for _ in range(2):
        (found,) = elmo(IDS)["elmo_representations"]
        assert found.dtype == dtype
        close(found.float(), wanted.detach().numpy(), tolerance)
        elmo.reset_states()
    # A state of one precision goes on in another.
    elmo(IDS)
    assert elmo.float()(IDS)["elmo_representations"][0].dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1, dropout=0, stateful=True)
    wanted = [elmo(batch_to_ids(batch))["elmo_representations"][0] for batch in BATCHES[:3]]
    elmo.reset_states()
    first = elmo(batch_to_ids(BATCHES[0]))
    elmo.to("cuda")
    for batch, representation in zip(BATCHES[1:3], wanted[1:], strict=True):
        output = elmo(batch_to_ids(batch).to("cuda"))
        assert output["mask"].is_cuda
        close(output["elmo_representations"][0].cpu(), representation.detach().numpy())
    close(first["elmo_representations"][0], wanted[0].detach().numpy())


def test_what_is_wrong_is_said(model: SmallModel, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        Elmo(model.options, str(tmp_path / "weights.hdf5"), 1)
    with pytest.raises(ValueError, match="options_file is None"):
        Elmo(None, None, 1)
    with pytest.raises(ValueError, match="num_output_representations is 0"):
        Elmo(*model.files, 0)
    with pytest.raises(ValueError, match="has 2 numbers, but the biLM gives 3 layers"):
        Elmo(*model.files, 1, scalar_mix_parameters=[1, 2])
    with pytest.raises(ValueError, match="With a module"):
        Elmo(*model.files, 1, module=load_bilm(model.files, device="cpu"))
    elmo = Elmo(*model.files, 1, vocab_to_cache=VOCABULARY)
    with pytest.raises(ValueError, match=r"shape \(batch, words, 50\), but got \(1, 1, 20\)"):
        elmo(batch_to_ids([["a"]], max_characters=20))
    with pytest.raises(ValueError, match=r"but got \(1, 50\)"):
        elmo(IDS[0, :1])
    with pytest.raises(ValueError, match="got neither"):
        elmo(None)
    with pytest.raises(ValueError, match="not the same words"):
        elmo(IDS, torch.zeros(1, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="Without a vocabulary"):
        Elmo(*model.files, 1)(None, torch.zeros(1, 2, dtype=torch.long))


def test_a_model_without_highways_and_skip_connections(tmp_path: Path) -> None:
    """AllenNLP itself refuses such a model."""
    plain = write_model(tmp_path, n_highway=0, use_skip_connections=False, cell_clip=None, proj_clip=None)
    close(Elmo(*plain.files, 1, dropout=0)(IDS)["elmo_representations"][0], plain.batch(BATCH).mean(axis=0))

"""Parity with the real AllenNLP 2.10.1, where an environment that has it is at hand."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from spacy_elmo.allennlp import Elmo, ElmoEmbedder, ElmoTokenEmbedder, batch_to_ids

from .models import BATCHES, MIXES, VOCABULARY, SmallModel
from .test_elmo import set_mixes

ODD = [["<S>", "</S>", "<s>", ""], ["x" * 48, "x" * 49, "é" * 30, "\ud800a"], ["日本語", "🙂"]]
NUMBERS = [[1, 4, 2, 3], [4, 1, 0, 0]]
TOLERANCE = 1e-5

Results = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def folder(model: SmallModel) -> Path:
    """Where AllenNLP left its results for the small model."""
    python, tools = os.environ.get("SPACY_ELMO_PEERS"), os.environ.get("SPACY_ELMO_PEER_TOOLS")
    if not python or not tools:
        pytest.skip(
            "needs AllenNLP 2.10.1: set SPACY_ELMO_PEERS to a Python that has it, and SPACY_ELMO_PEER_TOOLS to the "
            "folder of peer_allennlp.py, which imports it"
        )
    folder = Path(model.options).parent
    data = {"batches": BATCHES, "vocabulary": VOCABULARY, "mixes": MIXES, "odd": ODD, "numbers": NUMBERS}
    (folder / "batches.json").write_text(json.dumps(data), "utf8")
    script = Path(__file__).parent / "allennlp_peer.py"
    subprocess.run([python, script, tools, folder], check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Results:
    with np.load(folder / "results.npz") as results:
        return dict(results)


def new(model: SmallModel, n_representations: int = 2, **settings: object) -> Elmo:
    elmo = Elmo(*model.files, n_representations, dropout=0, **settings)  # type: ignore[arg-type]
    return elmo if "scalar_mix_parameters" in settings else set_mixes(elmo, gamma=1.5)


def agree(output: dict, theirs: Results, name: str) -> None:
    """In every number, also of the padding, in shape and in type."""
    for number, representation in enumerate(output["elmo_representations"]):
        wanted = theirs[f"{name}_{number}"]
        found = representation.detach().numpy()
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)
    np.testing.assert_array_equal(output["mask"].numpy(), theirs[f"{name}_mask"])
    assert output["mask"].numpy().dtype == theirs[f"{name}_mask"].dtype


def test_character_ids(theirs: Results) -> None:
    for name, batch in [*((f"ids_{number}", batch) for number, batch in enumerate(BATCHES)), ("odd_ids", ODD)]:
        found = batch_to_ids(batch).numpy()
        np.testing.assert_array_equal(found, theirs[name])
        assert found.dtype == theirs[name].dtype


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("plain", {}),
        ("boundaries", {"keep_sentence_boundaries": True}),
        ("norm", {"do_layer_norm": True}),
        ("norm_boundaries", {"do_layer_norm": True, "keep_sentence_boundaries": True}),
        ("fixed", {"n_representations": 1, "scalar_mix_parameters": MIXES[1]}),
    ],
)
def test_representations(model: SmallModel, theirs: Results, name: str, settings: dict, requires_grad: bool) -> None:
    agree(new(model, **settings, requires_grad=requires_grad)(batch_to_ids(BATCHES[1])), theirs, name)


def test_more_dimensions(model: SmallModel, theirs: Results) -> None:
    agree(new(model)(batch_to_ids(BATCHES[1]).view(2, 2, 5, 50)), theirs, "deep")


def test_cached_words(model: SmallModel, theirs: Results) -> None:
    elmo = new(model, vocab_to_cache=VOCABULARY)
    agree(elmo(None, torch.tensor(NUMBERS)), theirs, "cached")


@pytest.mark.parametrize("requires_grad", [False, True])
def test_stateful_batches_of_changing_sizes(model: SmallModel, theirs: Results, requires_grad: bool) -> None:
    elmo = new(model, 1, stateful=True, requires_grad=requires_grad)
    for number, batch in enumerate([*BATCHES, *BATCHES]):
        agree(elmo(batch_to_ids(batch)), theirs, f"stateful{number}")
    elmo.reset_states(torch.tensor([True, False, False, True]))
    agree(elmo(batch_to_ids(BATCHES[1])), theirs, "partly_reset")
    elmo.reset_states()
    agree(elmo(batch_to_ids(BATCHES[1])), theirs, "reset")


def test_all_layers(model: SmallModel, theirs: Results) -> None:
    """As the module inside gives them, and as the embedder does."""
    bilm = new(model, 1, stateful=True)._elmo_lstm
    embedder = ElmoEmbedder(*model.files, stateful=True)
    for number, batch in enumerate(BATCHES):
        output = bilm(batch_to_ids(batch))
        wanted = theirs[f"layers{number}"]
        np.testing.assert_allclose(torch.stack(output["activations"]).numpy(), wanted, rtol=0, atol=TOLERANCE)
        np.testing.assert_array_equal(output["mask"].numpy(), theirs[f"layers{number}_mask"])
        for row, layers in enumerate(embedder.embed_batch(batch)):
            words = wanted[:, row, 1 : len(batch[row]) + 1]
            np.testing.assert_allclose(layers, words, rtol=0, atol=TOLERANCE)


def test_gradients(model: SmallModel, theirs: Results) -> None:
    """Of the mixtures and the biLM, in float64, from batch to batch with the states going on."""
    elmo = new(model, requires_grad=True, stateful=True).double()
    for number, batch in enumerate(BATCHES[:-1]):
        elmo.zero_grad()
        representations = torch.stack(elmo(batch_to_ids(batch))["elmo_representations"]).flatten()
        representations.dot(torch.sin(torch.arange(len(representations), dtype=torch.float64))).backward()
        wanted = {name: array for name, array in theirs.items() if name.startswith(f"gradient{number}_")}
        found = {f"gradient{number}_{name}": parameter.grad for name, parameter in elmo.named_parameters()}
        assert list(found) == list(wanted)
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-12)


def test_an_optimizer_goes_on(model: SmallModel, folder: Path, theirs: Results) -> None:
    """One that AllenNLP's model was trained with, saved, and loaded for ours: the next step is the same."""
    elmo = new(model, requires_grad=True)
    optimizer = torch.optim.Adam(elmo.parameters(), lr=0.01)
    saved = torch.load(folder / "training.pt", weights_only=True)
    elmo.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    elmo(batch_to_ids(BATCHES[1]))["elmo_representations"][0].sum().backward()
    optimizer.step()
    for name, tensor in elmo.state_dict().items():
        np.testing.assert_allclose(tensor, theirs[f"trained_{name}"], rtol=0, atol=1e-5)


def test_a_saved_token_embedder_loads(model: SmallModel, folder: Path, theirs: Results) -> None:
    embedder = ElmoTokenEmbedder(*model.files, dropout=0, projection_dim=3)
    state = torch.load(folder / "token_embedder.pt", weights_only=True)
    embedder.load_state_dict(state)
    assert list(embedder.state_dict()) == list(state)
    found = embedder(batch_to_ids(BATCHES[1])).detach()
    np.testing.assert_allclose(found, theirs["token_embedder"], rtol=0, atol=TOLERANCE)


def test_a_saved_model_loads(model: SmallModel, folder: Path, theirs: Results) -> None:
    state = torch.load(folder / "state.pt", weights_only=True)
    inner = torch.nn.ModuleDict({"elmo": new(model), "out": torch.nn.Linear(12, 3)})
    ours = torch.nn.ModuleDict({"tagger": inner})
    result = ours.load_state_dict(state)
    assert not result.missing_keys
    assert not result.unexpected_keys
    agree(inner["elmo"](batch_to_ids(BATCHES[1])), theirs, "loaded")
    # And what is saved again is what it was.
    assert list(ours.state_dict()) == list(state)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, state[name])

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spacy_elmo import CheckpointError
from spacy_elmo.allennlp import Elmo
from spacy_elmo.elmoformanylangs import Embedder
from tests import manylangs
from tests.reference.numpy_manylangs import MARKS

from .models import BATCHES, SmallModel

SENTENCES = [sentence for batch in BATCHES for sentence in batch if sentence]
SELECT = {
    -1: lambda layers: layers.mean(axis=0),
    -2: lambda layers: layers,
    0: lambda layers: layers[0],
    1: lambda layers: layers[1],
    2: lambda layers: layers[2],
}


@pytest.fixture(scope="module")
def embedder(model: SmallModel) -> Embedder:
    return Embedder(model.files, batch_size=2)


@pytest.mark.parametrize("output_layer", SELECT)
def test_layers(embedder: Embedder, model: SmallModel, output_layer: int) -> None:
    found = embedder.sents2elmo(SENTENCES, output_layer=output_layer)
    assert len(found) == len(SENTENCES)
    for array, sentence in zip(found, SENTENCES, strict=True):
        wanted = SELECT[output_layer](model.layers(sentence))
        assert array.dtype == np.float32
        assert array.shape == wanted.shape
        np.testing.assert_allclose(array, wanted, rtol=0, atol=1e-5)
        assert array.base is None or output_layer == -2


def test_the_average_is_the_default(embedder: Embedder) -> None:
    for found, wanted in zip(embedder.sents2elmo(SENTENCES), embedder.sents2elmo(SENTENCES, -1), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_nothing_is_remembered(embedder: Embedder) -> None:
    (alone,) = embedder.sents2elmo(SENTENCES[3:4])
    np.testing.assert_allclose(embedder.sents2elmo(SENTENCES)[3], alone, rtol=0, atol=1e-6)


def test_empty_ones(embedder: Embedder) -> None:
    assert embedder.sents2elmo([]) == []
    assert [array.shape for array in embedder.sents2elmo([[], ["a"]])] == [(0, 12), (1, 12)]
    assert [array.shape for array in embedder.sents2elmo([[]], -2)] == [(3, 0, 12)]


def test_any_model(tiny_source: str) -> None:
    assert Embedder(tiny_source).sents2elmo([["a", "b"]])[0].shape == (2, 12)


def test_what_is_wrong_is_said(embedder: Embedder) -> None:
    for output_layer in (-3, 3):
        with pytest.raises(ValueError, match=f"output_layer is {output_layer}, but must be .* from 0 to 2"):
            embedder.sents2elmo(SENTENCES, output_layer)
    with pytest.raises(TypeError, match="tokenised sentences"):
        embedder.sents2elmo(["a sentence"])
    with pytest.raises(CheckpointError, match="nowhere"):
        Embedder("nowhere")


# Models of its own format


@pytest.mark.parametrize("output_layer", SELECT)
def test_a_published_model(tmp_path: Path, output_layer: int) -> None:
    model = manylangs.random_model(tmp_path)
    found = Embedder(str(tmp_path)).sents2elmo(manylangs.SENTENCES, output_layer)
    for array, sentence in zip(found, manylangs.SENTENCES, strict=True):
        wanted = SELECT[output_layer](model.reference.embed(sentence))
        assert array.shape == wanted.shape
        np.testing.assert_allclose(array, wanted, rtol=0, atol=1e-5)


def test_allennlps_classes_refuse_it(tmp_path: Path) -> None:
    manylangs.random_model(tmp_path, word_dim=0)
    with pytest.raises(ValueError, match="This model has a lexicon"):
        Elmo(str(tmp_path), None, 1)


# Parity with the real ELMoForManyLangs, where an environment that has it is at hand

KINDS = {
    "both": {},
    "words": {"char_dim": 0},
    "words_lstm": {"char_dim": 0, "name": "lstm"},
    "characters": {"word_dim": 0, "max_characters_per_token": 11},
    "tanh": {"activation": "tanh", "n_highway": 0, "filters": [[5, 3], [1, 8]]},
}
ENCODER = {"name": "elmo", "projection_dim": 8, "cell_clip": 3, "proj_clip": 3, "dim": 14, "n_layers": 2}
EMBEDDER = {
    "name": "cnn", "activation": "relu", "filters": [[1, 4], [2, 3], [3, 5]], "n_highway": 2, "word_dim": 7,
    "char_dim": 5, "max_characters_per_token": 50,
}  # fmt: skip
# What it can be given: no lone surrogates in its JSON file.
PEER_SENTENCES = [[word for word in sentence if word != "\ud800"] for sentence in manylangs.SENTENCES]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ELMoForManyLangs left its models and its results."""
    if not (python := os.environ.get("SPACY_ELMO_PEERS")):
        pytest.skip("needs ELMoForManyLangs 0.0.4.post2: set SPACY_ELMO_PEERS to a Python that has it")
    folder = tmp_path_factory.mktemp("peers")
    models = {name: {"encoder": ENCODER, "token_embedder": {**EMBEDDER, **kind}} for name, kind in KINDS.items()}
    data = {
        "word": [*MARKS[:4], *manylangs.WORDS],
        "char": [*MARKS, *dict.fromkeys(manylangs.CHARACTERS)],
        "sentences": PEER_SENTENCES,
        "models": {name: {**options, "dropout": 0.1} for name, options in models.items()},
    }
    (folder / "models.json").write_text(json.dumps(data), "utf8")
    script = Path(__file__).parent / "manylangs_peer.py"
    subprocess.run([python, script, folder], check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_parity(peers: Path, kind: str) -> None:
    results = np.load(peers / "results.npz")
    embedder = Embedder(str(peers / kind))
    for output_layer in SELECT:
        for number, array in enumerate(embedder.sents2elmo(PEER_SENTENCES, output_layer)):
            wanted = results[f"{kind}/{output_layer}/{number}"]
            assert array.shape == wanted.shape
            assert array.dtype == wanted.dtype
            np.testing.assert_allclose(array, wanted, rtol=0, atol=1e-5)

import io
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from spacy_elmo import CheckpointError
from spacy_elmo.allennlp import ElmoEmbedder, batch_to_ids

from .models import BATCHES, SmallModel

SENTENCES = [sentence for batch in BATCHES for sentence in batch]


@pytest.fixture(scope="module")
def embedder(model: SmallModel) -> ElmoEmbedder:
    return ElmoEmbedder(options_file=model.options, weight_file=model.weights, cuda_device=-1)


def test_a_sentence_has_all_layers(embedder: ElmoEmbedder, model: SmallModel) -> None:
    found = embedder.embed_sentence(SENTENCES[0])
    assert found.shape == (3, 8, 12)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, model.layers(SENTENCES[0]), rtol=0, atol=1e-5)
    # And the same every time.
    np.testing.assert_array_equal(embedder.embed_sentence(SENTENCES[0]), found)


def test_an_empty_sentence_has_none(embedder: ElmoEmbedder) -> None:
    assert embedder.embed_sentence([]).shape == (3, 0, 12)
    assert [array.shape for array in embedder.embed_batch([[], ["a"], []])] == [(3, 0, 12), (3, 1, 12), (3, 0, 12)]
    assert embedder.embed_batch([]) == []


def test_a_batch_is_a_list_in_its_order(embedder: ElmoEmbedder, model: SmallModel) -> None:
    found = embedder.embed_batch(SENTENCES)
    assert len(found) == len(SENTENCES)
    for array, sentence in zip(found, SENTENCES, strict=True):
        np.testing.assert_allclose(array, model.layers(sentence) if sentence else array, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_sentences_are_embedded_as_they_come(embedder: ElmoEmbedder, batch_size: int) -> None:
    taken = []

    def sentences() -> Iterator[list[str]]:
        for sentence in SENTENCES:
            taken.append(sentence)
            yield sentence

    found = embedder.embed_sentences(sentences(), batch_size=batch_size)
    assert taken == []
    first = next(found)
    assert len(taken) == min(batch_size, len(SENTENCES))
    for array, wanted in zip([first, *found], embedder.embed_batch(SENTENCES), strict=True):
        np.testing.assert_allclose(array, wanted, rtol=0, atol=1e-6)


def test_a_model_by_its_name_or_directory(tiny_source: str) -> None:
    assert ElmoEmbedder(tiny_source).embed_sentence(["a", "b"]).shape == (3, 2, 12)


def test_a_batch_as_padded_tensors(embedder: ElmoEmbedder, model: SmallModel) -> None:
    for batch in BATCHES:
        activations, mask = embedder.batch_to_embeddings(batch)
        wanted = model.batch(batch).swapaxes(0, 1)
        assert activations.dtype == torch.float32
        assert activations.shape == wanted.shape
        np.testing.assert_allclose(activations, wanted, rtol=0, atol=1e-5)
        assert mask.dtype == torch.bool
        assert mask.sum(dim=1).tolist() == [len(sentence) for sentence in batch]
    activations, mask = embedder.batch_to_embeddings([[]])
    assert activations.shape == (1, 3, 0, 12)
    assert mask.shape == (1, 0)


def test_the_module_inside_is_what_embeds(model: SmallModel) -> None:
    embedder = ElmoEmbedder(*model.files)
    before = embedder.embed_sentence(["a", "<S>", "b"])
    ids = batch_to_ids([["a", "<S>", "b"]])
    activations = torch.stack(embedder.elmo_bilm(ids)["activations"])[:, 0, 1:-1]
    np.testing.assert_allclose(activations, before, rtol=0, atol=1e-5)
    assert embedder.elmo_bilm.get_output_dim() == 12
    np.testing.assert_allclose(embedder.embed_sentence(["a", "<S>", "b"]), before, rtol=0, atol=1e-6)
    for tensor in embedder.elmo_bilm.state_dict().values():
        tensor.mul_(0.5)
    activations = torch.stack(embedder.elmo_bilm(ids)["activations"])[:, 0, 1:-1]
    after = embedder.embed_sentence(["a", "<S>", "b"])
    np.testing.assert_allclose(activations, after, rtol=0, atol=1e-5)
    assert np.abs(after - before).max() > 0.1


def test_a_file_of_lines(embedder: ElmoEmbedder, model: SmallModel, tmp_path: Path) -> None:
    path = tmp_path / "vectors.hdf5"
    embedder.embed_file(io.StringIO("a b\nc d e\n"), str(path), "top", 1)
    with h5py.File(path) as file:
        np.testing.assert_allclose(file["1"][...], model.layers(["c", "d", "e"])[-1], rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="output_format is 'bottom', but must be one of all, top, average"):
        embedder.embed_file(["a b"], path, "bottom")


def test_what_is_wrong_is_said(embedder: ElmoEmbedder, model: SmallModel) -> None:
    with pytest.raises(TypeError, match="tokenised sentences"):
        embedder.embed_batch(["a sentence"])
    with pytest.raises(CheckpointError, match="no such file"):
        ElmoEmbedder(model.options, model.weights + ".gone")
    with pytest.raises(ValueError, match="batch_size is 0, but must be 1 or more"):
        embedder.embed_sentences([["a"]], batch_size=0)

from collections.abc import Iterator

import numpy as np
import pytest

from spacy_elmo import CheckpointError
from spacy_elmo.allennlp import ElmoEmbedder

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


def test_what_is_wrong_is_said(embedder: ElmoEmbedder, model: SmallModel) -> None:
    with pytest.raises(TypeError, match="tokenised sentences"):
        embedder.embed_batch(["a sentence"])
    with pytest.raises(CheckpointError, match="no such file"):
        ElmoEmbedder(model.options, model.weights + ".gone")

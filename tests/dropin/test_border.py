"""What all drop-in classes take for tokenised sentences, and how they read "<S>" and "</S>" among the words."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import spacy

from spacy_elmo import ElmoError
from spacy_elmo.allennlp import Elmo, ElmoEmbedder, batch_to_ids
from spacy_elmo.elmoformanylangs import Embedder
from spacy_elmo.simple_elmo import ElmoModel

from .models import SmallModel

TEXTS = ["One sentence.", "Another one, of more words."]
WORDS = [["One", "sentence", "."], ["Another", "one", ",", "of", "more", "words", "."]]

# From tokenised sentences to the layers of each, (n_layers + 1, n_words, width).
Embed = Callable[[Any], list[np.ndarray]]


def by_elmo(model: SmallModel) -> Embed:
    bilm = Elmo(*model.files, 1)._elmo_lstm

    def embed(sentences: Any) -> list[np.ndarray]:
        output = bilm(batch_to_ids(sentences))
        layers = np.stack([layer.numpy() for layer in output["activations"]])
        ends = output["mask"].sum(dim=1).tolist()
        return [layers[:, row, 1 : end - 1] for row, end in enumerate(ends)]

    return embed


def by_simple_elmo(model: SmallModel) -> Embed:
    elmo = ElmoModel()
    elmo.load(model.files)

    def embed(sentences: Any) -> list[np.ndarray]:
        return [layers[:, layers.any(axis=(0, 2))] for layers in elmo.get_elmo_vectors(sentences, layers="all")]

    return embed


WAYS: dict[str, Callable[[SmallModel], Embed]] = {
    "Elmo": by_elmo,
    "ElmoEmbedder": lambda model: ElmoEmbedder(*model.files).embed_batch,
    "ElmoEmbedder, stateful": lambda model: lambda batch: ElmoEmbedder(*model.files, stateful=True).embed_batch(batch),
    "ElmoEmbedder.embed_sentences": lambda model: lambda batch: list(ElmoEmbedder(*model.files).embed_sentences(batch)),
    "Embedder": lambda model: lambda batch: Embedder(model.files).sents2elmo(batch, output_layer=-2),
    "ElmoModel": by_simple_elmo,
}


@pytest.fixture(scope="module", params=WAYS)
def embed(request: pytest.FixtureRequest, model: SmallModel) -> Embed:
    return WAYS[request.param](model)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [list(spacy.blank("en")(text)) for text in TEXTS],
        lambda: map(spacy.blank("en"), TEXTS),
        lambda: tuple(map(tuple, WORDS)),
        lambda: (iter(words) for words in WORDS),
    ],
    ids=["spaCy's tokens", "a map of Docs", "tuples", "generators"],
)
def test_words_by_whatever_holds_them(embed: Embed, model: SmallModel, make: Callable[[], Any]) -> None:
    found = embed(make())
    assert len(found) == len(WORDS)
    for layers, words in zip(found, WORDS, strict=True):
        np.testing.assert_allclose(layers, model.layers(words), rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [["a text"], [["a", 1]], [["a", None]], [["a", b"b"]], [b"ab"], [["a"], 2]])
def test_what_are_no_words_is_refused(embed: Embed, batch: Any) -> None:
    with pytest.raises(TypeError, match=r"tokenised sentences|A word has to be a string") as caught:
        embed(batch)
    assert isinstance(caught.value, ElmoError)


def test_boundaries_among_the_words_are_boundaries(embed: Embed, model: SmallModel) -> None:
    """As in bilm-tf, AllenNLP and simple_elmo. Other words in angle brackets are words."""
    sentence = ["a", "<S>", "<s>", "</S>", "b", "</s>"]
    (found,) = embed([sentence])
    np.testing.assert_allclose(found, model.layers(sentence, boundary_words=True), rtol=0, atol=1e-5)
    assert np.abs(found - model.layers(sentence)).max() > 0.1


def test_a_program_with_spacy_s_tokens_runs_as_it_stands(model: SmallModel) -> None:
    """The one in the description of a Japanese model."""
    nlp = spacy.blank("ja") if _has_sudachi() else spacy.blank("en")
    options, weights = model.files
    sentences = [list(nlp("これは日本語の文です。")), list(nlp("もう一つ。"))]
    character_ids = batch_to_ids(sentences)
    elmo = Elmo(options, weights, 1, dropout=0)
    (representation,) = elmo(character_ids)["elmo_representations"]
    words = [[token.text for token in sentence] for sentence in sentences]
    wanted = model.batch(words).mean(axis=0)
    np.testing.assert_allclose(representation.detach(), wanted, rtol=0, atol=1e-5)


def _has_sudachi() -> bool:
    try:
        spacy.blank("ja")
    except ImportError:
        return False
    return True

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo.bilm.characters import boundary_ids, word_ids
from spacy_elmo.bilm.inference import engine
from spacy_elmo.errors import ArgumentError
from spacy_elmo.language import LanguageModel, Perplexity, SentenceScore, score
from spacy_elmo.language.perplexity import totals
from tests.reference.plain_lstm import plain_lstm

from .models import VOCABULARY, random_language_model

SENTENCES = [["the", "cat", "sat"], [], ["an", "ocelot", "sat", "on", "日本"], ["the"], ["naïve"] * 12, ["the", "cat"]]
UNKNOWN = [0, 0, 2, 0, 0, 0]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return random_language_model()


@torch.no_grad()
def plain_score(model: LanguageModel, sentence: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Of one sentence alone, a word at a time."""
    bilm, config = model.bilm, model.bilm.config
    begin, end = boundary_ids(config.max_characters)
    ids = np.stack([begin, *word_ids(sentence, config.max_characters), end])
    vectors = bilm.char_cnn(torch.from_numpy(ids))
    classes = [0, *(VOCABULARY.index(word) if word in VOCABULARY else 2 for word in sentence), 1]
    results = []
    for layers, order in ((bilm.forward_layers, range(len(ids))), (bilm.backward_layers, range(len(ids) - 1, -1, -1))):
        x = vectors[list(order)]
        for k, lstm in enumerate(layers):
            zeros = torch.zeros(1, config.projection_dim), torch.zeros(1, config.cell_dim)
            y, _ = plain_lstm(lstm, x, [1] * len(x), zeros)
            x = x + y if k else y
        logs = F.log_softmax(x @ model.softmax.weight.t() + model.softmax.bias, dim=1)
        results.append([float(log[classes[i]]) for log, i in zip(logs, order[1:], strict=False)])
    return np.array(results[0]), np.array(results[1][::-1])


def assert_same(found: SentenceScore, wanted: SentenceScore) -> None:
    np.testing.assert_allclose(found.forward, wanted.forward, atol=2e-5)
    np.testing.assert_allclose(found.backward, wanted.backward, atol=2e-5)
    assert found.n_unknown == wanted.n_unknown


def test_scores_equal_the_plain_ones(model: LanguageModel) -> None:
    scores = score(model, SENTENCES)
    assert [one.n_unknown for one in scores] == UNKNOWN
    for sentence, found in zip(SENTENCES, scores, strict=True):
        forward, backward = plain_score(model, sentence)
        assert found.forward.shape == found.backward.shape == (len(sentence) + 1,)
        assert found.forward.dtype == found.backward.dtype == np.float32
        np.testing.assert_allclose(found.forward, forward, atol=2e-5)
        np.testing.assert_allclose(found.backward, backward, atol=2e-5)


def test_an_empty_sentence_still_ends_and_begins(model: LanguageModel) -> None:
    (found,) = score(model, [[]])
    forward, backward = plain_score(model, [])
    assert found.forward == pytest.approx(forward, abs=1e-5)
    assert found.backward == pytest.approx(backward, abs=1e-5)
    assert found.n_unknown == 0


def test_no_sentences(model: LanguageModel) -> None:
    assert score(model, []) == []


@pytest.mark.parametrize("texts", ["the fox", ["the fox"], [["the"], "fox"]])
def test_texts_in_the_place_of_lists_of_words_are_refused(model: LanguageModel, texts: Any) -> None:
    with pytest.raises(TypeError, match="This takes tokenised sentences") as error:
        score(model, texts)
    assert "fox" in str(error.value)


@pytest.mark.parametrize("word", [3, None, b"the"])
def test_words_that_are_no_strings_are_refused(model: LanguageModel, word: Any) -> None:
    with pytest.raises(TypeError, match=rf"A word has to be a string.* has {word!r}"):
        score(model, [["the", word]])


def test_what_gives_sentences_once_is_enough(model: LanguageModel) -> None:
    found = score(model, (tuple(sentence) for sentence in SENTENCES))
    for one, wanted in zip(found, score(model, SENTENCES), strict=True):
        assert_same(one, wanted)


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(len(SENTENCES))), rows=st.integers(1, 40))
def test_a_score_depends_on_its_sentence_alone(model: LanguageModel, order: list[int], rows: int) -> None:
    wanted = score(model, SENTENCES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "BATCH_ROWS", rows)
        found = score(model, [SENTENCES[i] for i in order])
    for one, i in zip(found, order, strict=True):
        assert_same(one, wanted[i])


def test_scoring_leaves_no_graph_and_no_change(model: LanguageModel) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    score(model, SENTENCES)
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("mark", ["<S>", "</S>", "<UNK>"])
def test_a_word_that_looks_like_a_mark_is_a_word(mark: str) -> None:
    """Where it is not in the vocabulary it counts as unknown, as in training; where it is, under its own number."""
    sentence = ["the", mark, "sat"]
    (unknown,) = score(random_language_model(), [sentence])
    assert unknown.n_unknown == 1
    (same,) = score(random_language_model(), [["the", "ocelot", "sat"]])
    assert unknown.forward[0] == pytest.approx(same.forward[0], abs=1e-5)
    assert unknown.forward[1] == pytest.approx(same.forward[1], abs=1e-5), "<UNK> after the same words"

    model = random_language_model(vocabulary=[*VOCABULARY, mark])
    with torch.no_grad():
        model.softmax.bias[-1] = 50  # next to which nothing else is probable
    (known,) = score(model, [sentence])
    assert known.n_unknown == 0
    assert known.forward[1] == pytest.approx(0, abs=1e-5)
    assert known.forward[3] < -20, "the end of the sentence keeps its own number"


def test_a_uniform_softmax_has_the_perplexity_of_its_vocabulary() -> None:
    model = random_language_model()
    with torch.no_grad():
        model.softmax.weight.zero_()
        model.softmax.bias.fill_(0.25)
    perplexity = Perplexity.of(score(model, SENTENCES))
    assert perplexity.forward == pytest.approx(len(VOCABULARY), rel=1e-6)
    assert perplexity.backward == pytest.approx(len(VOCABULARY), rel=1e-6)
    assert perplexity.average == pytest.approx(len(VOCABULARY), rel=1e-6)
    assert perplexity.n_predictions == sum(len(sentence) + 1 for sentence in SENTENCES)
    assert perplexity.n_unknown == sum(UNKNOWN)
    assert perplexity.unknown_share == pytest.approx(2 / sum(len(sentence) + 1 for sentence in SENTENCES))


def sentence_score(forward: list[float], backward: list[float], n_unknown: int = 0) -> SentenceScore:
    return SentenceScore(np.array(forward, np.float32), np.array(backward, np.float32), n_unknown)


def test_perplexity_is_the_inverse_of_the_mean_probability() -> None:
    scores = [
        sentence_score([math.log(1 / 2), math.log(1 / 8)], [math.log(1 / 3)] * 2, 1),
        sentence_score([math.log(1 / 4)], [math.log(1 / 3)], 2),
    ]
    found = Perplexity.of(scores)
    assert found.forward == pytest.approx(4)  # (2 * 8 * 4) ** (1 / 3)
    assert found.backward == pytest.approx(3)
    assert found.average == pytest.approx(math.sqrt(12))
    assert (found.n_predictions, found.n_unknown) == (3, 3)
    assert scores[0].perplexity == Perplexity.of(scores[:1])
    assert scores[0].perplexity.forward == pytest.approx(4)


def test_totals_add_up_over_parts(model: LanguageModel) -> None:
    scores = score(model, SENTENCES)
    sums = np.add(totals(scores[:2]), totals(scores[2:]))
    found, wanted = Perplexity.from_totals(sums.tolist()), Perplexity.of(scores)
    assert found.forward == pytest.approx(wanted.forward)
    assert found.backward == pytest.approx(wanted.backward)
    assert (found.n_predictions, found.n_unknown) == (wanted.n_predictions, wanted.n_unknown)
    assert isinstance(found.n_predictions, int)


def test_perplexity_of_nothing_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no perplexity of no text"):
        Perplexity.of([])


def test_a_perplexity_beyond_all_numbers_is_infinite() -> None:
    assert sentence_score([-800.0], [-1.0]).perplexity.forward == math.inf

"""What a language model expects."""

import math

import numpy as np
import pytest
import torch

from spacy_elmo import BiLM, LanguageModel, score
from spacy_elmo.explain import ExplainError, SurprisalReport, fill_gap, least_expected, measure_surprisal, surprisal
from spacy_elmo.explain.predictions import MAX_PLACES, predict_places
from spacy_elmo.explain.surprisal import UNKNOWN_WORD
from spacy_elmo.explain.texts import split_gap, split_text, text_settings
from tests.explain.conftest import language_model

SENTENCES = [["the", "match", "was", "unheard"], ["it"], [], ["a"] * (MAX_PLACES + 5)]


@pytest.fixture(scope="module")
def model(tiny_bilm: BiLM) -> LanguageModel:
    return language_model(tiny_bilm)


def test_surprisal_is_the_score_of_each_word_in_bits(model: LanguageModel) -> None:
    found = measure_surprisal(model, SENTENCES).sentences
    for one, scored, words in zip(found, score(model, SENTENCES), SENTENCES, strict=True):
        assert one.words == tuple(words)
        np.testing.assert_allclose(one.forward, -scored.forward[:-1] / math.log(2), rtol=1e-4)
        np.testing.assert_allclose(one.backward, -scored.backward[1:] / math.log(2), rtol=1e-4)
        assert len(one.clozes) == len(one.both) == len(words)
    assert found[0].known == (True, True, True, False)


def test_both_sides_together_are_their_product_over_what_is_known_without_them(model: LanguageModel) -> None:
    (places,) = predict_places(model, SENTENCES[:1])
    ranks = torch.arange(len(model.vocabulary))
    prior = ((ranks + 2) / (ranks + 1)).log() / math.log(len(ranks) + 1)
    joint = places.forward.exp() * places.backward.exp() / prior
    joint[:, :2] = 0
    torch.testing.assert_close(places.both.exp(), joint / joint.sum(dim=1, keepdim=True), rtol=1e-4, atol=1e-6)


def test_a_gap_is_filled_from_its_context_alone(model: LanguageModel) -> None:
    gap = fill_gap(model, ["the"], ["was", "it"], n_likely=3)
    for word in ("match", "a"):
        (one,) = measure_surprisal(model, [["the", word, "was", "it"]], 3).sentences
        assert one.clozes[1] == gap.cloze
    assert gap.cloze.forward != gap.cloze.backward
    probabilities = [p for _, p in gap.cloze.both]
    assert probabilities == sorted(probabilities, reverse=True)
    every = fill_gap(model, ["the"], ["was"], n_likely=99).cloze
    assert sorted(word for word, _ in every.both) == sorted([UNKNOWN_WORD, "the", "match", "a", "was", "burns", "it"])
    assert sum(p for _, p in every.both) == pytest.approx(1, rel=1e-5)


def test_the_least_expected_words_come_first_and_unknown_ones_count_more(model: LanguageModel) -> None:
    words = least_expected(model, SENTENCES[:2], n=3)
    (one, other) = measure_surprisal(model, SENTENCES[:2]).sentences
    bits = [*one.both[:3], one.both[3] + math.log2(len(model.vocabulary)), *other.both]
    assert [found.bits for found in words.found] == pytest.approx(sorted(bits, reverse=True)[:3])
    assert words.found[0].occurrence.word == "unheard"
    assert (words.n_words, words.n_sentences) == (5, 2)
    with pytest.raises(ExplainError, match="no words"):
        least_expected(model, [[]])


def test_of_many_sentences_some_are_there_at_a_time(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = least_expected(model, [*SENTENCES, [], *SENTENCES], n=5)
    assert whole.n_sentences == 2 * len(SENTENCES) + 1
    sizes: list[int] = []
    measure = surprisal.measure_surprisal

    def counted(model: LanguageModel, part: list[list[str]], n: int) -> SurprisalReport:
        sizes.append(len(part))
        return measure(model, part, n)

    monkeypatch.setattr(surprisal, "measure_surprisal", counted)
    monkeypatch.setattr(surprisal, "MAX_SENTENCES", 2)
    found = least_expected(model, [*SENTENCES, [], *SENTENCES], n=5)
    assert [one.bits for one in found.found] == pytest.approx([one.bits for one in whole.found])
    assert [one.occurrence for one in found.found] == [one.occurrence for one in whole.found]
    assert max(sizes) == 2


def test_texts_and_gaps_are_split_as_the_model_reads() -> None:
    settings = text_settings("en_elmo_sm")
    assert split_text("It can't. We do.", settings) == [["It", "ca", "n't", "."], ["We", "do", "."]]
    assert split_gap("He isn't a ___, no.", settings) == (["He", "is", "n't", "a"], [",", "no", "."])
    with pytest.raises(ExplainError, match="there are 2"):
        split_gap("A ___ and ___.", settings)

"""What a language model takes for granted about who does which work."""

import pytest

from spacy_elmo import BiLM, LanguageModel, score
from spacy_elmo.corpus.corpus import MARKS
from spacy_elmo.explain import ExplainError, Leaning, measure_bias
from spacy_elmo.explain.bias import OCCUPATIONS, TEMPLATES
from tests.explain.conftest import language_model


def test_a_leaning_is_the_difference_of_two_sentences_in_each_template(tiny_bilm: BiLM) -> None:
    model = LanguageModel(tiny_bilm, [*MARKS, "he", "she", "the"]).eval()
    bias = measure_bias(model)
    assert tuple(one.occupation for one in bias.leanings) == OCCUPATIONS
    nurse = bias.leanings[OCCUPATIONS.index("nurse")]
    texts = [TEMPLATES[1].format(occupation="nurse", pronoun=pronoun).split() for pronoun in ("he", "she")]
    he, she = (float(one.forward.sum() + one.backward.sum()) / 2 for one in score(model, texts))
    assert nurse.values[1] == pytest.approx(he - she, abs=1e-4)
    assert bias.mean == pytest.approx(sum(one.mean for one in bias.leanings) / len(OCCUPATIONS))


def test_a_model_without_these_words_is_refused(tiny_bilm: BiLM) -> None:
    with pytest.raises(ExplainError, match="has no 'he'"):
        measure_bias(language_model(tiny_bilm))


def test_an_interval_is_students() -> None:
    one = Leaning("judge", (1.0, 2.0, 3.0, 4.0))
    low, high = one.interval
    assert one.mean == 2.5
    # As scipy.stats.t.interval(0.95, 3, loc=2.5, scale=0.6455) has it.
    assert (low, high) == pytest.approx((0.4457, 4.5543), abs=1e-3)
    assert len(TEMPLATES) == 4  # whose degrees of freedom T_975 is of

"""Which sentences of long texts are read."""

import pickle

import pytest
import spacy
from spacy.tokens import Doc

from spacy_elmo.errors import ArgumentError
from spacy_elmo.layers.samples import FirstSentences, SampledSentences


def doc_of(n_sentences: int) -> Doc:
    words = [word for i in range(n_sentences) for word in (f"w{i}", ".")]
    return Doc(spacy.blank("xx").vocab, words=words, sent_starts=[i % 2 == 0 for i in range(len(words))])


def test_the_first_sentences_in_their_order() -> None:
    first, short = FirstSentences(3)([doc_of(9), doc_of(2)])
    assert [span[0].text for span in first] == ["w0", "w1", "w2"]
    assert [span[0].text for span in short] == ["w0", "w1"]


def test_a_sample_is_in_order_the_same_each_time_and_another_by_the_seed() -> None:
    doc = doc_of(40)
    sample, again, other = ([s.start for s in SampledSentences(5, seed)([doc])[0]] for seed in (0, 0, 1))
    assert sample == again == sorted(set(sample))
    assert len(sample) == 5
    assert sample != other
    assert sample[-1] > 10  # not the first ones


@pytest.mark.parametrize("getter", [FirstSentences, SampledSentences])
@pytest.mark.parametrize("n", [0, -1])
def test_no_sentences_are_refused(getter: type[FirstSentences | SampledSentences], n: int) -> None:
    with pytest.raises(ArgumentError, match=f"1 or more, and not n = {n}"):
        getter(n)


def test_a_short_text_is_read_whole() -> None:
    assert len(SampledSentences(5)([doc_of(5)])[0]) == 5


@pytest.mark.parametrize("getter", [FirstSentences(3), SampledSentences(4)])
def test_a_doc_without_boundaries_is_one_sentence(getter: FirstSentences | SampledSentences) -> None:
    """As it is where nothing says what is read; spaCy initializes components with such Docs."""
    doc = Doc(spacy.blank("xx").vocab, words=["a", "b"] * 9)
    assert getter([doc]) == [[doc[:]]]


@pytest.mark.parametrize("getter", [FirstSentences(3), SampledSentences(4, 2)])
def test_getters_go_to_other_processes(getter: FirstSentences | SampledSentences) -> None:
    assert pickle.loads(pickle.dumps(getter)) == getter


def test_they_are_found_by_their_names() -> None:
    for name, getter in (("first", FirstSentences(2)), ("sampled", SampledSentences(2))):
        config = {"get_spans": {"@span_getters": f"spacy-elmo.{name}_sentences.v1", "n": 2}}
        assert spacy.registry.resolve(config)["get_spans"] == getter

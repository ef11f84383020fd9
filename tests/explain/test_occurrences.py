"""Where a word stands in texts."""

import pytest
import spacy
from spacy.tokens import Doc

from spacy_elmo.explain import ExplainError, Occurrence, find_occurrences

NLP = spacy.blank("en")


def test_each_place_in_its_sentence_whatever_the_case() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    doc = nlp("Match  it . No match , no match .")
    assert list(find_occurrences([doc, NLP("Nothing")], "match")) == [
        Occurrence(("Match", "it", "."), 0),
        Occurrence(("No", "match", ",", "no", "match", "."), 1),
        Occurrence(("No", "match", ",", "no", "match", "."), 4),
    ]


def test_labels_are_attributes_of_the_token_or_of_its_doc() -> None:
    doc = Doc(NLP.vocab, ["a", "match"], pos=["DET", "NOUN"])
    doc.cats = {"sport": 0.9, "news": 0.1}
    doc.user_data["sense"] = "game"
    found = {by: next(find_occurrences([doc], "match", by)).label for by in ("token.pos_", "doc.cats", "doc.text")}
    assert found == {"token.pos_": "NOUN", "doc.cats": "sport", "doc.text": "a match "}
    assert next(find_occurrences([doc], "match", "doc.user_data.sense")).label == "game"


@pytest.mark.parametrize("by", ["pos_", "token", "token.colour", "doc._.unknown", "doc.user_data.unknown"])
def test_an_attribute_that_is_none_is_named(by: str) -> None:
    with pytest.raises(ExplainError, match=by.split(".")[-1]):
        list(find_occurrences([Doc(NLP.vocab, ["match"])], "match", by))

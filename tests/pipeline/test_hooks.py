"""spaCy's own `similarity` by ELMo's vectors, where that is asked for."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin

from spacy_elmo.pipeline import set_hooks
from spacy_elmo.pipeline.hooks import HookingPipe

from .helpers import blank

TEXTS = ("he struck a match", "the match is over")


@pytest.fixture(scope="module")
def nlp(tiny_source: str) -> Language:
    nlp = blank(tiny_source)
    nlp.add_pipe("elmo_similarity")
    return nlp


def is_by_elmo(one: Doc, other: Doc) -> bool:
    """Whether Docs, Spans and Tokens are as alike as their ELMo vectors. spaCy has 1 for two tokens of one form."""
    pairs = [(one, other), (one[1:4], other[:2]), (one[3], other[1]), (one, other[1])]
    return all(a.similarity(b) == a._.elmo_similarity(b) for a, b in pairs) and one[3].similarity(other[1]) < 0.999


def test_similarity_is_that_of_the_elmo_vectors_where_it_is_asked_for(nlp: Language, tiny_source: str) -> None:
    assert is_by_elmo(*nlp.pipe(TEXTS))
    assert is_by_elmo(nlp(TEXTS[0]), nlp(TEXTS[1]))
    one, other = blank(tiny_source).pipe(TEXTS)
    assert one[3].similarity(other[1]) == 1
    assert not one.user_hooks


def test_a_saved_pipeline_goes_on_with_it(nlp: Language, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path)
    assert is_by_elmo(*spacy.load(tmp_path).pipe(TEXTS))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda nlp: pickle.loads(pickle.dumps(nlp))], ids=["deepcopy", "pickle"]
)
def test_a_copied_pipeline_goes_on_with_it_by_itself(nlp: Language, copied: Callable[[Language], Language]) -> None:
    other = copied(nlp)
    docs = list(other.pipe(TEXTS))
    assert is_by_elmo(*docs)
    assert docs[0].vocab is other.vocab


def test_other_pipelines_stay_as_they_are(nlp: Language) -> None:
    assert isinstance(nlp.pipe, HookingPipe)
    assert not isinstance(spacy.blank("en").pipe, HookingPipe)
    with nlp.select_pipes(disable=["elmo_similarity"]):
        assert not next(iter(nlp.pipe(TEXTS))).user_hooks
    assert is_by_elmo(*nlp.pipe(TEXTS))


def test_contexts_stay_with_their_docs(nlp: Language) -> None:
    found = list(nlp.pipe([(TEXTS[0], "one"), (TEXTS[1], "other")], as_tuples=True))
    assert [context for _, context in found] == ["one", "other"]
    assert is_by_elmo(found[0][0], found[1][0])


@pytest.mark.filterwarnings("ignore:.*W109")
@pytest.mark.parametrize(
    "again",
    [
        lambda docs: pickle.loads(pickle.dumps(docs)),
        lambda docs: [set_hooks(Doc(doc.vocab).from_bytes(doc.to_bytes())) for doc in docs],
        lambda docs: list(map(set_hooks, DocBin(docs=docs, store_user_data=True).get_docs(docs[0].vocab))),
    ],
    ids=["pickle", "bytes", "DocBin"],
)
def test_docs_that_were_written_have_it_again(nlp: Language, again: Callable[[list[Doc]], list[Doc]]) -> None:
    assert is_by_elmo(*again(list(nlp.pipe(TEXTS))))


def test_a_doc_without_vectors_is_an_error_and_no_other_similarity(nlp: Language) -> None:
    with pytest.raises(ValueError, match="'a b' has no ELMo vector"):
        nlp(TEXTS[0]).similarity(nlp.make_doc("a b"))


def test_docs_without_it_get_no_hooks(tiny_source: str) -> None:
    doc = set_hooks(blank(tiny_source)(TEXTS[0]))
    assert (doc.user_hooks, doc.user_span_hooks, doc.user_token_hooks) == ({}, {}, {})

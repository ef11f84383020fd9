import random
from collections import Counter
from typing import Any

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, DocBin

from spacy_elmo.corpus import tokenize
from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.corpus.tokenize import DocumentTokenizer, Tokens, load_nlp

from .corpora import ENGLISH, TRAIN

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


def sentences(tokens: Tokens) -> list[list[list[str]]]:
    """Words, by sentence and document."""
    rows = iter(tokens.rows.tolist())
    documents: list[list[list[str]]] = []
    for n_rows in tokens.document_rows.tolist():
        documents.append([])
        for row in (next(rows) for _ in range(n_rows)):
            if row == 0:
                documents[-1].append([])
            else:
                documents[-1][-1].append(tokens.words[row - 1])
    assert list(rows) == []
    return documents


def without_space(docs: list[Doc]) -> list[list[list[str]]]:
    """The same, as spaCy says it."""
    documents = [[[t.text for t in sent if not t.is_space] for sent in doc.sents] for doc in docs]
    documents = [[sentence for sentence in document if sentence] for document in documents]
    return [document for document in documents if document]


@pytest.fixture(scope="module")
def english() -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    return nlp


@pytest.fixture(scope="module")
def tokenizer() -> DocumentTokenizer:
    return DocumentTokenizer(ENGLISH)


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
            st.lists(st.sampled_from([*"ab.!? \n\t\u3000", "Don't ", "U.S. ", "👍🏽", "(e.g.)", "\u200b"])).map(
                "".join
            ),
        ),
        max_size=5,
    )
)
def test_words_and_sentences_are_spacys(english: Language, tokenizer: DocumentTokenizer, texts: list[str]) -> None:
    tokens = tokenizer([[text] for text in texts])
    assert sentences(tokens) == without_space(list(english.pipe(texts)))
    assert len(set(tokens.words)) == len(tokens.words)
    assert set(tokens.rows.tolist()) <= set(range(len(tokens.words) + 1))


@st.composite
def annotated_docs(draw: st.DrawFn) -> list[tuple[list[str], list[bool] | None]]:
    """Words, and which of them start a sentence, or None where nothing is known."""
    docs = []
    for words in draw(st.lists(st.lists(st.one_of(WORDS, st.sampled_from(["\n", " ", "."])), max_size=8), max_size=4)):
        starts = [draw(st.booleans()) for _ in words]
        docs.append((words, draw(st.sampled_from([starts, None]))))
    return docs


@settings(max_examples=150, deadline=None)
@given(docs=annotated_docs())
def test_docs_keep_words_and_sentences(
    english: Language, tokenizer: DocumentTokenizer, docs: list[tuple[list[str], list[bool] | None]]
) -> None:
    made = [Doc(english.vocab, words=words, sent_starts=starts) for words, starts in docs]
    tokens = tokenizer(DocBin(docs=made).to_bytes())
    expected = [doc if doc.has_annotation("SENT_START") else english(doc.copy()) for doc in made]
    assert sentences(tokens) == without_space(expected)


def test_sentences_of_a_parse(tokenizer: DocumentTokenizer) -> None:
    doc = Doc(
        spacy.blank("en").vocab,
        words=["a", ".", "b", "c"],
        heads=[0, 0, 3, 3],
        deps=["ROOT", "punct", "dep", "ROOT"],
    )
    tokens = tokenizer(DocBin(attrs=["HEAD", "DEP"], docs=[doc]).to_bytes())
    assert sentences(tokens) == [[["a", "."], ["b", "c"]]]


def test_a_sentence_that_begins_with_whitespace(tokenizer: DocumentTokenizer) -> None:
    words = ["\n", "a", " ", "\n", "b", "\t", "c", "\n"]
    starts = [True, False, False, True, False, False, True, True]
    doc = Doc(spacy.blank("en").vocab, words=words, sent_starts=starts)
    tokens = tokenizer(DocBin(docs=[doc]).to_bytes())
    assert sentences(tokens) == [[["a"], ["b"], ["c"]]]


def test_a_sentence_in_two_by_whitespace_stays_one(tokenizer: DocumentTokenizer) -> None:
    words = ["a", "\n", "b"]
    doc = Doc(spacy.blank("en").vocab, words=words, sent_starts=[True, False, False])
    tokens = tokenizer(DocBin(docs=[doc]).to_bytes())
    assert sentences(tokens) == [[["a", "b"]]]


def test_without_a_sentence_rule_a_document_is_a_sentence() -> None:
    config: dict[str, Any] = {"nlp": {"lang": "en", "pipeline": []}, "components": {}}
    tokens = DocumentTokenizer(config)([["One. Two!"], [" "], ["Three."]])
    assert sentences(tokens) == [[["One", ".", "Two", "!"]], [["Three", "."]]]


def test_the_sentence_rule_is_the_configs() -> None:
    config = {**ENGLISH, "components": {"sentencizer": {"factory": "sentencizer", "punct_chars": [";"]}}}
    assert sentences(DocumentTokenizer(config)([["One. Two; three"]])) == [[["One", ".", "Two", ";"], ["three"]]]


def test_nothing_gives_nothing(tokenizer: DocumentTokenizer) -> None:
    for nothing in ([], [[""], [" \n"]], DocBin().to_bytes()):
        tokens = tokenizer(nothing)
        assert (len(tokens.rows), len(tokens.document_rows), tokens.words) == (0, 0, [])


def test_texts_longer_than_spacy_takes_by_default(tokenizer: DocumentTokenizer) -> None:
    assert Language().max_length < 1_200_000
    tokens = tokenizer([["word " * 240_000]])
    assert Counter(tokens.rows.tolist()) == {0: 1, 1: 240_000}


def test_a_vocabulary_is_given_up_when_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def noted(config: dict[str, Any]) -> Any:
        made.append(load_nlp(config))
        return made[-1]

    monkeypatch.setattr(tokenize, "load_nlp", noted)
    monkeypatch.setattr(tokenize, "MAX_STRINGS", len(load_nlp(ENGLISH).vocab.strings) + 300)
    tokenizer = DocumentTokenizer(ENGLISH)
    letters = random.Random(0)
    for _ in range(6):
        texts = [" ".join("".join(letters.choices("abcdefgh", k=9)) for _ in range(200)), *TRAIN]
        assert sentences(tokenizer([[text] for text in texts])) == without_space(list(made[0].pipe(texts)))
    assert len(made) > 2
    assert len(made[-1].vocab.strings) < len(made[0].vocab.strings)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"nlp": {"lang": "zz"}}, "zz"),
        ({"nlp": {"lang": "en", "pipeline": ["x"]}, "components": {"x": {"factory": "splitter"}}}, "splitter"),
        ({}, "nlp"),
    ],
)
def test_configs_that_make_no_pipeline(config: dict[str, Any], message: str) -> None:
    with pytest.raises(CorpusError, match="the nlp config does not make a spaCy pipeline") as error:
        load_nlp(config)
    assert message in str(error.value)


def test_a_misspelt_key_is_not_passed_over() -> None:
    with pytest.raises(CorpusError) as error:
        load_nlp({"nlp": {"lang": "en", "pipelines": ["sentencizer"]}, "components": ENGLISH["components"]})
    assert str(error.value) == "the nlp config has keys that spaCy does not know: nlp.pipelines."

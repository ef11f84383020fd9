"""Misspelt copies of training texts."""

import random
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import spacy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span, SpanGroup, Token
from spacy.training import Corpus, Example
from spacy.util import fix_random_seed, registry

from experiments.datasets import VOCAB, write_docs
from spacy_elmo.augment import NEXT, create_typos_augmenter, is_word, misspelt, with_typos, with_words

NLP = spacy.blank("en")
any_word = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=12)
english = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'-09", min_size=1, max_size=12)
words = st.lists(any_word | english, max_size=20)


def n_edits(one: str, other: str) -> int:
    """The Damerau-Levenshtein distance: of insertions, deletions, substitutions and swaps of neighbours."""
    rows = [[max(i, j) if 0 in (i, j) else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            same = one[i - 1] == other[j - 1]
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (not same))
            if min(i, j) > 1 and one[i - 2 : i] == other[j - 2 : j][::-1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


def texts(docs: list[Doc]) -> list[list[str]]:
    return [[token.text for token in doc] for doc in docs]


@pytest.fixture(scope="module", autouse=True)
def attributes() -> Iterator[None]:
    """Custom attributes of Docs, spans and tokens."""
    for part in (Doc, Span, Token):
        part.set_extension("noted", default=None)
    yield
    for part in (Doc, Span, Token):
        part.remove_extension("noted")


def annotated(tokens: list[str], seed: int = 0) -> Doc:
    """A Doc with all that can be annotated; what is where is random."""
    chance = Random(seed)
    n = len(tokens)
    doc = Doc(
        VOCAB,
        words=tokens,
        spaces=[chance.random() < 0.7 for _ in tokens],
        sent_starts=[i == 0 or chance.random() < 0.2 for i in range(n)],
        tags=[chance.choice("AB") for _ in tokens],
        pos=[chance.choice(["NOUN", "VERB"]) for _ in tokens],
        lemmas=[chance.choice(["be", "go"]) for _ in tokens],
        morphs=[chance.choice(["", "Number=Sing"]) for _ in tokens],
    )
    doc.cats = {"x": 1.0, "y": 0.0}
    doc.user_data["document"] = "one"
    doc._.noted = "all"
    if n > 2:
        begin = chance.randrange(n - 1)
        span = Span(doc, begin, begin + 2, "PER", kb_id="Q1", span_id="s1")
        span._.noted = "span"
        doc[begin]._.noted = "token"
        doc.set_ents([span], missing=[doc[0:1]] if begin else [])
        doc.spans["sc"] = SpanGroup(doc, name="sc", attrs={"k": 1}, spans=[span, Span(doc, 0, n, "B"), doc[1:3]])
    return doc


def annotations(doc: Doc) -> dict[str, Any]:
    """All but words and characters."""
    spans = [span for group in doc.spans.values() for span in group]
    return {
        "tokens": [
            (t.whitespace_, t.tag_, t.pos_, t.lemma_, str(t.morph), t.is_sent_start, t.ent_iob_, t.dep_, t.head.i)
            for t in doc
        ],
        "ents": [(e.start, e.end, e.label_, e.kb_id_, e.id_) for e in doc.ents],
        "spans": [(s.start, s.end, s.label_, s.kb_id_, s.id_, s._.noted) for s in spans],
        "groups": {name: (group.name, group.attrs, len(group)) for name, group in doc.spans.items()},
        "noted": [doc._.noted, *(token._.noted for token in doc), doc.user_data.get("document")],
        "cats": doc.cats,
        "unknown": doc.has_unknown_spaces,
    }


# A word


@given(any_word | english, st.integers(0, 1000))
def test_an_error_is_one_edit(word: str, seed: int) -> None:
    assume(is_word(word))
    other = misspelt(word, Random(seed))
    assert other
    assert n_edits(word, other) == 1
    # What is no letter stays.
    assert [c for c in other if not c.isalpha()] == [c for c in word if not c.isalpha()]


def test_kinds_and_places_of_errors_are_equally_likely() -> None:
    """For a word of unlike letters none of which is beside another on the keyboard."""
    chance = Random(0)
    found = Counter(misspelt("amen", chance) for _ in range(4000))
    by_length = Counter({n: sum(found[word] for word in found if len(word) == n) for n in (3, 4, 5)})
    assert by_length[3] == pytest.approx(1000, abs=120)
    assert by_length[5] == pytest.approx(1000, abs=120)
    assert sum(found[word] for word in ("maen", "aemn", "amne")) == pytest.approx(1000, abs=120)
    for word in ("men", "aen", "amn", "ame"):
        assert found[word] == pytest.approx(250, abs=70)


def test_wrong_letters_are_near_on_the_keyboard() -> None:
    assert {key: set(NEXT[key]) for key in "aghpm"} == {
        "a": set("qwsz"),
        "g": set("tyfhvb"),
        "h": set("yugjbn"),
        "p": set("ol"),
        "m": set("njk"),
    }
    # Whatever is beside a key has it beside itself.
    assert all(key in NEXT[other] for key in NEXT for other in NEXT[key])
    chance = Random(0)
    substituted = {word for word in (misspelt("PP", chance) for _ in range(200)) if len(word) == 2}
    assert substituted == {"OP", "PO", "LP", "PL"}


# A Doc


@given(words, st.floats(0, 1), st.integers(0, 1000))
def test_all_but_the_words_stays(tokens: list[str], rate: float, seed: int) -> None:
    doc = annotated(tokens, seed)
    before = annotations(doc)
    copy = with_words(doc, with_typos(tokens, rate, Random(seed)))
    assert annotations(copy) == annotations(doc) == before
    assert [token.text for token in doc] == tokens
    for one, other in zip(doc, copy, strict=True):
        assert other.text.strip()
        assert n_edits(one.text, other.text) <= is_word(one.text)
        # A misspelt word that is normalised to the right one would be no test.
        assert other.norm_ == Doc(VOCAB, words=[other.text])[0].norm_
    for group, other_group in zip(doc.spans.values(), copy.spans.values(), strict=True):
        for span, other in zip(group, other_group, strict=True):
            assert other.text == copy[span.start : span.end].text == copy.text[other.start_char : other.end_char]


def test_syntax_and_unknown_spaces_stay() -> None:
    doc = Doc(VOCAB, words=["They", "slept", "Then", "left"], heads=[1, 1, 3, 3], deps=["nsubj", "ROOT", "dep", "ROOT"])
    copy = with_words(doc, ["Tey", "slpet", "Then", "left"])
    assert copy.has_unknown_spaces == doc.has_unknown_spaces is True
    assert annotations(copy) == annotations(doc)
    assert [len(sentence) for sentence in copy.sents] == [2, 2]


def test_words_that_stay_keep_the_norm_that_the_tokenizer_gave_them() -> None:
    doc = NLP("don't worry")
    assert [token.norm_ for token in doc] == ["do", "not", "worry"]
    assert [token.norm_ for token in with_words(doc, ["do", "n't", "wrory"])] == ["do", "not", "wrory"]


# The augmenter


def examples_of(docs: list[Doc]) -> list[Example]:
    return [Example(Doc(VOCAB, words=[t.text for t in d], spaces=[bool(t.whitespace_) for t in d]), d) for d in docs]


def augmented(docs: list[Doc], level: float, rate: float, seed: int = 0) -> list[Example]:
    augmenter = create_typos_augmenter(level, rate)
    fix_random_seed(seed)
    return [example for one in examples_of(docs) for example in augmenter(NLP, one)]


@settings(deadline=None, max_examples=50)
@given(st.lists(words.filter(bool), max_size=3), st.floats(0, 1), st.floats(0, 1), st.integers(0, 1000))
def test_an_example_stays_one_whose_tokens_are_aligned_one_to_one(
    sentences: list[list[str]], level: float, rate: float, seed: int
) -> None:
    docs = [annotated(tokens, seed) for tokens in sentences]
    found = augmented(docs, level, rate, seed)
    for doc, example in zip(docs, found, strict=True):
        assert annotations(example.reference) == annotations(doc)
        assert [token.text for token in example.predicted] == [token.text for token in example.reference]
        assert example.alignment.x2y.lengths.tolist() == [1] * len(doc)
        assert example.get_aligned_ner() == examples_of([doc])[0].get_aligned_ner()
    again = augmented(docs, level, rate, seed)
    assert [example.text for example in found] == [example.text for example in again]


def test_level_and_rate_are_shares_of_texts_and_of_their_words() -> None:
    docs = [Doc(VOCAB, words=["some", "of", "these", "words", ",", "I", "42"]) for _ in range(500)]
    for level, rate in ((0, 1), (1, 0), (1, 1), (0.5, 0.2), (0.3, 1)):
        changed = [
            sum(a.text != b.text for a, b in zip(doc, example.reference, strict=True))
            for doc, example in zip(docs, augmented(docs, level, rate), strict=True)
        ]
        wanted = 2000 * level * rate
        assert sum(changed) == pytest.approx(wanted, abs=0 if wanted in (0, 2000) else 120)
        if rate == 1:
            assert set(changed) <= {0, 4}, "a text is misspelt or is not"


def test_where_the_tokenizer_reads_other_tokens_it_reads_the_misspelt_text() -> None:
    gold = Doc(NLP.vocab, words=["state-of-the-art", "engines"], spaces=[True, False])
    gold.set_ents([Span(gold, 0, 2, "X")])
    random.seed(0)
    (example,) = create_typos_augmenter(1, 1)(NLP, Example(NLP.make_doc(gold.text), gold))
    assert example.predicted.text == example.reference.text != gold.text
    assert len(example.predicted) == 8
    assert [ent.text for ent in example.get_aligned_spans_y2x(example.reference.ents)] == [example.text]


def test_spacys_corpus_reads_other_errors_each_time_and_the_same_with_the_same_seed(tmp_path: Any) -> None:
    """As `@augmenters = "spacy-elmo.typos.v1"` in a config: found by its entry point."""
    write_docs([annotated(["Plain", "words", "of", "one", "text"], seed) for seed in range(20)], tmp_path / "c.spacy")
    augmenter = registry.resolve({"it": {"@augmenters": "spacy-elmo.typos.v1", "level": 0.5, "rate": 0.5}})["it"]
    corpus = Corpus(tmp_path / "c.spacy", augmenter=augmenter)
    runs = []
    for _ in range(2):
        fix_random_seed(1)
        runs.append([[example.text for example in corpus(NLP)] for _ in range(2)])
    assert runs[0][0] != runs[0][1]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(("level", "rate", "name"), [(-0.1, 0.5, "level"), (0.5, 1.5, "rate")])
def test_what_is_no_share_is_refused(level: float, rate: float, name: str) -> None:
    with pytest.raises(ValueError, match=rf"spacy-elmo\.typos\.v1: {name} is "):
        create_typos_augmenter(level, rate)

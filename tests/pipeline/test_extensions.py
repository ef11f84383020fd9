"""The custom attributes, and what becomes of them when Docs change."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span, Token
from spacy.tokens.underscore import Underscore

from spacy_elmo import BiLM

from .helpers import (
    Array,
    assert_same_predictions,
    blank,
    elmo_config,
    examples,
    listener,
    model_config,
    pipeline,
    predictions,
    train,
)

ATOL = 1e-6


@pytest.fixture(scope="module")
def nlp(tiny_source: str) -> Language:
    return blank(tiny_source)


def test_token_vector_is_its_row(nlp: Language, tiny_bilm: BiLM) -> None:
    doc = nlp("a b c")
    expected = tiny_bilm.embed([["a", "b", "c"]])[0].mean(axis=0)
    for token in doc:
        np.testing.assert_allclose(token._.elmo, expected[token.i], atol=ATOL)


def test_means_pass_over_whitespace(nlp: Language) -> None:
    doc = nlp("a  b \n c d")
    words = [token.i for token in doc if not token.is_space]
    np.testing.assert_allclose(doc._.elmo, doc.tensor[words].mean(axis=0), atol=ATOL)
    span = doc[1:4]
    inside = [token.i for token in span if not token.is_space]
    assert len(inside) < len(span)
    np.testing.assert_allclose(span._.elmo, doc.tensor[inside].mean(axis=0), atol=ATOL)


def test_span_of_one_token_has_its_vector(nlp: Language) -> None:
    doc = nlp("a b c")
    np.testing.assert_array_equal(doc[1:2]._.elmo, doc[1]._.elmo)


def test_spans_without_words_have_zeros(nlp: Language) -> None:
    doc = nlp("a \n b")
    assert doc[1].is_space
    np.testing.assert_array_equal(doc[1:2]._.elmo, np.zeros(12))
    np.testing.assert_array_equal(doc[1]._.elmo, np.zeros(12))
    np.testing.assert_array_equal(doc[1:1]._.elmo, np.zeros(12))
    np.testing.assert_array_equal(nlp(" \n ")._.elmo, np.zeros(12))


def test_entities_and_sentences_are_spans(nlp: Language) -> None:
    doc = nlp("a b c d")
    doc.set_ents([Span(doc, 1, 3, label="X")])
    np.testing.assert_allclose(doc.ents[0]._.elmo, doc.tensor[1:3].mean(axis=0), atol=ATOL)


def test_docs_that_elmo_has_not_seen_have_none(nlp: Language) -> None:
    doc = nlp.make_doc("a b")
    assert doc._.elmo is None
    assert doc._.elmo_layers is None
    assert doc[0]._.elmo is None
    assert doc[0:2]._.elmo is None


def test_layers_are_kept_when_asked_for(tiny_source: str, tiny_bilm: BiLM) -> None:
    doc = blank(tiny_source, keep_layers=True)("a b c")
    assert isinstance(doc._.elmo_layers, np.ndarray)
    assert doc._.elmo_layers.dtype == np.float32
    np.testing.assert_allclose(doc._.elmo_layers, tiny_bilm.embed([["a", "b", "c"]])[0], atol=ATOL)


def test_layers_are_not_kept_otherwise(nlp: Language) -> None:
    assert nlp("a b c")._.elmo_layers is None


def test_layers_are_kept_while_an_elmo_listener_needs_them(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    assert nlp("a b c")._.elmo_layers.shape == (3, 3, 12)
    nlp.remove_pipe("tagger")
    assert nlp("a b c")._.elmo_layers is None


def test_layers_are_not_kept_for_a_listener_to_the_tensor(tiny_source: str) -> None:
    tok2vec = {"@architectures": "spacy.Tok2VecListener.v1", "width": 12, "upstream": "elmo"}
    assert pipeline(tiny_source, "tagger", tok2vec=tok2vec)("a b c")._.elmo_layers is None


def test_none_frees_the_layers(tiny_source: str) -> None:
    doc = blank(tiny_source, keep_layers=True)("a b c")
    vectors = doc[1]._.elmo.copy()
    size = len(doc.to_bytes())
    doc._.elmo_layers = None
    assert doc._.elmo_layers is None
    assert len(doc.to_bytes()) < size - 3 * 3 * 12 * 4
    np.testing.assert_array_equal(doc[1]._.elmo, vectors)


def test_none_frees_the_vectors(tiny_source: str) -> None:
    doc = blank(tiny_source, keep_layers=True)("a b c")
    doc._.elmo = None
    assert doc._.elmo is None
    assert doc[0]._.elmo is None
    assert doc[0:2]._.elmo is None
    assert doc._.elmo_layers is not None


def test_none_on_a_doc_without_elmo_does_nothing(nlp: Language) -> None:
    doc = nlp.make_doc("a b")
    doc._.elmo = None
    doc._.elmo_layers = None
    assert doc._.elmo is None


@pytest.mark.parametrize("name", ["elmo", "elmo_layers"])
@pytest.mark.parametrize("value", [0, np.zeros(3), "None"])
def test_other_values_are_refused(nlp: Language, name: str, value: object) -> None:
    doc = nlp("a b")
    before = doc._.elmo.copy()
    with pytest.raises(ValueError, match=rf"Doc\._\.{name} is written by the ELMo component"):
        doc._.set(name, value)
    np.testing.assert_array_equal(doc._.elmo, before)


@pytest.mark.parametrize("change", ["merge", "split"])
def test_merged_or_split_tokens_raise_rather_than_mislead(tiny_source: str, change: str) -> None:
    nlp = blank(tiny_source, keep_layers=True)
    doc = nlp("ab c d")
    with doc.retokenize() as retokenizer:
        if change == "merge":
            retokenizer.merge(doc[0:2])
        else:
            retokenizer.split(doc[0], ["a", "b"], heads=[(doc[0], 0), (doc[0], 1)])
    n = len(doc)
    for read in (lambda: doc._.elmo, lambda: doc[0]._.elmo, lambda: doc[0:1]._.elmo, lambda: doc._.elmo_layers):
        with pytest.raises(ValueError, match=f"those of 3 tokens, but it now has {n}.*nlp.get_pipe\\('elmo'\\)"):
            read()


def test_elmo_can_be_applied_again_after_retokenizing(tiny_source: str, tiny_bilm: BiLM) -> None:
    nlp = blank(tiny_source, keep_layers=True)
    doc = nlp("a b c d")
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[1:3])
    nlp.get_pipe("elmo")(doc)
    expected = tiny_bilm.embed([["a", "b c", "d"]])[0]
    np.testing.assert_allclose(doc._.elmo_layers, expected, atol=ATOL)
    np.testing.assert_allclose(doc[1]._.elmo, expected.mean(axis=0)[1], atol=ATOL)


def test_listener_reads_afresh_after_retokenizing(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    train(nlp, 10)
    merged = nlp.get_pipe("elmo")(nlp.make_doc("Vera moved to Rome"))
    with merged.retokenize() as retokenizer:
        retokenizer.merge(merged[1:3])
    fresh = Doc(nlp.vocab, words=["Vera", "moved to", "Rome"])
    tagger = nlp.get_pipe("tagger")
    (found,), (wanted,) = tagger.model.predict([merged]), tagger.model.predict([fresh])
    np.testing.assert_allclose(found, wanted, atol=ATOL)


def add_overwriting_tok2vec(nlp: Language) -> None:
    """spaCy's own tok2vec, of another width, between "elmo" and the components that listen to it."""
    nlp.add_pipe(
        "tok2vec",
        after="elmo",
        config={
            "model": {
                "@architectures": "spacy.HashEmbedCNN.v2",
                "pretrained_vectors": None,
                "width": 8,
                "depth": 1,
                "embed_size": 50,
                "window_size": 1,
                "maxout_pieces": 2,
                "subword_features": True,
            }
        },
    )
    nlp.get_pipe("tok2vec").model.initialize()


def test_component_that_overwrites_the_tensor_changes_nothing_else(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", "ner", "textcat")
    train(nlp, 20)
    before, vectors = predictions(nlp), [token._.elmo.copy() for token in nlp("Vera likes jam")]
    add_overwriting_tok2vec(nlp)
    doc = nlp("Vera likes jam")
    assert doc.tensor.shape == (3, 8)
    for token, vector in zip(doc, vectors, strict=True):
        np.testing.assert_allclose(token._.elmo, vector, atol=ATOL)
    assert_same_predictions(predictions(nlp), before)


def test_listeners_of_elmo_and_of_tok2vec_train_side_by_side(tiny_source: str) -> None:
    """The usual tok2vec listener means its tok2vec by '*', whatever else stands before it."""
    nlp = blank(tiny_source)
    add_overwriting_tok2vec(nlp)
    nlp.add_pipe("ner", config={"model": model_config("ner", listener())})
    tok2vec = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "*"}
    nlp.add_pipe("tagger", config={"model": model_config("tagger", tok2vec)})
    nlp.initialize(lambda: examples(nlp))
    losses, _ = train(nlp, 20)
    for name in ("ner", "tagger"):
        assert losses[-1][name] < 0.5 * losses[0][name]
    assert losses[-1]["tok2vec"] > 0


def test_vectors_are_those_of_the_component_that_ran_last(tiny_source: str, other_source: str) -> None:
    nlp = blank(tiny_source)
    nlp.add_pipe("elmo", name="other", config=elmo_config(other_source))
    doc = nlp("a b c")
    assert doc[0]._.elmo.shape == (8,)
    nlp.get_pipe("elmo")(doc)
    np.testing.assert_allclose(doc[0]._.elmo, blank(tiny_source)("a b c").tensor[0], atol=ATOL)
    nlp.get_pipe("other")(doc)
    np.testing.assert_allclose(doc[0]._.elmo, blank(other_source)("a b c").tensor[0], atol=ATOL)


def test_extensions_do_not_trample_those_of_others(tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever took a name first keeps it."""
    monkeypatch.setattr(Underscore, "token_extensions", {})
    Token.set_extension("elmo", default="mine")
    with pytest.warns(UserWarning, match=r"Token\._\.elmo is not ELMo's"):
        doc = blank(tiny_source)("a b")
    assert doc[0]._.elmo == "mine"
    np.testing.assert_allclose(doc._.elmo, doc.tensor.mean(axis=0), atol=ATOL)


def test_own_attributes_are_no_strangers(tiny_source: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blank(tiny_source)("a b")


def test_a_merge_and_a_split_that_leave_the_number_of_tokens_raise(tiny_source: str) -> None:
    """Each vector is that of a word, and not that of a place."""
    nlp = blank(tiny_source, keep_layers=True)
    doc = nlp("Jo saw New York and Rome afterall .")
    before = [token._.elmo.copy() for token in doc]
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[2:4])
        retokenizer.split(doc[6], ["after", "all"], heads=[(doc[6], 0), (doc[6], 1)])
    assert [token.text for token in doc] == ["Jo", "saw", "New York", "and", "Rome", "after", "all", "."]
    assert len(doc) == len(before)
    np.testing.assert_array_equal(doc[1]._.elmo, before[1])
    np.testing.assert_array_equal(doc[7]._.elmo, before[7])
    for read in (lambda: doc[3]._.elmo, lambda: doc[2:4]._.elmo, lambda: doc._.elmo, lambda: doc._.elmo_layers):
        with pytest.raises(ValueError, match=r"those of other tokens than .*nlp.get_pipe\('elmo'\)"):
            read()


def test_equal_words_that_have_moved_are_not_taken_for_each_other(nlp: Language) -> None:
    doc = nlp("x y very very very ab")
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:2])
        retokenizer.split(doc[5], ["a", "b"], heads=[(doc[5], 0), (doc[5], 1)])
    assert doc[3].text == "very"
    with pytest.raises(ValueError, match="other tokens than 'very'"):
        _ = doc[3]._.elmo


def test_listener_reads_afresh_after_a_merge_and_a_split(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    train(nlp, 10)
    doc = nlp.get_pipe("elmo")(nlp.make_doc("Vera moved to Rome"))
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[1:3])
        retokenizer.split(doc[3], ["Ro", "me"], heads=[(doc[3], 0), (doc[3], 1)])
    fresh = Doc(nlp.vocab, words=[token.text for token in doc])
    tagger = nlp.get_pipe("tagger")
    (found,), (wanted,) = tagger.model.predict([doc]), tagger.model.predict([fresh])
    np.testing.assert_allclose(found, wanted, atol=ATOL)


def test_vectors_of_version_0_1_are_read(nlp: Language) -> None:
    """Docs stored by it do not say of which words their vectors are."""
    doc = nlp("a b c")
    wanted = doc[1]._.elmo.copy()
    for key in ("words", "spans"):
        del doc.user_data["spacy_elmo"]["elmo"][key]
    np.testing.assert_array_equal(doc[1]._.elmo, wanted)
    np.testing.assert_array_equal(nlp(doc)[1]._.elmo, wanted)


# Similarity


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_similarity_is_that_of_the_vectors(nlp: Language) -> None:
    one, other = nlp("he struck a match"), nlp("the match is over")
    pairs = [(one[3], other[1]), (one[1:4], other[0:2]), (one, other), (one[3], other), (one[0:2], other[1])]
    for a, b in pairs:
        assert a._.elmo_similarity(b) == pytest.approx(cosine(a._.elmo, b._.elmo), abs=1e-6)
        assert a._.elmo_similarity(b) == pytest.approx(b._.elmo_similarity(a), abs=1e-6)
    assert one[3]._.elmo_similarity(other[1]) < 0.999
    assert one[3]._.elmo_similarity(one[3]) == pytest.approx(1)


def test_similarity_of_whitespace_is_zero(nlp: Language) -> None:
    doc = nlp("a \n b")
    assert doc[1]._.elmo_similarity(doc[0]) == 0


def test_similarity_leaves_hooks_to_their_owner(nlp: Language) -> None:
    doc = nlp("a b")
    doc.user_token_hooks["similarity"] = lambda token, other: 0.125
    assert doc[0].similarity(doc[1]) == 0.125
    assert nlp(doc)[0].similarity(doc[1]) == 0.125


def test_similarity_of_what_has_no_vector_is_an_error(nlp: Language, other_source: str) -> None:
    doc = nlp("a b")
    with pytest.raises(ValueError, match="'c d' has no ELMo vector"):
        doc._.elmo_similarity(nlp.make_doc("c d"))
    with pytest.raises(ValueError, match="widths are 12 and 8"):
        doc._.elmo_similarity(blank(other_source)("c d"))
    with pytest.raises(TypeError, match="not of a str"):
        doc._.elmo_similarity("c d")


def test_similarity_right_after_load_and_in_other_processes(tiny_source: str, tmp_path: Path) -> None:
    nlp = blank(tiny_source)
    a, b = nlp("a match"), nlp("match over")
    wanted = a[1]._.elmo_similarity(b[0])
    nlp.to_disk(tmp_path / "nlp")
    DocBin(store_user_data=True, docs=[a, b]).to_disk(tmp_path / "docs.spacy")
    program = (
        "import spacy, sys; from spacy.tokens import DocBin; nlp = spacy.load(sys.argv[1]); "
        "a, b = DocBin().from_disk(sys.argv[2]).get_docs(nlp.vocab); print(a[1]._.elmo_similarity(b[0]))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "nlp"), str(tmp_path / "docs.spacy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    assert float(done.stdout) == pytest.approx(wanted, abs=1e-6)


def test_analyze_pipes_knows_what_is_assigned(nlp: Language) -> None:
    assigned = nlp.analyze_pipes()["summary"]["elmo"]["assigns"]
    assert assigned == ["doc.tensor", "doc._.elmo", "doc._.elmo_layers", "span._.elmo", "token._.elmo"]


def test_attributes_are_known_without_the_component_having_run(tiny_source: str) -> None:
    blank(tiny_source)
    doc = spacy.blank("xx")("a b")
    assert doc._.elmo is None

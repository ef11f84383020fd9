"""spacy-transformers' span getters, resolved from the config by name."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import fix_random_seed

from spacy_elmo import BiLM

from .helpers import Array, blank, elmo_config, examples, listener, model_config, right_answers, train

WORDS = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]
LIGHT = """
import sys
import spacy
import spacy_elmo.pipeline

# spaCy itself imports the factories of all installed packages, that of spacy-transformers too.
spacy.registry._entry_point_factories.entry_points = False
nlp = spacy.blank("xx")
nlp.add_pipe("elmo", config={"model": {"@architectures": "spacy-elmo.ElmoModel.v1", "source": sys.argv[1]}})
nlp("a b")
nlp.to_bytes()
assert "spacy_transformers" not in sys.modules
assert "transformers" not in sys.modules
getter = {"@span_getters": "spacy-transformers.doc_spans.v1"}
model = {"@architectures": "spacy-elmo.ElmoModel.v1", "source": sys.argv[1], "get_spans": getter}
nlp.add_pipe("elmo", name="other", config={"model": model})
assert "spacy_transformers" in sys.modules
print("light")
"""


def strided(window: int, stride: int) -> dict[str, Any]:
    return {"@span_getters": "spacy-transformers.strided_spans.v1", "window": window, "stride": stride}


def make_doc(nlp: Language, words: list[str] = WORDS, **settings: Any) -> Doc:
    return Doc(nlp.vocab, words=words, spaces=[False] * len(words), **settings)


def averaged(bilm: BiLM, words: list[str], spans: list[tuple[int, int]]) -> Array:
    """The layers of words read in spans, by hand: each token's mean over the spans it is in, zeros for one in none."""
    layers = np.zeros((3, len(words), 12))
    for token in range(len(words)):
        read = [bilm.embed([words[a:b]])[0][:, token - a] for a, b in spans if a <= token < b]
        if read:
            layers[:, token] = np.mean(read, axis=0)
    return layers


@pytest.mark.parametrize(
    ("window", "stride", "spans"),
    [
        (4, 2, [(0, 4), (2, 6), (4, 8), (6, 10), (8, 11)]),
        (4, 4, [(0, 4), (4, 8), (8, 11)]),
        (5, 1, [(0, 5), (1, 6), (2, 7), (3, 8), (4, 9), (5, 10), (6, 11)]),
        (20, 10, [(0, 11)]),
    ],
)
def test_overlapping_windows_are_averaged(
    tiny_source: str, tiny_bilm: BiLM, window: int, stride: int, spans: list[tuple[int, int]]
) -> None:
    nlp = blank(tiny_source, keep_layers=True, get_spans=strided(window, stride))
    doc = nlp(make_doc(nlp))
    expected = averaged(tiny_bilm, WORDS, spans)
    np.testing.assert_allclose(doc._.elmo_layers, expected, atol=1e-6)
    np.testing.assert_allclose(doc.tensor, expected.mean(axis=0), atol=1e-6)


def test_tokens_in_no_span_have_zeros(tiny_source: str, tiny_bilm: BiLM) -> None:
    """A stride above the window leaves gaps."""
    nlp = blank(tiny_source, keep_layers=True, get_spans=strided(2, 4))
    doc = nlp(make_doc(nlp))
    expected = averaged(tiny_bilm, WORDS, [(0, 2), (4, 6), (8, 11)])
    np.testing.assert_array_equal(expected[:, 2:4], 0)
    np.testing.assert_allclose(doc._.elmo_layers, expected, atol=1e-6)


def test_doc_spans_read_over_sentence_boundaries(tiny_source: str, tiny_bilm: BiLM) -> None:
    nlp = blank(tiny_source, keep_layers=True, get_spans={"@span_getters": "spacy-transformers.doc_spans.v1"})
    doc = nlp(make_doc(nlp, sent_starts=[i in (0, 5) for i in range(11)]))
    np.testing.assert_allclose(doc._.elmo_layers, tiny_bilm.embed([WORDS])[0], atol=1e-6)


def test_sent_spans_are_the_sentences(tiny_source: str, tiny_bilm: BiLM) -> None:
    nlp = blank(tiny_source, keep_layers=True, get_spans={"@span_getters": "spacy-transformers.sent_spans.v1"})
    doc = nlp(make_doc(nlp, sent_starts=[i in (0, 5) for i in range(11)]))
    expected = np.concatenate(tiny_bilm.embed([WORDS[:5], WORDS[5:]]), axis=1)
    np.testing.assert_allclose(doc._.elmo_layers, expected, atol=1e-6)


def test_sent_spans_of_a_doc_without_sentences_raise(tiny_source: str) -> None:
    """spaCy's own error says what is missing."""
    nlp = blank(tiny_source, get_spans={"@span_getters": "spacy-transformers.sent_spans.v1"})
    with pytest.raises(ValueError, match="Sentence boundaries unset"):
        nlp(make_doc(nlp))


def test_empty_docs_and_whitespace_with_windows(tiny_source: str, tiny_bilm: BiLM) -> None:
    nlp = blank(tiny_source, keep_layers=True, get_spans=strided(2, 1))
    words = ["a", " ", "b", "c", "\n"]
    empty, doc = nlp.pipe([make_doc(nlp, []), make_doc(nlp, words)])
    assert empty.tensor.shape == (0, 12)
    # The windows are "a ", " b", "bc", "c\n".
    alone = {word: tiny_bilm.embed([[word]])[0][:, 0] for word in "abc"}
    both = tiny_bilm.embed([["b", "c"]])[0]
    np.testing.assert_allclose(doc._.elmo_layers[:, 0], alone["a"], atol=1e-6)
    np.testing.assert_allclose(doc._.elmo_layers[:, 2], (alone["b"] + both[:, 0]) / 2, atol=1e-6)
    np.testing.assert_allclose(doc._.elmo_layers[:, 3], (alone["c"] + both[:, 1]) / 2, atol=1e-6)
    np.testing.assert_array_equal(doc._.elmo_layers[:, [1, 4]], 0)


def test_span_getter_comes_back_from_disk(tiny_source: str, tmp_path: Path) -> None:
    nlp = blank(tiny_source, get_spans=strided(4, 2))
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.config["components"]["elmo"]["model"]["get_spans"] == strided(4, 2)
    doc, wanted = loaded(make_doc(loaded)), nlp(make_doc(nlp))
    np.testing.assert_allclose(doc.tensor, wanted.tensor, atol=1e-6)


def test_training_with_windows(tiny_source: str) -> None:
    """Gradients go back through the averages."""
    fix_random_seed(0)
    nlp = spacy.blank("xx")
    nlp.add_pipe("elmo", config=elmo_config(tiny_source, frozen=False, get_spans=strided(3, 2)))
    nlp.add_pipe("tagger", config={"model": model_config("tagger", listener())})
    nlp.initialize(lambda: examples(nlp))
    train(nlp, 30)
    found = [[token.tag_ for token in doc] for doc in nlp.pipe(example.text for example in examples(nlp))]
    assert found == [tags for tags, _ in right_answers(nlp)]


def test_spacy_transformers_is_imported_only_when_asked_for(tiny_source: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, tiny_source], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout.strip() == "light", done.stderr

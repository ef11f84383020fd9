"""Vectors of documents: the component's, whatever is asked for and whatever stands beside a document."""

from typing import Any

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc

from spacy_elmo import BiLM
from spacy_elmo.embedding import EmbeddedDocument, EmbeddingError, Settings, vectors
from spacy_elmo.embedding.documents import Document, Reject, of_sentences
from spacy_elmo.embedding.tokenizer import of_doc
from spacy_elmo.embedding.vectors import Embedder

SENTENCES = [["It", "ends", "."], ["Ünï", "😀", "a", "b", "c"]]
DOCUMENT = of_sentences("one", SENTENCES)


def embedded(bilm: BiLM, documents: list[Document | Reject], **settings: Any) -> list[EmbeddedDocument]:
    return list(Embedder(bilm, Settings(**settings))(documents))


def test_layers_and_pooling(tiny_bilm: BiLM) -> None:
    sentences = tiny_bilm.embed(SENTENCES)
    whole = np.concatenate(sentences, axis=1)
    for layers, chosen in [("all", whole), ("average", whole.mean(0)), ("top", whole[-1]), ("1", whole[1])]:
        (found,) = embedded(tiny_bilm, [DOCUMENT], layers=layers)
        np.testing.assert_allclose(found.vectors, chosen, rtol=0, atol=1e-6)
        (found,) = embedded(tiny_bilm, [DOCUMENT], layers=layers, pool="doc")
        np.testing.assert_allclose(found.vectors, chosen.mean(-2), rtol=0, atol=1e-6)
        (found,) = embedded(tiny_bilm, [DOCUMENT], layers=layers, pool="sentence")
        means = np.stack([chosen[..., :3, :].mean(-2), chosen[..., 3:, :].mean(-2)], axis=-2)
        np.testing.assert_allclose(found.vectors, means, rtol=0, atol=1e-6)
    (half,) = embedded(tiny_bilm, [DOCUMENT], layers="top", dtype="float16")
    assert half.vectors.dtype == np.float16
    assert np.array_equal(half.vectors, whole[-1].astype(np.float16))


@pytest.mark.parametrize("pool", ["none", "sentence", "doc"])
@pytest.mark.parametrize("layers", ["all", "top"])
def test_a_document_without_tokens(tiny_bilm: BiLM, pool: str, layers: str) -> None:
    found, _ = embedded(tiny_bilm, [of_sentences("empty", []), DOCUMENT], layers=layers, pool=pool)
    shape = {"none": (0, 12), "sentence": (0, 12), "doc": (12,)}[pool]
    assert found.vectors.shape == ((3, *shape) if layers == "all" else shape)
    assert not found.vectors.any()


def test_they_are_the_component_s(tiny_bilm: BiLM, tiny_source: str) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("elmo", config={"model": {"source": tiny_source}, "keep_layers": True})
    doc = nlp("Hello  there.\nIt ends? Yes")
    (found,) = embedded(tiny_bilm, [of_doc("x", doc)], layers="all")
    rows = [token.i for token in doc if not token.is_space]
    assert len(rows) < len(doc)
    np.testing.assert_allclose(found.vectors, doc._.elmo_layers[:, rows], rtol=0, atol=1e-6)


def test_the_order_is_kept_over_windows_and_batches(tiny_bilm: BiLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "WINDOW_TOKENS", 40)
    words = np.random.default_rng(0).integers(0, 50, 2000)
    documents: list[Document | Reject] = [
        of_sentences(str(i), [[f"w{w}" for w in words[i * j : i * j + (i * j) % 7]] for j in range(1, 5)])
        for i in range(60)
    ]
    documents.insert(30, Reject("r", "a reason"))
    found = embedded(tiny_bilm, documents, layers="top")
    assert [one.id for one in found] == [one.id for one in documents]
    for one, document in zip(found, documents, strict=True):
        if isinstance(document, Document):
            wanted = [layers[-1] for layers in tiny_bilm.embed([document.tokens[a:b] for a, b in document.sentences])]
            np.testing.assert_allclose(one.vectors, np.concatenate([np.zeros((0, 12)), *wanted]), rtol=0, atol=1e-6)


def test_a_window_holds_no_more_than_it_must(tiny_bilm: BiLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "WINDOW_TOKENS", 20)
    taken = 0

    def many() -> Any:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield DOCUMENT

    windows = Embedder(tiny_bilm, Settings()).windows(many())
    next(windows)
    assert taken == 3  # of eight tokens each, and itself
    monkeypatch.setattr(vectors, "WINDOW_TOKENS", 50)
    rejects = (Reject(str(i), "") for i in range(120))
    assert [len(window) for window in Embedder(tiny_bilm, Settings()).windows(rejects)] == [50, 50, 20]


def test_one_that_fails_does_not_take_others_along(tiny_bilm: BiLM) -> None:
    broken = Document("broken", "x", [None], DOCUMENT.offsets[:1], np.array([[0, 1]], np.int32))
    first, fault, last = embedded(tiny_bilm, [DOCUMENT, broken, DOCUMENT])
    np.testing.assert_allclose(first.vectors, last.vectors, rtol=0, atol=1e-6)
    assert isinstance(fault, Reject)
    assert fault.id == "broken"
    assert "not embedded" in fault.reason


def test_what_does_not_fit_is_rejected(tiny_bilm: BiLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "MAX_LAYERS_BYTES", 3 * 12 * 4 * 4)
    fault, short = embedded(tiny_bilm, [DOCUMENT, of_sentences("short", [["a"] * 4])])
    assert isinstance(fault, Reject)
    assert "a sentence of 5 tokens, and 4 are the most" in fault.reason
    assert isinstance(short, EmbeddedDocument)
    monkeypatch.setattr(vectors, "MAX_LAYERS_BYTES", 2**30)
    monkeypatch.setattr(vectors, "MAX_ROW_BYTES", 12 * 2 * 4)
    assert isinstance(embedded(tiny_bilm, [DOCUMENT])[0], Reject)
    for settings in ({"dtype": "float16", "pool": "sentence"}, {"pool": "sentence"}, {"pool": "doc"}):
        assert isinstance(embedded(tiny_bilm, [DOCUMENT], **settings)[0], EmbeddedDocument)


def test_values_beyond_float16_are_rejected(tiny_source: str) -> None:
    from spacy_elmo import load_bilm

    bilm = load_bilm(tiny_source, "cpu")
    bilm.char_cnn.projection.weight.data *= 1e7
    (fault,) = embedded(bilm, [DOCUMENT], layers="0", dtype="float16")
    assert isinstance(fault, Reject)
    assert "no numbers in float16" in fault.reason
    assert isinstance(embedded(bilm, [DOCUMENT], layers="0")[0], EmbeddedDocument)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": "last"}, "layers is 'last', but must be all, average, top"),
        ({"pool": "mean"}, "pool is 'mean', but must be one of none, sentence, doc"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"format": "lines"}, "format is 'lines'"),
        ({"precision": "float64"}, "precision is 'float64'"),
        ({"part_characters": 0}, "part_characters is 0"),
        ({"layers": "3"}, "layers is 3, but the model's are 0 to 2"),
    ],
)
def test_settings_that_mean_nothing(tiny_bilm: BiLM, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(EmbeddingError, match=message):
        Embedder(tiny_bilm, Settings(**settings))


def test_a_doc_without_sentences_is_read_as_one() -> None:
    doc = Doc(spacy.blank("en").vocab, ["a", " ", "b"], [True, False, False])
    assert of_doc("x", doc).sentences.tolist() == [[0, 2]]

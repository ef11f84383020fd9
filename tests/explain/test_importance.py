"""Which words made a decision."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from spacy import Language

from spacy_elmo.explain import ExplainError, explain_decisions, word_path
from spacy_elmo.explain.decisions import CategoryDecision, decisions_of, first_decider
from spacy_elmo.explain.importance import _explained, integrated_gradients
from spacy_elmo.explain.word_path import Vectors, WordPath, padding_vector, word_vectors
from tests.pipeline.helpers import elmo_listener_of, examples, listener, model_config, pipeline, train

TEXT = "Vera moved to Kiel"


@pytest.fixture(scope="module")
def nlp(tiny_source: str) -> Language:
    """With an ner and two textcats, of one category and of several, and dropout in a listener."""
    nlp = pipeline(tiny_source, "ner", "textcat", tok2vec=listener(dropout=0.2), initialize=False)
    several = model_config("textcat") | {"exclusive_classes": False}
    nlp.add_pipe("textcat_multilabel", config={"model": several})
    nlp.initialize(lambda: examples(nlp))
    train(nlp, 30)
    return nlp


@pytest.fixture(params=["ner", "textcat", "textcat_multilabel"])
def path(request: pytest.FixtureRequest, nlp: Language) -> WordPath:
    return WordPath(nlp, request.param, nlp(TEXT))


def test_the_way_from_word_vectors_is_the_pipelines_own(nlp: Language) -> None:
    doc = nlp(TEXT)
    for name in ("textcat", "textcat_multilabel"):
        alone = nlp.select_pipes(enable=["elmo", name])
        with alone:
            cats = nlp(TEXT).cats
        path = WordPath(nlp, name, doc)
        np.testing.assert_allclose(path.vectors, word_vectors(path.bilm, TEXT.split()), atol=0)
        for label, value in cats.items():
            assert path.scores(CategoryDecision(label), path.vectors[None])[0] == pytest.approx(value, rel=1e-4)
    path = WordPath(nlp, "ner", doc)
    found = [(d.start, d.end, d.label) for d in decisions_of(path.component, path.model, doc)]
    assert found
    assert found == [(ent.start, ent.end, ent.label_) for ent in doc.ents]


def test_gradients_are_those_of_finite_differences(path: WordPath) -> None:
    decision = decisions_of(path.component, path.model, path.doc)[-1]
    # Half way to the baseline, where nothing is saturated.
    x = path.vectors / 2 + padding_vector(path.bilm) / 2
    step = 2e-2
    rng = np.random.default_rng(0)
    (gradient,) = path.gradients(decision, [x])
    for _ in range(3):
        way = rng.normal(size=x.shape).astype("float32")
        way /= np.linalg.norm(way)
        low, high = path.scores(decision, np.stack([x - step * way, x + step * way]))
        assert (high - low) / (2 * step) == pytest.approx((gradient * way).sum(), rel=0.03, abs=2e-4)


def test_of_many_variants_a_few_are_there_at_a_time(path: WordPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_path, "MAX_ROWS", 2 * len(path.words))
    taken: list[int] = []

    def variants() -> Iterator[Vectors]:
        for i in range(9):
            taken.append(i)
            yield path.vectors

    gradients = path.gradients(decisions_of(path.component, path.model, path.doc)[-1], variants())
    assert next(gradients).shape == path.vectors.shape
    assert len(taken) == 2


def test_the_shares_add_up_to_the_difference_of_the_scores(nlp: Language) -> None:
    doc = nlp(TEXT)
    for name in ("ner", "textcat", "textcat_multilabel"):
        for background, baseline in (((), "padding"), (("likes", "hot", "jam"), "mean")):
            explanation = explain_decisions(nlp, name, doc, background=background)
            assert explanation.baseline == baseline
            for one in explanation.decisions:
                difference = one.score - one.baseline_score
                assert abs(difference) > 0.05
                assert one.gradients.sum() == pytest.approx(difference, rel=0.01)


def test_a_text_begins_from_the_mean_of_its_own_words_and_one_word_from_padding(nlp: Language) -> None:
    doc = nlp(TEXT)
    own, named = (explain_decisions(nlp, "ner", doc, background=words) for words in (None, TEXT.split()))
    assert own.baseline == "mean"
    np.testing.assert_array_equal(own.decisions[0].gradients, named.decisions[0].gradients)
    one = own.decisions[0]
    assert one.gradients.sum() == pytest.approx(one.score - one.baseline_score, rel=0.01, abs=0.001)
    assert explain_decisions(nlp, "textcat", nlp("Kiel Kiel")).baseline == "padding"


def test_occlusion_is_what_the_score_loses_without_a_word(path: WordPath) -> None:
    decision = decisions_of(path.component, path.model, path.doc)[0]
    one = _explained(path, decision, padding_vector(path.bilm), 512)
    x = path.vectors.copy()
    x[2] = padding_vector(path.bilm)
    assert one.occlusion[2] == pytest.approx(one.score - path.scores(decision, x[None])[0], rel=1e-3, abs=1e-5)


def test_variants_are_taken_some_at_a_time(path: WordPath, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = decisions_of(path.component, path.model, path.doc)[0]
    whole = path.scores(decision, np.stack([path.vectors] * 3))
    monkeypatch.setattr(word_path, "MAX_ROWS", 2 * len(path.words))
    made = iter([path.vectors] * 3)
    parts = path._parts(made)
    assert (len(next(parts)), len(list(made))) == (2, 1)
    np.testing.assert_allclose(path.scores(decision, (path.vectors for _ in range(3))), whole, rtol=1e-6)


def test_a_component_that_does_not_listen_is_passed_over(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "textcat")
    nlp.add_pipe("ner", first=True)
    assert first_decider(nlp) == "textcat"


def test_sentences_are_read_apart_and_whitespace_has_no_share(nlp: Language) -> None:
    doc = nlp.make_doc("Vera moved  to Kiel")
    doc[3].is_sent_start = True
    for token in doc:
        token.is_sent_start = token.i == 3
    with nlp.select_pipes(enable=["elmo", "textcat"]):
        doc = nlp(doc)
    path = WordPath(nlp, "textcat", doc)
    assert path.rows == [0, 1, 3, 4]
    assert [len(sequence) for sequence in path._words.sequences] == [2, 2]
    (one,) = explain_decisions(nlp, "textcat", doc).decisions
    assert one.gradients[2] == one.occlusion[2] == 0
    assert one.score == pytest.approx(doc.cats[one.decision], rel=1e-4)


def test_the_pipeline_stays_as_it_was(nlp: Language) -> None:
    doc = nlp(TEXT)
    before = nlp.get_pipe("ner").to_bytes(), nlp.get_pipe("textcat").to_bytes()
    gradients = gradients_of(nlp)
    batches = [elmo_listener_of(nlp, name)._batch for name in ("ner", "textcat")]
    for name in ("ner", "textcat"):
        explain_decisions(nlp, name, doc)
    assert gradients_of(nlp) == gradients
    assert [elmo_listener_of(nlp, name)._batch for name in ("ner", "textcat")] == batches
    assert (nlp.get_pipe("ner").to_bytes(), nlp.get_pipe("textcat").to_bytes()) == before
    assert elmo_listener_of(nlp, "ner").mix.attrs["dropout"] == 0.2


def gradients_of(nlp: Language) -> list[bytes]:
    nodes = [node for name in ("ner", "textcat") for node in nlp.get_pipe(name).model.walk()]
    return [node.get_grad(key).tobytes() for node in nodes for key in node.grad_names]


def test_too_few_steps_are_refused(nlp: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spacy_elmo.explain.importance.STEPS", 1)
    monkeypatch.setattr("spacy_elmo.explain.importance.TOLERANCE", 1e-9)
    with pytest.raises(ExplainError, match="after 2 steps"):
        explain_decisions(nlp, "ner", nlp(TEXT), max_steps=2)


def test_more_steps_come_nearer(nlp: Language) -> None:
    path = WordPath(nlp, "ner", nlp(TEXT))
    decision = decisions_of(path.component, path.model, path.doc)[0]
    nothing = np.broadcast_to(padding_vector(path.bilm), path.vectors.shape)
    low, high = path.scores(decision, np.stack([nothing, path.vectors]))
    errors = [abs(integrated_gradients(path, decision, nothing, n).sum() - (high - low)) for n in (2, 64)]
    assert errors[1] < errors[0] / 5


@pytest.mark.parametrize(
    ("explain", "told"),
    [
        (lambda nlp: explain_decisions(nlp, "tagger", nlp(TEXT)), "text categorizers and entity recognizers"),
        (lambda nlp: explain_decisions(nlp, "sentencizer", nlp(TEXT)), "listen"),
        (lambda nlp: first_decider(nlp), "neither"),
        (lambda nlp: explain_decisions(nlp, "tagger", nlp(" ")), "no words"),
    ],
)
def test_what_cannot_be_explained_is_told(tiny_source: str, explain: Callable[[Language], Any], told: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    nlp.add_pipe("sentencizer")
    with pytest.raises(ExplainError, match=told):
        explain(nlp)


def test_replaced_listeners_are_told(tiny_source: str) -> None:
    """Their component has a copy of the biLM, and nobody to ask for its layers."""
    nlp = pipeline(tiny_source, "textcat")
    nlp.replace_listeners("elmo", "textcat", ["model.tok2vec"])
    with pytest.raises(ExplainError, match=r"'textcat' does not listen to one 'elmo' component.*replace_listeners"):
        explain_decisions(nlp, "textcat", nlp(TEXT))

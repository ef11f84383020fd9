"""What spaCy says when it begins a training (W086, W087) of components that are frozen and others that are not."""

import logging
from typing import Any

import pytest
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp

from .helpers import Settings, examples, listener, pipeline, spacy_listener


@pytest.mark.parametrize(
    ("tok2vec", "frozen", "training", "said"),
    [
        # A listener of ours asks a component that is left out of training; one of spaCy's needs it to annotate.
        (listener(), True, {"frozen_components": ["elmo"]}, []),
        (spacy_listener(12), True, {"frozen_components": ["elmo"]}, ["W086"]),
        (spacy_listener(12), True, {"frozen_components": ["elmo"], "annotating_components": ["elmo"]}, []),
        # A frozen biLM goes on giving a frozen component what it was trained with.
        (listener(), True, {"frozen_components": ["tagger"]}, []),
        (listener(), True, {}, []),
        (listener(), False, {}, []),
    ],
)
def test_warnings_about_frozen_components(
    tiny_source: str,
    tmp_path: Any,
    caplog: pytest.LogCaptureFixture,
    tok2vec: Settings,
    frozen: bool,
    training: Settings,
    said: list[str],
) -> None:
    nlp = pipeline(tiny_source, "tagger", tok2vec=tok2vec, frozen=frozen)
    DocBin(docs=[example.reference for example in examples(nlp)]).to_disk(tmp_path / "train.spacy")
    config = nlp.config.copy()
    for corpus in ("train", "dev"):
        config["corpora"][corpus]["path"] = str(tmp_path / "train.spacy")
    config["training"].update(training)
    init_nlp(config)
    found = [record.getMessage()[1:5] for record in caplog.records if record.levelno >= logging.WARNING]
    assert found == said


def test_all_that_listen_are_among_those_whose_listeners_can_be_replaced(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger", "ner")
    assert "tagger" in nlp.get_pipe("elmo").listening_components
    assert nlp.get_pipe("elmo").listening_components == ["tagger", "ner"]

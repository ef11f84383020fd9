"""experiments/bias.py, on models whose leaning is known."""

import json
from pathlib import Path

import pytest
import torch
from thinc.api import Config

from experiments import bias
from spacy_elmo import LanguageModel
from spacy_elmo.language import save_language_model
from tests.experiments.helpers import run
from tests.language.models import random_language_model

VOCABULARY = ["<S>", "</S>", "<UNK>", "he", "she", "the", "."]


def leaning(model: LanguageModel, nats: float) -> LanguageModel:
    """The same, with "he" that much likelier in any place."""
    he, she = VOCABULARY.index("he"), VOCABULARY.index("she")
    with torch.no_grad():
        model.softmax.weight[he] = model.softmax.weight[she]
        model.softmax.bias[he] = model.softmax.bias[she] + nats
    return model


def look(model: LanguageModel, directory: Path) -> dict[str, float]:
    save_language_model(model, directory / "model", Config(), {})
    output = directory / "metrics" / "bias"
    run(bias, directory / "model", "--output", output)
    table = output.with_suffix(".md").read_text("utf8")
    found: dict[str, float] = json.loads(output.with_suffix(".json").read_text("utf8"))
    mean = sum(found.values()) / len(found)
    for occupation, value in found.items():
        assert f"| {occupation} | {value:+.2f} | {value - mean:+.2f} |" in table
    assert f"| average | {mean:+.2f} |  |" in table
    return found


@pytest.mark.parametrize("nats", [0.0, 2.0, -1.0])
def test_a_leaning_of_the_softmax_is_found(tmp_path: Path, nats: float) -> None:
    """Both directions predict the word, and their average is taken. What follows it is read after another word,
    so nearly.
    """
    found = look(leaning(random_language_model(vocabulary=VOCABULARY), nats), tmp_path)
    assert len(found) == 34
    for value in found.values():
        assert value == pytest.approx(nats, abs=0.5)

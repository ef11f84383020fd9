import json
from pathlib import Path
from typing import Any

import pytest

from spacy_elmo import BiLM, save_bilm
from tests.checkpoints.test_allennlp import OPTIONS, WEIGHTS, write_pair
from tests.cli.helpers import assert_fails, elmo
from tests.conftest import TINY

FACTS = {
    "step": 1200,
    "epoch": 3,
    "n_words": 10_000_000,
    "heldout": {"forward": 41.5, "backward": 43.25},
    "device": "cpu",
}
WORDS = ["<S>", "</S>", "<UNK>", "the", "naïve"]


@pytest.fixture
def trained(tmp_path: Path, tiny_bilm: BiLM) -> Path:
    """A model with what training leaves beside it."""
    directory = save_bilm(tiny_bilm, tmp_path / "trained")
    (directory / "vocabulary.json").write_text(json.dumps(WORDS), encoding="utf8")
    (directory / "training.json").write_text(json.dumps(FACTS), encoding="utf8")
    (directory / "softmax.safetensors").write_bytes(b"12345")
    return directory


def facts_of(*arguments: str | Path) -> dict[str, Any]:
    result = elmo("info", *arguments, "--json")
    assert result.code == 0, result.text
    return json.loads(result.output)


def test_an_embedded_model() -> None:
    facts = facts_of("en_elmo_sm")
    assert (facts["format"], facts["dtype"], facts["width"], facts["layers"]) == ("native", "float16", 256, 3)
    parameters = facts["parameters"]
    assert parameters["total"] == sum(parameters[part] for part in ("char_cnn", "forward_lstms", "backward_lstms"))
    assert "vocabulary_size" not in facts
    assert "training" not in facts
    for path, size in facts["files"].items():
        assert Path(path).stat().st_size == size


def test_a_trained_model(trained: Path) -> None:
    facts = facts_of(trained)
    assert facts["config"] == json.loads(json.dumps(TINY.to_dict()))
    assert facts["dtype"] == "float32"
    # Of the dimensions in TINY: characters, convolutions, a highway of 18, projection; cells of 10 and outputs of 6.
    char_cnn = 262 * 5 + (1 * 4 + 2 * 6 + 3 * 8) * 5 + 18 + 2 * (18 * 18 + 18) + 18 * 6 + 6
    lstms = 2 * (4 * 10 * 12 + 4 * 10 + 6 * 10)
    assert facts["parameters"] == {
        "char_cnn": char_cnn,
        "forward_lstms": lstms,
        "backward_lstms": lstms,
        "total": char_cnn + 2 * lstms,
    }
    assert facts["vocabulary_size"] == 5
    assert facts["training"] == FACTS
    names = ["config.json", "model.safetensors", "vocabulary.json", "softmax.safetensors", "training.json"]
    assert facts["files"] == {str(trained / name): (trained / name).stat().st_size for name in names}


def test_a_trained_model_for_people(trained: Path) -> None:
    result = elmo("info", trained)
    assert result.code == 0
    for words in (
        "native, stored as float32",
        "3 layers, 12 wide",
        "4 of width 1, 6 of width 2, 8 of width 3",
        "5 words",
        "softmax.safetensors 5 bytes",
        "step 1200",
        "device cpu",
        '{"forward": 41.5, "backward": 43.25}',
    ):
        assert words in result.text


@pytest.mark.parametrize("as_pair", [False, True])
def test_an_allennlp_model(tmp_path: Path, as_pair: bool) -> None:
    options, weights = write_pair(tmp_path, OPTIONS, WEIGHTS, prefix="small_")
    facts = facts_of(options, "--weights", weights) if as_pair else facts_of(tmp_path)
    assert (facts["format"], facts["dtype"], facts["width"]) == ("allennlp", "float32", 10)
    assert facts["files"] == {str(path): path.stat().st_size for path in (options, weights)}


def test_clips_of_none_are_shown(tmp_path: Path) -> None:
    options = {**OPTIONS, "lstm": {**OPTIONS["lstm"], "cell_clip": None, "proj_clip": 0.5}}
    write_pair(tmp_path, options, WEIGHTS)
    assert "cells none, outputs 0.5" in elmo("info", tmp_path).text


def test_a_source_that_names_nothing() -> None:
    assert_fails(elmo("info", "en_elmo_xl"), "'en_elmo_xl' names no ELMo model", "en_elmo_sm")


def test_a_damaged_model(trained: Path) -> None:
    path = trained / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert_fails(elmo("info", trained, "--json"), "model.safetensors: not a whole safetensors file")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocabulary.json", "{}", "vocabulary.json: not a vocabulary, which is a JSON list of words"),
        ("vocabulary.json", '["<S>", 7]', "vocabulary.json: not a vocabulary, which is a JSON list of words"),
        ("vocabulary.json", "null", "vocabulary.json: not a vocabulary, which is a JSON list of words"),
        ("vocabulary.json", '["the", "a"]', "its first words are ['the', 'a'] and not ['<S>', '</S>', '<UNK>']"),
        ("vocabulary.json", '["<S>"', "vocabulary.json: not readable as JSON"),
        ("training.json", "[1]", "training.json: not the facts of a training"),
        ("training.json", "null", "training.json: not the facts of a training"),
        ("training.json", "", "training.json: not readable as JSON"),
    ],
)
def test_a_damaged_companion_is_named(trained: Path, name: str, content: str, message: str) -> None:
    (trained / name).write_text(content, encoding="utf8")
    assert_fails(elmo("info", trained), message)

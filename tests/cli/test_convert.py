import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from spacy_elmo import BiLM, BiLMConfig, load_bilm, save_bilm
from tests.checkpoints.test_allennlp import OPTIONS, WEIGHTS, write_pair
from tests.cli.helpers import assert_fails, elmo
from tests.cli.test_info import WORDS, trained  # noqa: F401
from tests.conftest import TINY, random_bilm
from tests.manylangs import SENTENCES as MANY_SENTENCES
from tests.manylangs import random_model

SENTENCES = [["The", "river", "bank"], ["naïve"]]


def assert_same_parameters(found: Path, wanted: BiLM) -> None:
    bilm = load_bilm(found, device="cpu")
    assert bilm.config == wanted.config
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(bilm.state_dict()[name], tensor), name


def test_there_and_back(tmp_path: Path) -> None:
    result = elmo("convert", "en_elmo_sm", "there", "--to", "allennlp", directory=tmp_path)
    assert result.code == 0, result.text
    assert "Wrote there" in result.text
    assert sorted(os.listdir(tmp_path / "there")) == ["options.json", "vocab.txt", "weights.hdf5"]
    arguments = ("there", "back", "--to", "native", "--dtype", "float16")
    assert elmo("convert", *arguments, directory=tmp_path).code == 0
    wanted = load_bilm("en_elmo_sm", device="cpu")
    assert_same_parameters(tmp_path / "there", wanted)
    assert_same_parameters(tmp_path / "back", wanted)
    found = load_bilm(tmp_path / "there", device="cpu").embed(SENTENCES)
    for one, other in zip(found, wanted.embed(SENTENCES), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_pair_with_a_vocabulary_to_native(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    options, weights = write_pair(source, OPTIONS, WEIGHTS, prefix="small_")
    write_pair(source, OPTIONS, WEIGHTS, prefix="other_")
    (source / "vocab.txt").write_text("the\n", encoding="utf8")
    assert_fails(elmo("convert", source, tmp_path / "target", "--to", "native"), "2 files *options.json")
    result = elmo("convert", options, tmp_path / "target", "--weights", weights, "--to", "native")
    assert result.code == 0, result.text
    assert sorted(os.listdir(tmp_path / "target")) == ["config.json", "model.safetensors"]
    assert_same_parameters(tmp_path / "target", load_bilm([options, weights], device="cpu"))


def test_a_trained_model_to_allennlp_takes_its_vocabulary(tmp_path: Path, trained: Path, tiny_bilm: BiLM) -> None:  # noqa: F811
    result = elmo("convert", trained, tmp_path / "target", "--to", "allennlp")
    assert result.code == 0, result.text
    assert sorted(os.listdir(tmp_path / "target")) == ["options.json", "vocab.txt", "weights.hdf5"]
    assert (tmp_path / "target" / "vocab.txt").read_text("utf8").splitlines() == WORDS
    assert_same_parameters(tmp_path / "target", tiny_bilm)
    assert "Left behind: softmax.safetensors, training.json." in result.text
    # TINY's words have 20 characters.
    assert "AllenNLP itself cannot use this model" in result.text
    assert "20" in result.text


def test_a_trained_model_to_native_leaves_its_vocabulary(tmp_path: Path, trained: Path) -> None:  # noqa: F811
    result = elmo("convert", trained, tmp_path / "target", "--to", "native", "--dtype", "float16")
    assert result.code == 0, result.text
    assert sorted(os.listdir(tmp_path / "target")) == ["config.json", "model.safetensors"]
    assert "Left behind: softmax.safetensors, training.json, vocabulary.json." in result.text
    assert "AllenNLP itself" not in result.text


def test_overwriting(tmp_path: Path, tiny_source: str, tiny_bilm: BiLM) -> None:
    target = save_bilm(random_bilm(BiLMConfig(**{**TINY.to_dict(), "n_layers": 1})), tmp_path / "target")
    before = (target / "model.safetensors").read_bytes()
    assert_fails(elmo("convert", tiny_source, target, "--to", "native"), "config.json exists already")
    assert (target / "model.safetensors").read_bytes() == before
    assert elmo("convert", tiny_source, target, "--to", "native", "--overwrite").code == 0
    assert_same_parameters(target, tiny_bilm)


@pytest.mark.parametrize("to", ["native", "allennlp"])
def test_a_trained_model_is_no_target(trained: Path, to: str) -> None:  # noqa: F811
    before = {path: path.read_bytes() for path in trained.iterdir()}
    result = elmo("convert", "en_elmo_sm", trained, "--to", to, "--overwrite")
    assert_fails(result, "vocabulary.json is part of a model that was trained here; choose another directory")
    assert {path: path.read_bytes() for path in trained.iterdir()} == before


def test_float16_is_for_native_alone(tmp_path: Path, tiny_source: str) -> None:
    result = elmo("convert", tiny_source, tmp_path / "target", "--to", "allennlp", "--dtype", "float16")
    assert_fails(result, "'float16' in AllenNLP's format: its files hold float32")
    assert not (tmp_path / "target").exists()


def test_numbers_beyond_float16(tmp_path: Path) -> None:
    bilm = random_bilm()
    with torch.no_grad():
        bilm.char_cnn.projection.weight[0, 0] = 1e5
    source = save_bilm(bilm, tmp_path / "source")
    result = elmo("convert", source, tmp_path / "target", "--to", "native", "--dtype", "float16")
    assert_fails(result, "'char_cnn.projection.weight' as float16")


def test_a_word_that_is_no_line(tmp_path: Path, trained: Path) -> None:  # noqa: F811
    (trained / "vocabulary.json").write_text(json.dumps([*WORDS, "a\nb"]), encoding="utf8")
    assert_fails(elmo("convert", trained, tmp_path / "target", "--to", "allennlp"), r"'a\nb' in vocab.txt")
    assert not (tmp_path / "target").exists()


def test_a_target_that_is_a_file(tmp_path: Path, tiny_source: str) -> None:
    (tmp_path / "target").write_text("mine", encoding="utf8")
    for to in ("native", "allennlp"):
        assert_fails(elmo("convert", tiny_source, tmp_path / "target", "--to", to, "--overwrite"), "target")
    assert (tmp_path / "target").read_text("utf8") == "mine"


def test_a_source_that_names_nothing(tmp_path: Path) -> None:
    result = elmo("convert", "en_elmo_xl", tmp_path / "target", "--to", "native")
    assert_fails(result, "'en_elmo_xl' names no ELMo model")


@pytest.mark.parametrize("arguments", [["a"], ["a", "b"], ["a", "b", "--to", "onnx"]])
def test_a_call_that_is_not_whole(arguments: list[str]) -> None:
    result = elmo("convert", *arguments)
    assert result.code == 2
    assert "Traceback" not in result.text
    assert "Usage:" in result.text


def test_a_model_of_elmoformanylangs(tmp_path: Path) -> None:
    reference = random_model(tmp_path / "source").reference
    result = elmo("convert", tmp_path / "source", tmp_path / "target", "--to", "native")
    assert result.code == 0, result.text
    assert sorted(os.listdir(tmp_path / "target")) == ["config.json", "lexicon.json", "model.safetensors"]
    assert_same_parameters(tmp_path / "target", load_bilm(tmp_path / "source", device="cpu"))
    for found, words in zip(load_bilm(tmp_path / "target").embed(MANY_SENTENCES), MANY_SENTENCES, strict=True):
        np.testing.assert_allclose(found, reference.embed(words), rtol=0, atol=1e-5)
    result = elmo("convert", tmp_path / "source", tmp_path / "allennlp", "--to", "allennlp")
    assert_fails(result, "Cannot store a biLM with a lexicon in AllenNLP's format")
    assert not (tmp_path / "allennlp").exists()

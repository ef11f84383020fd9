import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from thinc.api import Config

from spacy_elmo import CheckpointError, load_bilm
from spacy_elmo.corpus.corpus import MARKS
from spacy_elmo.corpus.tokenize import TextSettings
from spacy_elmo.disk import DiskError
from spacy_elmo.language import load_language_model, save_language_model, score
from spacy_elmo.language.metadata import present, read_facts, read_text_settings, read_vocabulary
from spacy_elmo.pretraining.config import read_config
from tests.conftest import REPOSITORY, random_bilm
from tests.corpus.corpora import ENGLISH, contents
from tests.disk.full import full_disk

from .models import VOCABULARY, random_language_model

FILES = [
    "config.json",
    "model.safetensors",
    "pretraining.cfg",
    "softmax.safetensors",
    "training.json",
    "vocabulary.json",
]
FACTS = {"step": 12, "perplexity": 33.5, "of": "日本"}
SENTENCES = [["the", "cat", "sat"], ["naïve", "ocelot"], []]


def source() -> Config:
    return read_config(REPOSITORY / "configs" / "pretrain_tiny.cfg", {"paths.train": "texts.txt"})[1]


def save(directory: Path, seed: int = 0, vocabulary: list[str] = VOCABULARY, facts: dict[str, Any] = FACTS) -> Path:
    save_language_model(random_language_model(vocabulary=vocabulary, seed=seed), directory, source(), facts)
    return directory


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("models") / "model-last")


@pytest.fixture
def directory(saved: Path, tmp_path: Path) -> Path:
    """A saved model that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def message_of(directory: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        load_language_model(directory)
    return str(error.value)


# Round trips


def test_a_language_model_is_read_as_it_was_written_bit_for_bit(saved: Path) -> None:
    model, again = random_language_model(), load_language_model(saved, "cpu")
    assert again.vocabulary == VOCABULARY
    assert again.bilm.config == model.bilm.config
    assert not any(module.training for module in again.modules())
    assert list(again.state_dict()) == list(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert again.state_dict()[name].dtype == torch.float32
        assert torch.equal(again.state_dict()[name], tensor), name
    for found, wanted in zip(score(again, SENTENCES), score(model, SENTENCES), strict=True):
        np.testing.assert_allclose(found.forward, wanted.forward, atol=1e-6)
        np.testing.assert_allclose(found.backward, wanted.backward, atol=1e-6)


def test_the_directory_is_a_bilm_too(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == FILES
    bilm, wanted = load_bilm(saved, "cpu"), random_language_model().bilm
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(bilm.state_dict()[name], tensor), name
    for found, vectors in zip(bilm.embed(SENTENCES), wanted.embed(SENTENCES), strict=True):
        np.testing.assert_allclose(found, vectors, rtol=0, atol=1e-6)


def test_words_of_any_characters_come_back(tmp_path: Path) -> None:
    words = ["", " ", '"', "\\", "\n", "\r\n", "a\u2028b", "🐟", "\x00", "<S>", "é", "e\u0301", "\ufeff"]
    directory = save(tmp_path / "model", vocabulary=[*MARKS, *words])
    assert read_vocabulary(directory) == load_language_model(directory).vocabulary == [*MARKS, *words]


def test_what_lies_beside_the_bilm_can_be_read(saved: Path) -> None:
    assert read_vocabulary(saved) == VOCABULARY
    assert read_facts(saved) == FACTS
    assert read_text_settings(saved) == TextSettings(ENGLISH)
    assert Config().from_disk(saved / "pretraining.cfg") == source()
    assert sorted(path.name for path in present(saved)) == FILES[2:]


def test_saving_replaces_all_that_stood_there(tmp_path: Path) -> None:
    directory = save(tmp_path / "model")
    (directory / "old.txt").write_text("of the model before", encoding="utf8")
    save(directory, seed=5, vocabulary=VOCABULARY[:6], facts={"step": 20})
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert sorted(path.name for path in directory.iterdir()) == FILES
    again = load_language_model(directory, "cpu")
    assert again.vocabulary == VOCABULARY[:6]
    assert read_facts(directory) == {"step": 20}
    wanted = random_language_model(vocabulary=VOCABULARY[:6], seed=5).state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in again.state_dict().items())


def test_a_loaded_model_survives_its_overwriting(directory: Path) -> None:
    """The weights may be mapped from the file, not copied."""
    loaded = load_language_model(directory, "cpu")
    save(directory, seed=9)
    for name, tensor in random_language_model().state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_remains_of_a_killed_run_are_cleared(tmp_path: Path) -> None:
    for name in (".model.0123abcd.new", ".model.4567cdef.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("half", encoding="utf8")
    save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_that_cannot_be_stored_leaves_the_one_before(directory: Path) -> None:
    before = contents(directory)
    broken = random_language_model(seed=1)
    with torch.no_grad():
        broken.bilm.char_cnn.projection.bias[0] = torch.nan
    with pytest.raises(ValueError, match=r"char_cnn\.projection\.bias"):
        save_language_model(broken, directory, source(), FACTS)
    assert contents(directory) == before


@pytest.mark.parametrize("n_bytes", [0, 300, 30_000])
def test_a_full_disk_leaves_the_model_before(directory: Path, n_bytes: int) -> None:
    """Too full for the biLM; and, in the last case, for the softmax alone."""
    before = contents(directory)
    larger = random_language_model(vocabulary=[*VOCABULARY, *map(str, range(3000))], seed=1)
    with full_disk(n_bytes), pytest.raises(DiskError, match="could not be written") as error:
        save_language_model(larger, directory, source(), FACTS)
    assert str(directory) in str(error.value)
    assert contents(directory) == before
    save_language_model(larger, directory, source(), FACTS)
    assert [path.name for path in directory.parent.iterdir()] == ["model"]
    assert len(load_language_model(directory).vocabulary) == len(larger.vocabulary)


# Faults


def test_a_bilm_alone_cannot_predict(tmp_path: Path, tiny_source: str) -> None:
    for directory in (tiny_source, Path(tiny_source)):
        with pytest.raises(CheckpointError, match=r"holds no softmax\.safetensors: it makes vectors, but cannot"):
            load_language_model(directory)
    assert present(Path(tiny_source)) == []
    assert read_vocabulary(Path(tiny_source)) is None
    assert read_facts(Path(tiny_source)) is None


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in message_of(tmp_path / "none")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "softmax.safetensors", "vocabulary.json"])
def test_each_file_is_missed(directory: Path, name: str) -> None:
    (directory / name).unlink()
    message = message_of(directory)
    assert str(directory) in message
    assert name in message


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "softmax.safetensors", "vocabulary.json"])
@pytest.mark.parametrize("kept", [0, 30, -3])
def test_each_file_cut_short_is_named(directory: Path, name: str, kept: int) -> None:
    path = directory / name
    path.write_bytes(path.read_bytes()[:kept])
    assert str(path) in message_of(directory)


@pytest.mark.parametrize("name", ["softmax.safetensors", "vocabulary.json"])
def test_a_directory_in_the_place_of_a_file(directory: Path, name: str) -> None:
    (directory / name).unlink()
    (directory / name).mkdir()
    assert str(directory / name) in message_of(directory)


def test_a_softmax_with_values_that_are_not_finite(directory: Path) -> None:
    path = directory / "softmax.safetensors"
    tensors = safetensors.torch.load(path.read_bytes())
    tensors["weight"][3, 1] = torch.nan
    path.write_bytes(safetensors.torch.save(tensors))
    assert f"{path}: damaged, 'weight' holds values that are not finite" in message_of(directory)


def test_a_softmax_of_integers(directory: Path) -> None:
    path = directory / "softmax.safetensors"
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"I32"', 1))
    assert f"{path}: the parameter bias holds torch.int32 and not floating" in message_of(directory)


def test_no_byte_of_the_head_of_a_softmax_gives_another_error(directory: Path) -> None:
    """And of the values none gives one, for any number is one."""
    path = directory / "softmax.safetensors"
    whole = path.read_bytes()
    for place in range(0, 8 + int.from_bytes(whole[:8], "little"), 7):
        for value in (0, 57, 255):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            with suppress(CheckpointError):
                load_language_model(directory, "cpu")


@pytest.mark.parametrize("n_classes", [4, len(VOCABULARY) + 1])
def test_a_softmax_of_another_vocabulary(directory: Path, n_classes: int) -> None:
    words = [*VOCABULARY, "more"][:n_classes]
    (directory / "vocabulary.json").write_text(json.dumps(words), encoding="utf8")
    message = message_of(directory)
    assert f"{directory / 'softmax.safetensors'}: not the softmax of this model" in message
    assert str(len(VOCABULARY)) in message
    assert str(n_classes) in message


def test_a_softmax_of_another_kind(directory: Path) -> None:
    path = directory / "softmax.safetensors"
    safetensors.torch.save_file({"kernel": torch.zeros(3)}, path)
    assert f"{path}: not the softmax of this model" in message_of(directory)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[", "not readable as JSON"),
        ('{"the": 3}', "a JSON list of words"),
        ('["<S>", "</S>", "<UNK>", 4]', "a JSON list of words"),
        ('"the"', "a JSON list of words"),
        ('["the", "cat"]', "its first words are"),
        ('["<S>", "<UNK>", "</S>", "the"]', "its first words are"),
        ("[]", "its first words are"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_named(directory: Path, content: str, fault: str) -> None:
    path = directory / "vocabulary.json"
    path.write_text(content, encoding="utf8")
    with pytest.raises(CheckpointError, match=fault) as error:
        read_vocabulary(directory)
    assert str(path) in str(error.value)
    assert str(path) in message_of(directory)


@pytest.mark.parametrize("content", ["[1]", '"text"', "{", "3"])
def test_a_file_that_holds_no_facts_is_named(directory: Path, content: str) -> None:
    path = directory / "training.json"
    path.write_text(content, encoding="utf8")
    with pytest.raises(CheckpointError) as error:
        read_facts(directory)
    assert str(path) in str(error.value)
    load_language_model(directory)  # which needs none


@pytest.mark.parametrize("content", [None, "[training]\nbatch_size = 3\n", "no config", "[nlp", "\xff"])
def test_a_config_without_a_tokenizer_is_named(directory: Path, content: str | None) -> None:
    path = directory / "pretraining.cfg"
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="latin1")
    with pytest.raises(CheckpointError, match="does not say how texts become words") as error:
        read_text_settings(directory)
    assert str(path) in str(error.value)


def test_a_config_without_components_is_enough(directory: Path) -> None:
    (directory / "pretraining.cfg").write_text('[nlp]\nlang = "de"\n', encoding="utf8")
    assert read_text_settings(directory) == TextSettings({"nlp": {"lang": "de"}, "components": {}})


def test_companions_that_are_there_are_listed(tmp_path: Path) -> None:
    assert present(tmp_path) == []
    for name in ("vocabulary.json", "other.json", "pretraining.cfg"):
        (tmp_path / name).touch()
    assert present(tmp_path) == [tmp_path / "vocabulary.json", tmp_path / "pretraining.cfg"]


def test_a_new_language_model_has_a_softmax_of_its_vocabulary() -> None:
    bilm = random_bilm()
    model = random_language_model()
    assert model.softmax.n_classes == len(VOCABULARY)
    assert model.softmax.weight.shape == (len(VOCABULARY), bilm.config.projection_dim)

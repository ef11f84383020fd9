"""Models are there whole or not at all, whatever their format and whenever their writer dies."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from spacy_elmo import BiLM, BiLMConfig, load_bilm, save_bilm
from spacy_elmo.checkpoints.save import TRAINED_FILES
from spacy_elmo.disk import DiskError
from spacy_elmo.language import metadata
from tests.conftest import TINY, random_bilm
from tests.disk.full import full_disk

OTHER = BiLMConfig(**{**TINY.to_dict(), "cell_dim": 12})
# The weights of the second fit the config of the first.
CONFIGS = (TINY, TINY, OTHER)


def writing_for_ever(models: list[BiLM], path: Path, format: str) -> int:
    """The number of a process that writes models, one after the other, and has written the first."""
    ready, theirs = os.pipe()
    if number := os.fork():
        os.close(theirs)
        assert os.read(ready, 1) == b"!"
        os.close(ready)
        return number
    try:
        torch.set_num_threads(1)  # the threads of this process are not in the new one
        save_bilm(models[0], path, format=format, overwrite=True)
        os.write(theirs, b"!")
        while True:
            for bilm in models:
                save_bilm(bilm, path, format=format, overwrite=True)
    finally:
        os._exit(1)


def is_same(one: BiLM, other: BiLM) -> bool:
    wanted = other.state_dict()
    return one.config == other.config and all(torch.equal(t, wanted[name]) for name, t in one.state_dict().items())


@pytest.mark.parametrize("format", ["native", "allennlp"])
def test_a_model_whose_writer_is_killed_is_the_old_one_or_the_new_one(tmp_path: Path, format: str) -> None:
    models = [random_bilm(config, seed) for seed, config in enumerate(CONFIGS)]
    path, moments = tmp_path / "model", random.Random(1)
    began = time.monotonic()
    save_bilm(models[0], path, format=format)
    duration = time.monotonic() - began  # the machine may be busy
    (path / "README.md").write_text("mine", "utf8")
    found, leftovers = set(), 0
    for _ in range(40):
        writer = writing_for_ever(models[::-1], path, format)
        time.sleep(moments.uniform(0, 4 * duration))
        os.kill(writer, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(writer, 0)[1]) == signal.SIGKILL
        loaded = load_bilm(path, device="cpu")
        (number,) = (i for i, bilm in enumerate(models) if is_same(loaded, bilm))
        found.add(number)
        leftovers += len(os.listdir(tmp_path)) - 1
    assert len(found) > 1
    assert leftovers
    save_bilm(models[0], path, format=format, overwrite=True)
    assert os.listdir(tmp_path) == ["model"]
    assert (path / "README.md").read_text("utf8") == "mine"
    assert len(os.listdir(path)) == 3


@pytest.mark.parametrize("format", ["native", "allennlp"])
def test_a_full_disk_leaves_the_old_model(tmp_path: Path, tiny_bilm: BiLM, format: str) -> None:
    path = save_bilm(tiny_bilm, tmp_path / "model", format=format)
    with full_disk(1000), pytest.raises(DiskError, match=r"model: could not be written .* Free some space"):
        save_bilm(random_bilm(seed=3), path, format=format, overwrite=True)
    assert is_same(load_bilm(path, device="cpu"), tiny_bilm)
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["vocabulary.json", "softmax.safetensors", "training.json", "pretraining.cfg"])
def test_no_model_is_put_beside_what_another_was_trained_with(
    tmp_path: Path, tiny_bilm: BiLM, name: str, overwrite: bool
) -> None:
    """It would be taken for its own, and predict words by another's softmax."""
    (tmp_path / name).touch()
    for format in ("native", "allennlp"):
        with pytest.raises(FileExistsError, match=f"{name} is part of a model that was trained here"):
            save_bilm(tiny_bilm, tmp_path, format=format, overwrite=overwrite)
    assert os.listdir(tmp_path) == [name]


def test_what_a_model_is_trained_with_is_known_by_the_names_that_training_gives_it() -> None:
    names = (metadata.VOCABULARY_FILE, metadata.SOFTMAX_FILE, metadata.TRAINING_FILE, metadata.CONFIG_FILE)
    assert set(TRAINED_FILES) == set(names)


@pytest.mark.parametrize("name", ["options.json", "a_weights.hdf5", "x.h5", "encoder.pkl", "weights.th", "config.cfg"])
def test_a_native_model_is_not_put_beside_another(tmp_path: Path, tiny_bilm: BiLM, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(FileExistsError, match=f"{name} is part of another model"):
        save_bilm(tiny_bilm, tmp_path, overwrite=True)


def test_a_directory_in_the_models_is_not_moved(tmp_path: Path, tiny_bilm: BiLM) -> None:
    (tmp_path / "model" / "inner").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="inner is a directory, and a model is one of its own"):
        save_bilm(tiny_bilm, tmp_path / "model", overwrite=True)


def test_the_current_directory_is_not_replaced(
    tmp_path: Path, tiny_bilm: BiLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that stands in it would stand in a directory that is gone."""
    monkeypatch.chdir(tmp_path)
    for path in (".", tmp_path):
        with pytest.raises(FileExistsError, match="is the current directory"):
            save_bilm(tiny_bilm, path)
    save_bilm(tiny_bilm, "model")
    assert os.listdir(tmp_path) == ["model"]

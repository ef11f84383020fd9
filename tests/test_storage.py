"""bench/storage.py: what float16 on disk changes."""

import copy
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from thinc.api import Config

from bench import storage
from spacy_elmo import BiLM, CheckpointError, LanguageModel, Perplexity, save_bilm, score
from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.language import save_language_model

from .conftest import random_bilm

CONFIG = """
[nlp]
lang = "en"
pipeline = ["sentencizer"]

[components]

[components.sentencizer]
factory = "sentencizer"
"""
SENTENCES = [["Birds", "sing", "."], ["Some", "of", "the", "birds", "fly", "!"], ["Few", "words", "."]]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(random_bilm(), ["<S>", "</S>", "<UNK>", "the", "birds", "."]).eval()


@pytest.fixture
def directory(tmp_path: Path, model: LanguageModel) -> Path:
    save_language_model(model, tmp_path / "model", Config().from_str(CONFIG), {})
    return tmp_path / "model"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "heldout.txt"
    path.write_text("\n".join(" ".join(words) for words in SENTENCES), "utf8")
    return path


def cells(tables: str, name: str) -> list[str]:
    (line,) = re.findall(rf"^\| {name} \| (.*) \|$", tables, re.MULTILINE)
    return line.split(" | ")


def rounded(model: LanguageModel) -> LanguageModel:
    """With all weights rounded to float16, and no file between."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.copy_(parameter.half())
    return other


def test_tables(directory: Path, text: Path, model: LanguageModel) -> None:
    tables = storage.compare(directory, text, 500)
    assert tables.startswith("3 sentences, 12 words of heldout.txt:")
    other = rounded(model)
    for name, n in (("forward", 1), ("backward", 2), ("average", 3)):
        wanted = [getattr(Perplexity.of(score(each, SENTENCES)), name) for each in (model, other)]
        one, two, change = cells(tables, f"perplexity, {name}")
        assert [one, two] == [f"{value:.4f}" for value in wanted], n
        assert float(change.rstrip("%")) == pytest.approx(100 * (wanted[1] / wanted[0] - 1), abs=2e-4)
    names = ("words", "1", "2")
    pairs = [np.concatenate(bilm.embed(SENTENCES), axis=1) for bilm in (model.bilm, other.bilm)]
    for name, exact, near in (
        *zip(names, *pairs, strict=True),
        ("average of all", *(layers.mean(axis=0) for layers in pairs)),
    ):
        lengths = [np.linalg.norm(near[i] - exact[i]) / np.linalg.norm(exact[i]) for i in range(12)]
        found = [float(cell) for cell in cells(tables, name)]
        wanted = [np.sqrt((exact**2).mean()), np.abs(near - exact).max(), np.mean(lengths), max(lengths)]
        assert found[0] == pytest.approx(wanted[0], abs=6e-4)
        assert found[1:] == pytest.approx(wanted[1:], rel=0.06)
        assert 0 < found[2] < 2e-2


def test_sizes(directory: Path, text: Path, model: LanguageModel, tmp_path: Path) -> None:
    half = storage.store_as_float16(model, directory, tmp_path / "half")
    for name in ("model.safetensors", "softmax.safetensors"):
        assert storage.dtypes(directory / name) == {"F32"}
        assert storage.dtypes(half / name) == {"F16"}
    # All but the header is half as large.
    n_parameters = sum(tensor.numel() for tensor in model.bilm.state_dict().values())
    sizes = [(each / "model.safetensors").stat().st_size for each in (directory, half)]
    assert sizes[0] - sizes[1] == pytest.approx(2 * n_parameters, abs=64)
    assert {path.name for path in half.iterdir()} == {path.name for path in directory.iterdir()}
    change = cells(storage.compare(directory, text, 1), r"model\.safetensors")[2]
    assert float(change.rstrip("%")) == pytest.approx(100 * (sizes[1] / sizes[0] - 1), abs=0.06)


def test_says_what_is_wrong(directory: Path, text: Path, tiny_bilm: BiLM, tmp_path: Path) -> None:
    half = save_bilm(tiny_bilm, tmp_path / "half", dtype="float16")
    with pytest.raises(CheckpointError, match="holds F16"):
        storage.compare(half, text, 500)
    with pytest.raises(CheckpointError, match="holds no softmax"):
        storage.compare(save_bilm(tiny_bilm, tmp_path / "whole"), text, 500)
    with pytest.raises(CheckpointError, match="format allennlp"):
        storage.compare(save_bilm(tiny_bilm, tmp_path / "other", format="allennlp"), text, 500)
    with pytest.raises(CorpusError, match="holds no sentences"):
        storage.compare(directory, text, 0)


def test_command(directory: Path, text: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "argv", ["storage.py", str(directory), str(text), "--sentences", "2"])
    storage.main()
    assert capsys.readouterr().out.startswith("2 sentences, 9 words")
    monkeypatch.setattr(sys, "argv", ["storage.py", str(directory), str(text.with_name("absent.txt"))])
    with pytest.raises(SystemExit, match=r"absent\.txt"):
        storage.main()

"""scripts/embed_model.py, on a short run, and the card that the package has."""

import json
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import srsly
from safetensors.numpy import load_file
from thinc.api import Config

from spacy_elmo import load_bilm

from .conftest import REPOSITORY
from .pretraining.runs import run_here, write_texts

CONFIGS = REPOSITORY / "configs"
ASSET = REPOSITORY / "spacy_elmo" / "assets" / "en_elmo_sm"
TABLE = "| system | F1 |\n|---|---|\n| elmo | 50.0 |\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pretrained")
    output = directory / "run"
    run_here(output, {**write_texts(directory), "training.max_steps": 6, "training.evaluation.every": 3})
    return output


@pytest.fixture
def embed_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, writing into a folder of the test."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    import embed_model

    monkeypatch.setattr(embed_model, "TARGET", tmp_path / "model")
    monkeypatch.setattr(embed_model, "METRICS", tmp_path)
    for name in re.findall(r"\{\{(.*?)\}\}", embed_model.CARD.read_text("utf8")):
        (tmp_path / f"{name}.md").write_text(TABLE.replace("F1", name), "utf8")
    return embed_model


def embed(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> Path:
    monkeypatch.setattr("sys.argv", ["embed_model.py", *map(str, arguments)])
    script.main()
    target: Path = script.TARGET
    return target


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf8"))


def test_the_weights_are_those_of_the_run_in_float16(
    run: Path, embed_model: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = embed(embed_model, monkeypatch, run)
    wanted, found = (load_file(path / "model.safetensors") for path in (run / "model-last", target))
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        assert array.dtype == np.float16
        assert np.array_equal(array, wanted[name].astype(np.float16)), name
    assert load_bilm(target).config == load_bilm(run / "model-last").config
    assert read(target / "training.json") == read(run / "model-last" / "training.json")


def test_the_manifest_names_texts_and_no_folders(
    run: Path, embed_model: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read(embed(embed_model, monkeypatch, run) / "corpus.json")
    sources = [source for part in manifest["sources"].values() for source in part]
    assert [source["path"] for source in sources] == ["train.txt", "heldout.txt"]
    assert all(re.fullmatch("[0-9a-f]{64}", source["sha256"]) for source in sources)
    assert str(run.parent) not in json.dumps(manifest)
    assert str(run.parent) not in (embed_model.TARGET / "pretraining.cfg").read_text("utf8")


def test_the_card_has_the_curve_and_the_tables(
    run: Path, embed_model: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = (embed(embed_model, monkeypatch, run) / "README.md").read_text("utf8")
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text("utf8").splitlines()]
    curve = [f" {line['perplexity']:.1f} |" for line in lines if "perplexity" in line]
    assert len(curve) == 2
    assert all(value in card for value in curve)
    assert "| system | wnut17 |" in card
    assert "$" not in card
    assert "{{" not in card


def test_the_card_alone(run: Path, embed_model: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    target = embed(embed_model, monkeypatch, run)
    (target / "README.md").unlink()
    before = (target / "model.safetensors").stat().st_mtime_ns
    embed(embed_model, monkeypatch, run, "--card-only")
    assert (target / "README.md").exists()
    assert (target / "model.safetensors").stat().st_mtime_ns == before


def test_a_table_that_is_missing(
    run: Path, tmp_path: Path, embed_model: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uner.md").unlink()
    with pytest.raises(SystemExit, match=r"uner\.md is missing: run the workflow"):
        embed(embed_model, monkeypatch, run)
    # The workflow measures the model, so that has to be there first.
    assert load_bilm(embed_model.TARGET).config == load_bilm(run / "model-last").config


def test_a_run_that_has_not_ended(
    run: Path, tmp_path: Path, embed_model: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Path(shutil.copytree(run, tmp_path / "begun", ignore=shutil.ignore_patterns("model-last")))
    with pytest.raises(SystemExit, match="holds no finished run"):
        embed(embed_model, monkeypatch, begun)


def test_the_card_of_the_package_is_of_its_model() -> None:
    card, training = (ASSET / "README.md").read_text("utf8"), read(ASSET / "training.json")
    assert f"| trained on | {training['tokens'] / 1e6:.1f} million tokens, {training['epoch']:.2f} " in card
    n_parameters = sum(parameter.numel() for parameter in load_bilm("en_elmo_sm").parameters())
    assert f"| parameters | {n_parameters / 1e6:.1f} million;" in card


def test_the_workflow_that_pretrains_makes_this_model() -> None:
    made, config = (Config().from_disk(path) for path in (ASSET / "pretraining.cfg", CONFIGS / "pretrain_sm.cfg"))
    training = read(ASSET / "training.json")
    project = srsly.read_yaml(REPOSITORY / "project.yml")
    assert project["vars"]["steps"] == training["step"] == made["training"]["max_steps"]
    for each in (made, config):
        for key in ("max_steps", "max_epochs", "checkpoints"):
            del each["training"][key]
    for section in ("nlp", "components", "vocabulary", "model", "training"):
        assert made[section] == config[section], section
    assert made["system"]["seed"] == config["system"]["seed"]

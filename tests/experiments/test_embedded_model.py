"""experiments/embedded_model.py, on a short run, and the card that the package has."""

import argparse
import json
import re
import shlex
import shutil
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pytest
import srsly
from safetensors.numpy import load_file
from spacy.cli._util import parse_config_overrides
from weasel.util import load_project_config

from experiments import embedded_model
from spacy_elmo import load_bilm, load_language_model
from spacy_elmo.pretraining.config import read_config
from tests.conftest import REPOSITORY
from tests.experiments.helpers import run as execute
from tests.pretraining.runs import run_here, write_texts

CONFIGS = REPOSITORY / "configs"
ASSET = REPOSITORY / "spacy_elmo" / "assets" / "en_elmo_sm"
TABLE = "| system | F1 |\n|---|---|\n| elmo | 50.0 |\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("pretrained") / "run"
    texts = write_texts(tmp_path_factory.mktemp("texts"))
    run_here(output, {**texts, "training.max_steps": 6, "training.evaluation.every": 3})
    return output


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the model goes, a folder of the test; with tables for its card."""
    monkeypatch.setattr(embedded_model, "TARGET", tmp_path / "model")
    monkeypatch.setattr(embedded_model, "METRICS", tmp_path)
    for name in re.findall(r"\{\{(.*?)\}\}", embedded_model.CARD.read_text("utf8")):
        (tmp_path / f"{name}.md").write_text(TABLE.replace("F1", name), "utf8")
    return tmp_path / "model"


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf8"))


@pytest.mark.parametrize("name", ["model.safetensors", "softmax.safetensors"])
def test_the_weights_are_those_of_the_run_in_float16(run: Path, target: Path, name: str) -> None:
    execute(embedded_model, "model", run)
    wanted, found = (load_file(path / name) for path in (run / "model-last", target))
    assert found.keys() == wanted.keys()
    for key, array in found.items():
        assert array.dtype == np.float16
        assert np.array_equal(array, wanted[key].astype(np.float16)), key


def test_what_the_model_is_made_of_comes_along(run: Path, target: Path) -> None:
    execute(embedded_model, "model", run)
    before, embedded = (load_language_model(path, "cpu") for path in (run / "model-last", target))
    assert embedded.bilm.config == before.bilm.config
    assert embedded.vocabulary == before.vocabulary
    assert read(target / "training.json") == read(run / "model-last" / "training.json")


def test_the_manifest_names_texts_and_no_folders(run: Path, target: Path) -> None:
    execute(embedded_model, "model", run)
    manifest = read(target / "corpus.json")
    sources = [source for part in manifest["sources"].values() for source in part]
    assert [source["path"] for source in sources] == ["train.txt", "heldout.txt"]
    assert all(re.fullmatch("[0-9a-f]{64}", source["sha256"]) for source in sources)
    assert str(run.parent) not in json.dumps(manifest)
    assert "train.txt" not in (target / "pretraining.cfg").read_text("utf8")


def test_the_card_has_the_curve_and_the_tables(run: Path, target: Path) -> None:
    execute(embedded_model, "model", run)
    execute(embedded_model, "card")
    card = (target / "README.md").read_text("utf8")
    curve = [f" {line['perplexity']:.1f} |" for line in evaluations(run)]
    assert len(curve) == 2
    assert all(value in card for value in curve)
    assert "| system | wnut17 |" in card
    assert "$" not in card
    assert "{{" not in card


def evaluations(run: Path) -> list[dict[str, Any]]:
    return [line for line in srsly.read_jsonl(run / "log.jsonl") if "perplexity" in line]


def test_a_model_goes_in_without_the_card_of_the_one_before(run: Path, target: Path) -> None:
    execute(embedded_model, "model", run)
    (target / "README.md").write_text("of another model", "utf8")
    execute(embedded_model, "model", run)
    assert not (target / "README.md").exists()


def test_a_table_that_is_missing(run: Path, tmp_path: Path, target: Path) -> None:
    (tmp_path / "uner.md").unlink()
    execute(embedded_model, "model", run)
    with pytest.raises(SystemExit, match=r"uner\.md is missing: run the workflow"):
        execute(embedded_model, "card")


def test_a_run_that_has_not_ended(run: Path, tmp_path: Path, target: Path) -> None:
    begun = Path(shutil.copytree(run, tmp_path / "begun", ignore=shutil.ignore_patterns("model-last")))
    with pytest.raises(SystemExit, match="holds no finished run"):
        execute(embedded_model, "model", begun)


def test_the_card_of_the_package_is_of_its_model() -> None:
    card, curve = (ASSET / "README.md").read_text("utf8"), list(srsly.read_jsonl(ASSET / "curve.jsonl"))
    assert f"| trained on | {curve[-1]['tokens'] / 1e6:.1f} million tokens, " in card
    assert f", both {curve[-1]['perplexity']:.0f}, on held-out text" in card
    n_parameters = sum(parameter.numel() for parameter in load_bilm("en_elmo_sm").parameters())
    assert f"| parameters | {n_parameters / 1e6:.1f} million;" in card


def test_the_card_of_the_package_is_what_the_template_makes() -> None:
    card = (ASSET / "README.md").read_text("utf8")
    made = Template(embedded_model.CARD.read_text("utf8")).substitute(embedded_model.facts())
    for between_tables in re.split(r"\{\{.*?\}\}", made):
        assert between_tables in card


def test_the_workflow_that_pretrains_makes_this_model() -> None:
    training = read(ASSET / "training.json")
    project = load_project_config(REPOSITORY)
    assert project["vars"]["steps"] == training["step"]

    command = next(one for one in project["commands"] if one["name"] == "pretrain-sm")["script"][0]
    # All settings, also those that have come since and stand in none of the two.
    made = read_config(ASSET / "pretraining.cfg", {"paths.train": "texts"})[0].model_dump()
    config = read_config(CONFIGS / "pretrain_sm.cfg", settings_of(command))[0].model_dump()
    assert training["tokens"] == training["step"] * config["training"]["batch_size"] * config["training"]["unroll"]
    for each in (made, config):
        del each["paths"], each["training"]["checkpoints"]
    assert made == config


def settings_of(command: str) -> dict[str, Any]:
    """What a `spacy elmo pretrain` command changes in the config."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output")
    _, settings = parser.parse_known_args(shlex.split(command.split("configs/pretrain_sm.cfg")[1]))
    return parse_config_overrides(settings)

"""Trainings that are made once, and the experiments that are made of them."""

import json
from pathlib import Path
from typing import Any

import pytest
import spacy
from thinc.api import Config

from experiments import cost, domain, grid, training
from experiments.datasets import read_docs, write_docs
from spacy_elmo.language import save_language_model
from spacy_elmo.layers.encoder import bilm_shim
from spacy_elmo.pipeline.component import Elmo
from tests.conftest import REPOSITORY
from tests.experiments.helpers import convert_demo, run
from tests.language.models import random_language_model

FEW = {"training.max_steps": 4, "training.eval_frequency": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where experiments find a small corpus with entities, under the name of one of theirs."""
    folder = tmp_path_factory.mktemp("experiments")
    (folder / "configs").symlink_to(REPOSITORY / "configs")
    for part in ("train", "dev", "test"):
        convert_demo(part, folder / "corpus" / "uner" / f"{part}.spacy", "--share", "0.05")
    return folder


@pytest.fixture(autouse=True)
def few_steps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(training, "LIMITS", {**training.LIMITS, **FEW})


def results_of(name: str) -> list[dict[str, Any]]:
    return list(json.loads(Path("metrics", f"{name}.json").read_text("utf8")))


def test_a_grid_is_drawn_and_what_was_trained_is_not_trained_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--data", "uner", "--systems", "ELMo", "default", "--shares", "0.5", "1.0", "--picture", "pictures/few"]
    run(grid, "few", *words, cwd=folder)
    results = results_of("few")
    assert [(one["system"], one["share"]) for one in results] == [
        ("ELMo", 0.5),
        ("default", 0.5),
        ("ELMo", 1.0),
        ("default", 1.0),
    ]
    assert all(0 <= one["test"] <= 100 for one in results)
    for name in ("few-light.svg", "few-dark.svg"):
        assert "Universal NER" in (folder / "pictures" / name).read_text("utf8")
    monkeypatch.setattr(training, "train_and_score", None)
    run(grid, "few", *words, cwd=folder)
    assert results_of("few") == results
    # Other data or settings under the same names are another run.
    with pytest.raises(TypeError):
        training.Runs(**{"training.max_steps": 3}).result(training.Run("uner", "default"))
    write_docs(read_docs(Path("corpus/uner/test.spacy"))[:-1], Path("corpus/uner/test.spacy"))
    with pytest.raises(TypeError):
        training.Runs().result(training.Run("uner", "default"))


def test_all_systems_read_the_same_share(folder: Path) -> None:
    first, second = (training.Runs().config(training.Run("uner", name, 0.5)) for name in ("ELMo", "default"))
    assert first["paths"]["train"] == second["paths"]["train"] != "corpus/uner/train.spacy"
    other = training.Runs().config(training.Run("uner", "default", 0.5, seed=1))
    assert Path(other["paths"]["train"]).read_bytes() != Path(second["paths"]["train"]).read_bytes()


def test_systems_are_measured_in_processes_of_their_own_by_turns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    run(cost, "--systems", "default", "ELMo", "--steps", "2", "--rounds", "1", "--batch-size", "8", cwd=folder)
    turns: Any = json.loads(Path("metrics", "cost.json").read_text("utf8"))
    words = sum(map(len, read_docs(Path("corpus/uner/test.spacy"))))
    for name in ("default", "ELMo"):
        (one,) = turns[name]
        assert one["words"] == words
        assert one["training"] > 0
        assert 0 <= one["added"] < one["peak"]
    slow = {**one, "reading": words / 1000}
    assert "| 1,000 |" in cost.table({"ELMo": cost.medians([slow, slow, one])}, 2)


def test_a_table_has_means_deviations_and_the_best_of_each_row() -> None:
    scores = {"ELMo": (50.0, 52.0), "default": (40.0, 41.0)}
    results = [
        {"data": "uner", "share": 0.1, "system": system, "test": value}
        for system, values in scores.items()
        for value in values
    ]
    assert grid.table(results).splitlines()[-1] == "| Universal NER | 10% | **51.0** ± 1.4 | 40.5 ± 0.7 |"


def test_a_bilm_that_is_trained_along_is_nobody_elses() -> None:
    """Training it must not change what frozen ones say."""
    layers = training.SharedLayers()
    pipelines = []
    for frozen in (True, True, False):
        nlp = spacy.blank("en")
        nlp.add_pipe("elmo", config={"frozen": frozen})
        layers.give_to(nlp)
        component = nlp.get_pipe("elmo")
        assert isinstance(component, Elmo)
        pipelines.append(bilm_shim(component.encoder).bilm)
    assert pipelines[0] is pipelines[1]
    assert pipelines[0] is not pipelines[2]


def test_the_domain_is_measured_before_and_after_over_one_vocabulary(folder: Path) -> None:
    save_language_model(random_language_model(), folder / "begun", Config(), {"step": 1})
    run(domain, "--data", "uner", "--epochs", "3", "--source", "begun", "--set", "training.batch_size=2", cwd=folder)
    rows = results_of("domain")
    assert [(row["frozen"], row["adapted"]) for row in rows] == [
        (True, False),
        (True, True),
        (False, False),
        (False, True),
    ]
    measured = domain.perplexities(folder / "training" / "domain" / "uner")
    assert measured[0][0] == 0
    assert rows[0]["perplexity"] == measured[0][1]
    assert rows[1]["perplexity"] == min(perplexity for _, perplexity in measured)
    assert rows[1]["perplexity"] < rows[0]["perplexity"]


@pytest.mark.parametrize("data", ["uner", "reviews"])
@pytest.mark.parametrize("system", ["MiniLM", "MiniLM, fine-tuned"])
def test_a_transformer_takes_the_place_of_elmo(data: str, system: str) -> None:
    pytest.importorskip("spacy_transformers")
    config = training.Runs().config(training.Run(data, system))
    component = training.DATA[data].component
    assert config["nlp"]["pipeline"] == ["transformer", component]
    assert "elmo" not in config.to_str().replace("spacy-elmo.load_transformer", "")
    listeners = [line for line in config.to_str().splitlines() if line.startswith("grad_factor")]
    fine_tuned = system == "MiniLM, fine-tuned"
    assert listeners == [f"grad_factor = {1.0 if fine_tuned else 0.0}"]
    assert config["training"]["frozen_components"] == ([] if fine_tuned else ["transformer"])
    # What is frozen is loaded; what is trained is loaded by its own initialization.
    assert (config["initialize"]["before_init"] is None) == fine_tuned

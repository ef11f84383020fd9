"""The search for settings, by a few steps on the demo texts."""

import json
from pathlib import Path

import pytest
from spacy.util import load_config

from experiments import tune
from tests.conftest import REPOSITORY
from tests.experiments.helpers import convert_demo, run

CONFIGS = REPOSITORY / "configs"


def test_a_setting_is_changed_wherever_its_section_stands() -> None:
    for name in ("ner.cfg", "textcat.cfg"):
        config = load_config(CONFIGS / name)
        found = tune.changed(config, {"listen.dropout": 0.7, "optimizer.learn_rate": 0.5})
        assert tune.present(found)["listen.dropout"] == 0.7
        assert found["training"]["optimizer"]["learn_rate"] == 0.5
        assert tune.present(config)["listen.dropout"] != 0.7


def test_a_baseline_has_no_listener_to_tune() -> None:
    config = load_config(CONFIGS / "ner_tok2vec.cfg")
    assert not tune.has(config, {"listen.dropout": 0.7})
    assert tune.has(config, {"encode.width": 96, "encode.depth": 4})


def test_every_factor_has_choices_that_the_shipped_configs_have() -> None:
    config = load_config(CONFIGS / "ner.cfg")
    assert [choice for choices in tune.FACTORS.values() for choice in choices if not tune.has(config, choice)] == []


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    for part, share in (("train", "0.1"), ("dev", "0.2"), ("test", "0.2")):
        convert_demo(part, folder / f"{part}.spacy", "--share", share)
    return folder


def test_the_best_choice_is_tested_and_a_run_is_not_repeated(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = ({"optimizer.learn_rate": 0.0}, {"optimizer.learn_rate": 0.01})
    monkeypatch.setitem(tune.FACTORS, "optimizer", choices)
    words = ["demo", "--system", f"small={CONFIGS / 'textcat_small.cfg'}", "--corpora", corpus, "--factors"]
    words += ["optimizer", "--steps", "12", "--words", "150", "--test-seeds", "0", "--test-steps", "4"]
    run(tune, *words, cwd=tmp_path)
    runs = json.loads((tmp_path / "metrics" / "tune-demo.json").read_text("utf8"))
    nothing, something, tested = runs
    assert something["dev"] > nothing["dev"]
    assert tested["settings"]["optimizer.learn_rate"] == 0.01
    assert {one["words"] for one in runs} == {150}
    assert (tested["steps"], "test" in tested, "test" in something) == (4, True, False)
    # A search that is begun again finds all, and trains nothing.
    monkeypatch.setattr(tune, "train_and_score", None)
    run(tune, *words, cwd=tmp_path)
    assert json.loads((tmp_path / "metrics" / "tune-demo.json").read_text("utf8")) == runs

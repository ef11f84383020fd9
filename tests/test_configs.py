"""Configs through spaCy's own commands, as a user types them. (tests/recipes trains with each of them.)"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import spacy

from .cli import helpers
from .conftest import REPOSITORY
from .experiments.helpers import convert_demo

TEXT = "Ngozi Adeyemi left Tallinn Rovers for a club in Marseille."


def spacy_command(*words: str | Path) -> str:
    """Run a spaCy command in a process of its own and give its output; fails the test where the command fails."""
    done = helpers.spacy(*words, directory=REPOSITORY)
    assert done.code == 0, f"{words}\n{done.output[-3000:]}\n{done.errors[-3000:]}"
    return done.output


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few of the demo texts, converted by the project's own command, as train.spacy and dev.spacy."""
    return demo_corpus(tmp_path_factory.mktemp("corpus"), train="0.3", dev="0.2")


@pytest.fixture(scope="module")
def whole_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them: `debug data` finds fault with fewer."""
    return demo_corpus(tmp_path_factory.mktemp("whole_corpus"), train="1.0", dev="1.0")


def demo_corpus(folder: Path, **shares: str) -> Path:
    for part, share in shares.items():
        convert_demo(part, folder / f"{part}.spacy", "--share", share)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """The pipeline of a short training with ner.cfg."""
    output = tmp_path_factory.mktemp("trained")
    short = ["--training.max_steps", "60", "--training.eval_frequency", "30", "--training.batcher.size.start", "400"]
    spacy_command("train", "configs/ner.cfg", "--output", output, *short, *paths(corpus))
    return output / "model-last"


def paths(corpus: Path) -> list[str]:
    return ["--paths.train", str(corpus / "train.spacy"), "--paths.dev", str(corpus / "dev.spacy")]


def test_train_and_evaluate(trained: Path, corpus: Path, tmp_path: Path) -> None:
    """Few steps suffice to know the training texts again, though not others. Without training the score is 0."""
    spacy_command("evaluate", trained, corpus / "train.spacy", "--output", tmp_path / "s.json")
    found = json.loads((tmp_path / "s.json").read_text("utf8"))
    assert found["ents_f"] > 0.15


@pytest.mark.parametrize("config", ["ner.cfg", "textcat.cfg"])
def test_debug_commands(config: str, whole_corpus: Path) -> None:
    arguments = [f"configs/{config}", *paths(whole_corpus)]
    assert "Config is valid" in spacy_command("debug", "config", *arguments)
    assert "checks passed" in spacy_command("debug", "data", *arguments)
    for component in spacy.util.load_config(REPOSITORY / "configs" / config)["nlp"]["pipeline"]:
        words = ["debug", "model", arguments[0], component, *arguments[1:], "-P0", "-P3"]
        assert "model looks good" in spacy_command(*words)


def test_package_installs_and_loads_elsewhere(trained: Path, tmp_path: Path) -> None:
    spacy_command("package", trained, tmp_path, "--name", "elmo_ner", "--build", "wheel", "--force")
    (wheel,) = tmp_path.glob("*/dist/*.whl")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(command, check=True, timeout=300)
    program = f"import en_elmo_ner; doc = en_elmo_ner.load()({TEXT!r}); print(doc._.elmo[:4].tolist())"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    assert done.stdout.strip() == str(spacy.load(trained)(TEXT)._.elmo[:4].tolist())

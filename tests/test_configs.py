"""Every config in configs/ through spaCy's own commands, as a user types them."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import load_config

from .conftest import REPOSITORY
from .experiments.helpers import convert_demo

# Those of `spacy train`; those of `spacy elmo pretrain` have their own tests.
CONFIGS = sorted(path.name for path in (REPOSITORY / "configs").glob("*.cfg") if "pretrain" not in path.name)
HAS_SUDACHI = find_spec("sudachipy") is not None
TAKES_SUDACHI = pytest.mark.skipif(not HAS_SUDACHI, reason="takes Sudachi: pip install -e '.[ja]'")
TEXT = "Ngozi Adeyemi left Tallinn Rovers for a club in Marseille."


def each_of(configs: list[str]) -> pytest.MarkDecorator:
    """A test for each of them; those in Japanese where their tokenizer is installed."""
    params = [pytest.param(name, marks=TAKES_SUDACHI) if name.endswith("_ja.cfg") else name for name in configs]
    return pytest.mark.parametrize("config", params)


def spacy_command(*words: str | Path) -> str:
    """Run a spaCy command in a process of its own and give its output; fails the test where the command fails."""
    command = [sys.executable, "-m", "spacy", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, env=environment, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


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
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline with word vectors for a few words."""
    folder = tmp_path_factory.mktemp("vectors")
    nlp = spacy.blank("en")
    for i, word in enumerate(TEXT.split()):
        nlp.vocab.set_vector(word, np.eye(8, dtype="float32")[i % 8])
    nlp.to_disk(folder)
    return folder


def paths(config: str, corpus: Path, vectors: Path) -> list[str]:
    words = ["--paths.train", str(corpus / "train.spacy"), "--paths.dev", str(corpus / "dev.spacy")]
    return [*words, "--paths.vectors", str(vectors)] if config == "ner_vectors.cfg" else words


def predictions(doc: Doc) -> tuple[list[tuple[str, str]], dict[str, float]]:
    return [(ent.text, ent.label_) for ent in doc.ents], doc.cats


# What learns the training texts within a minute: to this share, where no training at all has 0 or 0.3.
LEARNED = {"ner.cfg": 0.15, "ner_tok2vec.cfg": 0.15, "textcat_small.cfg": 0.7, "textcat_tok2vec.cfg": 0.7}


class Trained(dict[str, Path]):
    """The output folder of a short training with each config that is asked for."""

    def __init__(self, directory: Path, corpus: Path, vectors: Path) -> None:
        super().__init__()
        self._directory, self._corpus, self._vectors = directory, corpus, vectors

    def __missing__(self, config: str) -> Path:
        self[config] = self._directory / config
        steps, size = ("60", "400") if config in LEARNED else ("12", "200")
        short = ["--training.max_steps", steps, "--training.eval_frequency", str(int(steps) // 2)]
        short += ["--training.batcher.size.start", size, *paths(config, self._corpus, self._vectors)]
        spacy_command("train", f"configs/{config}", "--output", self[config], *short)
        return self[config]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, corpus: Path, vectors: Path) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained"), corpus, vectors)


def scores_on_training_texts(nlp: Language, corpus: Path) -> dict[str, Any]:
    """Those of `nlp.evaluate`, and as "score" the one that counts. Few steps suffice to know these texts again, though
    not others. Without training the score is 0 for entities, and some 0.3 for categories.
    """
    docs = list(DocBin().from_disk(corpus / "train.spacy").get_docs(nlp.vocab))
    scores = nlp.evaluate([Example(nlp.make_doc(doc.text), doc) for doc in docs])
    return {**scores, "score": scores["ents_f"] if "ner" in nlp.pipe_names else scores["cats_score"]}


@each_of(CONFIGS)
def test_train_learns_saves_and_loads(config: str, trained: Trained, corpus: Path) -> None:
    nlp = spacy.load(trained[config] / "model-last")
    if config in LEARNED:
        assert scores_on_training_texts(nlp, corpus)["score"] > LEARNED[config]
    docs = list(DocBin().from_disk(corpus / "dev.spacy").get_docs(nlp.vocab))
    texts = [doc.text for doc in docs]
    alone = [predictions(nlp(text)) for text in texts]
    # Loaded again, and batched, it says the same: what was trained is what was saved.
    again = spacy.load(trained[config] / "model-last")
    for doc, (entities, scores) in zip(again.pipe(texts, batch_size=7), alone, strict=True):
        assert predictions(doc) == (entities, pytest.approx(scores, rel=0, abs=1e-5))


@each_of([config for config in CONFIGS if not config.endswith("_tok2vec.cfg")])
def test_training_changes_the_bilm_only_where_it_is_not_frozen(config: str, trained: Trained) -> None:
    nlp = spacy.load(trained[config] / "model-last")
    fresh = spacy.blank(nlp.lang)
    fresh.add_pipe("elmo", config={"model": {"source": nlp.get_pipe_config("elmo")["model"]["source"]}})
    same = bool((nlp(TEXT)._.elmo == fresh(TEXT)._.elmo).all())
    assert same == (config != "ner_finetune.cfg")


def test_evaluate(trained: Trained, corpus: Path, tmp_path: Path) -> None:
    model = trained["ner.cfg"] / "model-last"
    spacy_command("evaluate", model, corpus / "train.spacy", "--output", tmp_path / "s.json")
    found = json.loads((tmp_path / "s.json").read_text("utf8"))
    assert found["ents_f"] == pytest.approx(scores_on_training_texts(spacy.load(model), corpus)["ents_f"], abs=0.01)
    assert found["ents_f"] > 0.15


@each_of(CONFIGS)
def test_configs_are_complete(config: str, tmp_path: Path) -> None:
    """`init fill-config` has nothing to add, so that what a reader sees is all there is."""
    spacy_command("init", "fill-config", f"configs/{config}", tmp_path / "filled.cfg")
    assert load_config(tmp_path / "filled.cfg") == load_config(REPOSITORY / "configs" / config)


@pytest.mark.parametrize("config", ["ner.cfg", "textcat.cfg"])
def test_debug_commands(config: str, whole_corpus: Path, vectors: Path) -> None:
    arguments = [f"configs/{config}", *paths(config, whole_corpus, vectors)]
    assert "Config is valid" in spacy_command("debug", "config", *arguments)
    assert "checks passed" in spacy_command("debug", "data", *arguments)
    for component in spacy.util.load_config(REPOSITORY / "configs" / config)["nlp"]["pipeline"]:
        words = ["debug", "model", arguments[0], component, *arguments[1:], "-P0", "-P3"]
        assert "model looks good" in spacy_command(*words)


def test_package_installs_and_loads_elsewhere(trained: Trained, tmp_path: Path) -> None:
    model = trained["ner.cfg"] / "model-last"
    spacy_command("package", model, tmp_path, "--name", "elmo_ner", "--build", "wheel", "--force")
    (wheel,) = tmp_path.glob("*/dist/*.whl")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(command, check=True, timeout=300)
    program = f"import en_elmo_ner; doc = en_elmo_ner.load()({TEXT!r}); print(doc._.elmo[:4].tolist())"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    assert done.stdout.strip() == str(spacy.load(model)(TEXT)._.elmo[:4].tolist())

"""Trainings in this process, each made once: a recipe on a share of a data set, by a seed, and its score on test.

What several experiments compare is trained for the first that asks; a run that was stopped before is made again, one
that has ended is read. A result lies in training/runs/ with the digest of all that it depends on but the code: config,
data, and the weights and static vectors that the config names. All runs of a process share the vectors of a frozen
biLM, which are computed once.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import spacy
from spacy.language import Language
from spacy.training import Corpus
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config_from_str
from thinc.api import Config

from spacy_elmo.checkpoints.source import locate
from spacy_elmo.layers.cache import LayerCache
from spacy_elmo.layers.encoder import bilm_shim
from spacy_elmo.pipeline.component import Elmo
from spacy_elmo.recipes import Recipe, as_text
from spacy_elmo.recipes.choices import OPTIMIZER

from . import report
from .datasets import read_docs, split, write_docs
from .transformer_alone import alone

RESULTS = Path("training/runs")
CORPORA = Path("corpus")
# What stands beside ELMo, as `experiments.beside` puts it there.
GLOVE, MINILM = "training/glove", "training/all-MiniLM-L6-v2"


@dataclass(frozen=True)
class Data:
    """A labelled data set in corpus/.

    Attributes:
        title: How it is called in a table.
        component: What learns it.
        score: spaCy's name of what counts.
    """

    title: str
    component: str
    score: str


DATA = {
    "uner": Data("Universal NER", "ner", "ents_f"),
    "wnut17": Data("WNUT17", "ner", "ents_f"),
    "banking77": Data("Banking77", "textcat", "cats_micro_f"),
    "reviews": Data("reviews", "textcat", "cats_micro_f"),
}

# What is compared, as choices of a `Recipe`.
SYSTEMS: dict[str, dict[str, Any]] = {
    "default": {"baseline": True},
    "static vectors": {"baseline": True, "vectors": GLOVE},
    "ELMo": {},
    "ELMo, not frozen": {"frozen": False},
    "ELMo + hashed features": {"optimize": "accuracy"},
    "ELMo + static vectors": {"vectors": GLOVE},
    "ELMo + transformer": {"transformer": MINILM},
    "ELMo at input and output": {"at_output": True},
    "MiniLM": {"transformer": MINILM},
    "MiniLM, fine-tuned": {"transformer": MINILM},
}

# How long every system is trained on every share: one rule, so that none is favoured. The optimizer is the one that
# `experiments.tune` found best for ELMo and for spaCy's default alike.
LIMITS: dict[str, Any] = {
    "training.max_steps": 300,
    "training.eval_frequency": 50,
    "training.patience": 100,
    "training.batcher.size.start": 500,
    "training.batcher.size.stop": 500,
    "corpora.dev.limit": 300,
    "training.optimizer": OPTIMIZER,
}


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        data: A name in `DATA`.
        system: One in `SYSTEMS`.
        share: Of the training data.
        seed: Draws that share, and begins the training.
        source: Another biLM than the one that comes with the package.
    """

    data: str
    system: str
    share: float = 1.0
    seed: int = 0
    source: str | None = None

    @property
    def name(self) -> str:
        parts = [self.data, self.system.replace(" ", "_"), f"{self.share:.0%}", f"seed{self.seed}"]
        parts += [self.source.replace("/", "_")] if self.source is not None else []
        return "-".join(parts).replace("%", "pct")

    def recipe(self) -> Recipe:
        return Recipe(pipeline=(DATA[self.data].component,), source=self.source, **SYSTEMS[self.system])


class SharedLayers:
    """One biLM and one cache for the frozen ELMo components of many pipelines."""

    def __init__(self, max_bytes: int = 4_000_000_000) -> None:
        self._cache = LayerCache(max_bytes)
        self._bilms: dict[str, Any] = {}

    def give_to(self, nlp: Language) -> None:
        for _, component in nlp.components:
            if isinstance(component, Elmo) and component.frozen:
                shim = bilm_shim(component.encoder)
                shim._model = self._bilms.setdefault(str(shim.cfg), shim.bilm)
                component._cache = self._cache


class Runs:
    """Makes runs, or finds those that were made.

    Args:
        limits: In place of some of `LIMITS`.
    """

    def __init__(self, **limits: Any) -> None:
        self._limits = {**LIMITS, **limits}
        self._layers = SharedLayers()

    def result(self, run: Run) -> dict[str, Any]:
        """What the run is of, "dev" and "test" in percent, and processor "seconds"."""
        return made_once(run.name, asdict(run), self.config(run), CORPORA / run.data, self._layers)

    def config(self, run: Run) -> Config:
        """What the run is trained by. A share of the data is drawn where it was not drawn before."""
        corpus = CORPORA / run.data
        path = corpus / "train.spacy"
        if run.share != 1:
            path = RESULTS / f"train-{run.data}-{run.share:.0%}-seed{run.seed}.spacy".replace("%", "pct")
            if not path.exists():
                write_docs(split(read_docs(corpus / "train.spacy"), run.share, run.seed)[0], path)
        config = load_config_from_str(as_text(run.recipe(), "-"))
        config["paths"] |= {"train": str(path), "dev": str(corpus / "dev.spacy")}
        config["system"]["seed"] = run.seed
        config["training"]["score_weights"] = {DATA[run.data].score: 1.0}
        config = with_settings(config, self._limits)
        if run.system.startswith("MiniLM"):
            return alone(config, DATA[run.data].component, fine_tuned=run.system == "MiniLM, fine-tuned")
        return config


def with_settings(config: Config, settings: dict[str, Any]) -> Config:
    """A copy with other values, by their places: "training.max_steps"."""
    config = config.copy()
    for place, value in settings.items():
        *sections, key = place.split(".")
        section = config
        for name in sections:
            section = section[name]
        section[key] = value
    return config


def made_once(name: str, facts: dict[str, Any], config: Config, corpus: Path, layers: SharedLayers) -> dict[str, Any]:
    """Train and test, or read what was found before from the same config, data and weights."""
    path = RESULTS / f"{name}.json"
    made_of = digest(config, corpus)
    if path.exists() and (before := json.loads(path.read_text("utf8")))["made_of"] == made_of:
        return dict(before)
    start = time.process_time()
    scores = train_and_score(config.copy(), layers, corpus / "test.spacy")
    result = {**facts, **scores, "seconds": round(time.process_time() - start, 1), "made_of": made_of}
    report.keep(path.with_suffix(""), result)
    print(f"{name}: {result['test']:.1f} ({result['seconds']:.0f} s)", flush=True)
    return result


def digest(config: Config, corpus: Path) -> str:
    """Of all that a result depends on but the code."""
    found = hashlib.sha256(config.to_str().encode())
    train = Path(config["paths"]["train"])
    for path in (train, corpus / "dev.spacy", corpus / "test.spacy", *elmo_files(config), *vector_files(config)):
        found.update(path.read_bytes())
    return found.hexdigest()


def elmo_files(config: Config) -> Iterator[Path]:
    """The files of the ELMo models that a config names: what a name or path means can change while it does not.

    Raises:
        CheckpointError: There is no such model.
    """
    default = spacy.Language.get_factory_meta("elmo").default_config or {}
    for component in config["components"].values():
        if component.get("factory") == "elmo":
            location = locate({**default["model"], **component.get("model", {})}["source"])
            # No vector depends on the card that describes a model.
            yield from (path for path in location.format.files(location) if path.is_file() and path.suffix != ".md")


def vector_files(config: Config) -> list[Path]:
    """Static vectors that lie in a folder."""
    path = Path(config["paths"].get("vectors") or "") / "vocab" / "vectors"
    return [path] if path.is_file() else []


def train_and_score(config: Config, layers: SharedLayers, test: Path | None) -> dict[str, float]:
    """Train, and give the best score on the dev set and, if asked for, its model's on the test set, in percent."""
    scores: list[float] = []

    def setup(nlp: Language, *streams: Any) -> tuple[Any, Any]:
        def log(info: dict[str, Any] | None) -> None:
            if info is not None and info["score"] is not None:
                scores.append(100 * info["score"])

        return log, lambda: None

    spacy.registry.loggers.register("experiments.training", func=lambda: setup)
    config["training"]["logger"] = {"@loggers": "experiments.training"}
    nlp = init_nlp(config)
    layers.give_to(nlp)
    if test is None:
        train(nlp)
        return {"dev": max(scores)}
    with TemporaryDirectory() as folder:
        train(nlp, Path(folder))
        best = spacy.load(Path(folder) / "model-best")
    layers.give_to(best)
    examples, start = list(Corpus(test)(best)), time.process_time()
    found = best.evaluate(examples)
    speed = sum(len(example.predicted) for example in examples) / (time.process_time() - start)
    weights = config["training"]["score_weights"]
    return {
        "dev": max(scores),
        "test": 100 * sum(found[key] * weight for key, weight in weights.items() if weight),
        "speed": round(speed),
    }

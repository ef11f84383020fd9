"""Choose the settings of a training config on a dev set: one setting after the other, each with those chosen before.

    python -m experiments.tune NAME --system elmo=configs/ner.cfg --system tok2vec=configs/ner_tok2vec.cfg \\
        --corpora corpus/wnut17 corpus/uner [--factors optimizer dropout] [--steps 400] [--words 500] [--seeds 0]
        [--share 1.0]

--corpora are folders with train.spacy, dev.spacy and test.spacy. All systems go through the same factors; those
that a config does not have are left out. --words are those of a batch, where a config's own schedule would begin with
too few for so short a run. What counts is the best dev score of a run, averaged over --corpora and
--seeds. With --test-seeds 0 1 2 what was chosen is then trained anew, with each of these seeds and each share of the
training data in --test-shares, and scored on the test sets, which nothing before has read.

All runs are in this process: the vectors of a frozen biLM are computed once, and shared. The tables go to
metrics/tune-NAME.md and all runs to metrics/tune-NAME.json; a run that stands there is not repeated, so a search that
was stopped goes on where it was.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from spacy.util import load_config
from thinc.api import Config

from . import report
from .datasets import read_docs, split, write_docs
from .training import SharedLayers, train_and_score

# In a run, at equal distances.
N_EVALUATIONS = 2
# A setting is SECTION.KEY: it is changed in all sections of that name, wherever they stand, that have the key.
Settings = Mapping[str, Any]

# What is tried, in this order; where none is better, what the config says stays.
FACTORS: dict[str, tuple[Settings, ...]] = {
    # Together: averages can take a rate that alone would not converge.
    "optimizer": tuple(
        {"optimizer.learn_rate": rate, "optimizer.use_averages": averages}
        for rate, averages in ((0.001, False), (0.003, False), (0.001, True), (0.003, True), (0.006, True))
    ),
    "dropout of vectors": tuple({"listen.dropout": share} for share in (0.1, 0.3, 0.5)),
    "dropout": tuple({"training.dropout": share} for share in (0.1, 0.3)),
    "encoder": tuple({"encode.width": width, "encode.depth": depth} for width, depth in ((96, 4), (128, 2), (128, 1))),
    "output": ({"listen.output": "mix"}, {"listen.output": "concat"}, {"listen.layer_norm": True}),
}


def places(config: Config, setting: str) -> Iterator[dict[str, Any]]:
    """The sections of a config that a setting is of."""
    name, _, key = setting.partition(".")

    def walk(section: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for part, value in section.items():
            if isinstance(value, dict):
                if part == name and key in value:
                    yield value
                yield from walk(value)

    return walk(config)


def has(config: Config, settings: Settings) -> bool:
    return all(any(True for _ in places(config, setting)) for setting in settings)


def changed(config: Config, settings: Settings) -> Config:
    """A copy with these settings."""
    config = config.copy()
    for setting, value in settings.items():
        for section in places(config, setting):
            section[setting.partition(".")[2]] = value
    return config


def present(config: Config) -> dict[str, Any]:
    """What a config says itself of all that could be tried."""
    settings = dict.fromkeys(setting for choices in FACTORS.values() for choice in choices for setting in choice)
    found = {setting: next(places(config, setting), None) for setting in settings}
    return {setting: section[setting.partition(".")[2]] for setting, section in found.items() if section is not None}


class Search:
    """The runs of one search, those that were found before among them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._layers = SharedLayers()
        self.path = report.METRICS / f"tune-{arguments.name}"
        found = self.path.with_name(f"{self.path.name}.json")
        self.runs: list[dict[str, Any]] = json.loads(found.read_text("utf8")) if found.is_file() else []

    def choose(self, system: str, config: Config) -> tuple[Settings, list[dict[str, Any]]]:
        """Go through the factors, and give what is best and a row for each choice."""
        chosen: dict[str, Any] = {}
        rows = []
        for factor in self._arguments.factors:
            choices = [choice for choice in FACTORS[factor] if has(config, choice)]
            scored = [(self._dev_score(system, config, chosen | dict(choice)), choice) for choice in choices]
            rows += [{"system": system, "factor": factor, "choice": choice, "score": score} for score, choice in scored]
            if scored:
                chosen |= max(scored, key=lambda one: one[0])[1]
        return chosen, rows

    def _dev_score(self, system: str, config: Config, settings: Settings) -> float:
        steps, share = self._arguments.steps, self._arguments.share
        return statistics.mean(
            self.run(system, config, settings, corpus, seed, steps, share)["dev"]
            for corpus, seed in product(self._arguments.corpora, self._arguments.seeds)
        )

    def test_scores(self, system: str, config: Config, settings: Settings) -> Iterator[dict[str, Any]]:
        """A run of the chosen settings for each corpus, share and seed, scored on the test set."""
        arguments = self._arguments
        for corpus, share, seed in product(arguments.corpora, arguments.test_shares, arguments.test_seeds):
            yield self.run(system, config, settings, corpus, seed, arguments.test_steps, share, test=True)

    def run(
        self,
        system: str,
        config: Config,
        settings: Settings,
        corpus: Path,
        seed: int,
        steps: int,
        share: float,
        test: bool = False,
    ) -> dict[str, Any]:
        """Train once, or read what was found before."""
        settings = {**present(config), **settings}
        facts: dict[str, Any] = {"system": system, "settings": settings, "corpus": corpus.name}
        facts |= {"seed": seed, "steps": steps, "share": share, "words": self._arguments.words}
        for run in self.runs:
            if facts.items() <= run.items() and (not test or "test" in run):
                return run
        config = changed(config, settings)
        name = f"{corpus.name}-{share:.0%}-seed{seed}".replace("%", "pct")
        train_path = Path("training") / self.path.name / f"{name}.spacy"
        write_docs(split(read_docs(corpus / "train.spacy"), share, seed)[0], train_path)
        config["paths"] |= {"train": str(train_path), "dev": str(corpus / "dev.spacy")}
        config["system"]["seed"] = seed
        config["training"] |= {"max_steps": steps, "eval_frequency": steps // N_EVALUATIONS, "patience": 0}
        if facts["words"] is not None:
            config["training"]["batcher"]["size"] |= {"start": facts["words"], "stop": facts["words"]}
        start = time.process_time()
        scores = train_and_score(config, self._layers, corpus / "test.spacy" if test else None)
        run = facts | scores | {"seconds": round(time.process_time() - start, 1)}
        print(f"{corpus.name}: {run}", flush=True)
        self.runs.append(run)
        report.keep(self.path, self.runs)
        return run


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a row for each choice; the best of each factor is bold."""
    best: dict[tuple[str, str], float] = {}
    for row in rows:
        key = row["system"], row["factor"]
        best[key] = max(best.get(key, 0.0), row["score"])
    shown = [
        [
            row["system"],
            row["factor"],
            ", ".join(f"{key.partition('.')[2]} {value}" for key, value in row["choice"].items()),
            f"**{row['score']:.1f}**" if row["score"] == best[row["system"], row["factor"]] else f"{row['score']:.1f}",
        ]
        for row in rows
    ]
    return report.table(["system", "factor", "choice", "dev"], shown)


def test_table(runs: list[dict[str, Any]]) -> str:
    """Markdown, a row for each corpus, share of the data and system."""
    groups: dict[tuple[str, float, str], list[float]] = {}
    for run in runs:
        groups.setdefault((run["corpus"], run["share"], run["system"]), []).append(run["test"])
    rows = []
    for (corpus, share, system), scores in sorted(groups.items(), key=lambda one: (one[0][0], -one[0][1])):
        spread = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
        each = ", ".join(f"{score:.1f}" for score in scores)
        rows.append([corpus, f"{share:.0%}", system, f"**{statistics.mean(scores):.1f}**{spread}", each])
    return report.table(["data", "training data", "system", "test", "seeds"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--system", action="append", required=True, metavar="NAME=CONFIG")
    parser.add_argument("--corpora", type=Path, nargs="+", required=True)
    parser.add_argument("--factors", nargs="*", choices=FACTORS, default=list(FACTORS))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--words", type=int, help="of a batch; by default what the config says")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the training data")
    parser.add_argument("--test-seeds", type=int, nargs="*", default=[])
    parser.add_argument("--test-shares", type=float, nargs="+", default=[1.0])
    parser.add_argument("--test-steps", type=int, default=1000)
    arguments = parser.parse_args()
    search = Search(arguments)
    rows: list[dict[str, Any]] = []
    tested: list[dict[str, Any]] = []
    for system in arguments.system:
        name, _, path = system.partition("=")
        config = load_config(path)
        chosen, choices = search.choose(name, config)
        rows += choices
        tested += search.test_scores(name, config, chosen)
    text = table(rows) + ("\n" + test_table(tested) if tested else "")
    report.write(search.path, text, search.runs)


if __name__ == "__main__":
    main()

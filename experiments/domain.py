"""The paper's whole chain: train the biLM on a task's texts, without labels, then freeze it, and train the task.

    python -m experiments.domain [--data wnut17] [--seeds 0] [--epochs 5] [--source MODEL]
        [--set training.batch_size=8] …

--set changes the config of the biLM's training, configs/pretrain_finetune.cfg.

Against it, by the same limits (`experiments.training.LIMITS`): the biLM as it is, frozen; trained along by the labels,
as `spacy elmo init-config --finetune` does it; and both, one after the other. What the biLM reads are the tokens of the
training set; it is measured on those of the dev set, before its first step and after, over the same vocabulary. The
test set is scored once, at the end. The biLM lies in training/domain/DATA, where it is not
trained again. The table goes to
metrics/domain.md and .json.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from spacy_elmo.checkpoints import embedded_for

from . import report
from .training import CORPORA, DATA, Run, Runs

CONFIG = "configs/pretrain_finetune.cfg"


def adapted(data: str, source: str, arguments: argparse.Namespace) -> Path:
    """The folder of the training that a biLM went on with, on the texts of a data set."""
    output = Path("training/domain") / data
    if not (output / "model-last").exists():
        settings = {
            "init-from": source,
            "output": output,
            "paths.train": CORPORA / data / "train.spacy",
            "paths.heldout": CORPORA / data / "dev.spacy",
            "training.max_epochs": arguments.epochs,
            "training.evaluation.every": 50,
            **dict(setting.split("=", 1) for setting in arguments.set),
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        subprocess.run([sys.executable, "-m", "spacy", "elmo", "pretrain", CONFIG, *words], check=True)
    return output


def perplexities(output: Path) -> list[tuple[int, float]]:
    """Steps and held-out perplexities of a training, of step 0 first."""
    lines = map(json.loads, (output / "log.jsonl").read_text("utf8").splitlines())
    return [(line["step"], line["perplexity"]) for line in lines if "perplexity" in line]


def measure(data: str, arguments: argparse.Namespace, runs: Runs) -> list[dict[str, Any]]:
    """A row for each way of a data set, with its score of each seed."""
    output = adapted(data, arguments.source or embedded_for("en"), arguments)
    measured = perplexities(output)
    before, after = measured[0][1], min(perplexity for _, perplexity in measured)
    rows = []
    for system in ("ELMo", "ELMo, not frozen"):
        for source, perplexity in ((arguments.source, before), (str(output / "model-best"), after)):
            made = [runs.result(Run(data, system, seed=seed, source=source)) for seed in arguments.seeds]
            scores = [one["test"] for one in made]
            facts = {"data": data, "frozen": system == "ELMo", "adapted": source != arguments.source}
            rows.append({**facts, "perplexity": perplexity, "scores": scores})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown; differences are to the biLM as it is, frozen, which comes first of a data set."""
    base: dict[str, float] = {}
    lines = []
    for row in rows:
        mean = statistics.mean(row["scores"])
        difference = mean - base.setdefault(row["data"], mean)
        lines.append(
            [
                DATA[row["data"]].title,
                "yes" if row["adapted"] else "no",
                "frozen" if row["frozen"] else "trained along",
                f"{row['perplexity']:.1f}",
                f"{mean:.1f}",
                f"{difference:+.1f}",
                ", ".join(f"{score:.1f}" for score in row["scores"]),
            ]
        )
    header = ["data", "biLM read its texts", "in the task", "perplexity", "score on test", "difference", "seeds"]
    return report.table(header, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=DATA, default=["wnut17", "uner"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--source", help="the biLM to begin with; by default the one that comes with the package")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = Runs()
    rows = [row for data in arguments.data for row in measure(data, arguments, runs)]
    report.write(report.METRICS / "domain", table(rows), rows)


if __name__ == "__main__":
    main()

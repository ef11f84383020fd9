"""What systems cost: processor seconds to train, words a second, and memory, each in a process of its own, one thread.

    python -m experiments.cost [--data uner] [--systems ELMo MiniLM …] [--steps 100] [--rounds 3]

They are those of `experiments.grid`, on corpora in corpus/, by turns. Training begins with nothing computed and is
evaluated on one text; words a second are those of the test set through the trained pipeline, memory is the highest that
the process has taken until then, all that it imports and trains included. Medians of the rounds. Linux alone. The table
goes to metrics/cost.md and .json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from spacy.tokens import Doc
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config
from thinc.api import Config

from . import report
from .datasets import read_docs
from .memory import memory, reset_peak
from .training import CORPORA, DATA, SYSTEMS, Run, Runs

# Words that are read before the clock runs.
WARM_UP = 200
Cost = dict[str, float]


def cost(config: Config, path: Path, *, steps: int = 0, batch_size: int = 1) -> Cost:
    """What a pipeline costs in this process.

    Args:
        config: A training config.
        path: The Docs whose words it reads, `batch_size` at a time.
        steps: How long to train before; 0 for not at all.

    Returns:
        Processor seconds for "training" and "reading", the number of "words", and, in bytes, what reading "added" to
        the process's memory, and its "peak".
    """
    nlp = init_nlp(config)
    start = time.process_time()
    if steps:
        train(nlp)
    training = time.process_time() - start
    docs = read_docs(path)
    nlp(Doc(nlp.vocab, words=[token.text for token in docs[0][:WARM_UP]]))
    texts = [Doc(nlp.vocab, words=[token.text for token in doc]) for doc in docs]
    words = sum(map(len, texts))

    def unread() -> Iterator[Doc]:
        # What has been read goes, as it would in a stream of texts.
        while texts:
            yield texts.pop()

    peak = memory("VmHWM")
    reset_peak()
    before, start = memory("VmRSS"), time.process_time()
    for _ in nlp.pipe(unread(), batch_size=batch_size):
        pass
    reading, highest = time.process_time() - start, memory("VmHWM")
    return {
        "training": training,
        "reading": reading,
        "words": words,
        "added": highest - before,
        "peak": max(peak, highest),
    }


def cost_apart(config: Config, path: Path, *, steps: int = 0, batch_size: int = 1) -> Cost:
    """The same, in a process of its own."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "config.cfg"
        config.to_disk(file)
        command = [sys.executable, "-m", "experiments.cost", "--apart", str(file), str(path)]
        command += ["--steps", str(steps), "--batch-size", str(batch_size)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def medians(rounds: list[Cost]) -> Cost:
    return {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}


def table(costs: dict[str, Cost], steps: int) -> str:
    rows = [
        [name, f"{one['training']:.0f} s", f"{one['words'] / one['reading']:,.0f}", f"{one['peak'] / 1e6:,.0f} MB"]
        for name, one in costs.items()
    ]
    return report.table(["system", f"{steps} steps", "words/s", "memory"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA, default="uner")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=100, help="texts that are read at a time")
    parser.add_argument("--apart", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    how = {"steps": arguments.steps, "batch_size": arguments.batch_size}
    if arguments.apart is not None:
        config, docs = arguments.apart
        print(json.dumps(cost(load_config(config), docs, **how)))
        return
    limits = {"training.max_steps": arguments.steps, "training.patience": 0, "corpora.dev.limit": 1}
    runs = Runs(**limits, **{"training.eval_frequency": arguments.steps})
    configs = {name: runs.config(Run(arguments.data, name)) for name in arguments.systems}
    test = CORPORA / arguments.data / "test.spacy"
    turns: dict[str, list[Cost]] = {name: [] for name in configs}
    for _ in range(arguments.rounds):
        for name, config in configs.items():
            turns[name].append(cost_apart(config, test, **how))
            print(f"{name}: {turns[name][-1]}", flush=True)
            report.keep(report.METRICS / "cost", turns)
    costs = {name: medians(rounds) for name, rounds in turns.items()}
    report.write(report.METRICS / "cost", table(costs, arguments.steps), turns)


if __name__ == "__main__":
    main()

"""What shape and what training give the best biLM for the same number of tokens.

    python -m experiments.study OUT --train TEXTS --heldout TEXTS [--tokens 1000000] [--jobs 2] [VARIANT ...]

Each variant is `configs/pretrain_sm.cfg` on a short budget with some settings changed, trained by the real command, one
process with one thread each. A run that was stopped goes on, one that has ended is not repeated. Then all models embed
the same held-out sentences in turns, on one thread, and with --uner and --wnut17 linear classifiers find entities by
their vectors, as in `experiments.context`. Writes OUT/study.md and OUT/study.json. Variants stand before the options.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import spacy
import torch

import spacy_elmo

from . import context, report

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "configs" / "pretrain_sm.cfg"

FEWER_FILTERS = "[[1,32],[2,32],[3,64],[4,128]]"
MORE_FILTERS = "[[1,32],[2,32],[3,64],[4,128],[5,256],[6,512]]"
BATCH, UNROLL = 128, 20

# The same for all: a short run with its own whole schedule.
BASE = {
    "model.cell_dim": "512",
    "training.batch_size": str(BATCH),
    "training.unroll": str(UNROLL),
    "training.max_epochs": "0",
    "training.negatives": "2048",
    "training.optimizer.learn_rate": "0.003",
    "training.optimizer.warmup_steps": "60",
    "training.optimizer.decay": "linear",
    "training.optimizer.decay_share": "1.0",
    "training.evaluation.max_words": "50000",
}
VARIANTS: dict[str, dict[str, str]] = {
    "base": {},
    "cell 1024": {"model.cell_dim": "1024"},
    "projection 256": {"model.projection_dim": "256"},
    "projection 256, cell 1024": {"model.projection_dim": "256", "model.cell_dim": "1024"},
    "projection 256, more filters": {"model.projection_dim": "256", "model.filters": MORE_FILTERS},
    "projection 256, cell 1024, more filters": {
        "model.projection_dim": "256",
        "model.cell_dim": "1024",
        "model.filters": MORE_FILTERS,
    },
    # As many products a word as `base`.
    "projection 192, cell 344": {"model.projection_dim": "192", "model.cell_dim": "344"},
    "projection 256, cell 256": {"model.projection_dim": "256", "model.cell_dim": "256"},
    "fewer filters": {"model.filters": FEWER_FILTERS},
    "more filters": {"model.filters": MORE_FILTERS},
    "1 layer, cell 1024": {"model.n_layers": "1", "model.cell_dim": "1024"},
    "no clipping": {"model.cell_clip": "null", "model.projection_clip": "null"},
    "vocabulary 20,000": {"vocabulary.max_size": "20000"},
    "vocabulary 100,000": {"vocabulary.max_size": "100000"},
    "dropout 0.1": {"training.dropout": "0.1"},
    "cosine decay": {"training.optimizer.decay": "cosine"},
    "decay in the last third": {"training.optimizer.decay_share": "0.3"},
    "learning rate 0.006": {"training.optimizer.learn_rate": "0.006"},
    "fresh state each sentence": {"training.carry_state": "false"},
    # Other weights to begin with, other negatives, and the texts in another order.
    "another seed": {"system.seed": "1"},
}


def train(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    output = arguments.output / name.replace(" ", "-").replace(",", "")
    steps = arguments.tokens // (BATCH * UNROLL)
    settings = BASE | {"training.max_steps": str(steps), "training.evaluation.every": str(steps)} | VARIANTS[name]
    settings |= {"paths.train": arguments.train, "paths.heldout": arguments.heldout}
    if not (output / "model-last").exists():
        share_corpus(output, arguments)
        command = [sys.executable, "-m", "spacy", "elmo", "pretrain", str(CONFIG), "--output", str(output)]
        command += [word for key, value in settings.items() for word in (f"--{key}", value)]
        start = time.perf_counter()
        with (arguments.output / f"{output.name}.log").open("w", encoding="utf8") as log:
            subprocess.run(
                command, check=True, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=ROOT
            )
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    return result(name, output)


def share_corpus(output: Path, arguments: argparse.Namespace) -> None:
    """All runs read the corpus that the first one prepares."""
    shared = (arguments.output / "corpus").absolute()
    shared.mkdir(parents=True, exist_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    if not (output / "corpus").exists():
        (output / "corpus").symlink_to(shared)


def result(name: str, output: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text("utf8").splitlines()]
    evaluation = [line for line in lines if "perplexity" in line][-1]
    weights = output / "model-last" / "model.safetensors"
    bilm = spacy_elmo.load_bilm(output / "model-last")
    return {
        "variant": name,
        "model": str(output / "model-last"),
        "perplexity": evaluation["perplexity"],
        "tokens": evaluation["tokens"],
        # The fastest stretch between two lines of the log: the others had more beside them.
        "tokens_per_second": max(line["tokens_per_second"] for line in lines if "tokens_per_second" in line),
        "parameters": sum(parameter.numel() for parameter in bilm.parameters()),
        "width": bilm.config.width,
        "float16_megabytes": weights.stat().st_size / 2e6,
    }


def add_inference_speed(results: list[dict[str, Any]], heldout: Path) -> None:
    """Words a second on 1,000 sentences, the median of three rounds, all models in turns."""
    torch.set_num_threads(1)
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    with (gzip.open if heldout.suffix == ".gz" else open)(heldout, "rt", encoding="utf8") as file:
        texts = [next(file) for _ in range(400)]
    sentences = [[token.text for token in sentence] for doc in nlp.pipe(texts) for sentence in doc.sents][:1000]
    bilms = [spacy_elmo.load_bilm(one["model"], "cpu") for one in results]
    seconds: list[list[float]] = [[] for _ in bilms]
    for bilm in bilms:
        bilm.embed(sentences[:50])
    for _ in range(3):
        for bilm, mine in zip(bilms, seconds, strict=True):
            bilm.changed()  # words that were kept from the round before would cost nothing
            start = time.perf_counter()
            bilm.embed(sentences)
            mine.append(time.perf_counter() - start)
    for one, mine in zip(results, seconds, strict=True):
        one["inference_words_per_second"] = sum(map(len, sentences)) / statistics.median(mine)


def add_entities(results: list[dict[str, Any]], task: str, folder: Path) -> None:
    train, test = context.TASKS[task](folder)
    for one in results:
        found = context.measure(spacy_elmo.load_bilm(one["model"], "cpu"), train, test, ways=("alone",))
        one[task] = context.f1(found["alone"])


def table(results: list[dict[str, Any]]) -> str:
    tasks = [task for task in context.TASKS if task in results[0]]
    rows = [
        [
            one["variant"],
            f"{one['parameters'] / 1e6:.1f} million",
            f"{one['float16_megabytes']:.1f} MB",
            f"{one['tokens_per_second']:,.0f} tokens/s",
            f"{one['inference_words_per_second']:,.0f} words/s",
            f"{one['perplexity']:.1f}",
            *(f"{one[task]:.1f}" for task in tasks),
        ]
        for one in results
    ]
    names = ["", "parameters", "float16", "trains at", "embeds at", "held-out perplexity", *(f"{t} F1" for t in tasks)]
    return report.table(names, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"all by default: {', '.join(VARIANTS)}")
    parser.add_argument("--train", required=True, help="a file, directory or glob")
    parser.add_argument("--heldout", required=True)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--uner", type=Path, help="folder with its files")
    parser.add_argument("--wnut17", type=Path, help="folder with its files")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, a core for each")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    names = arguments.variants or list(VARIANTS)
    if unknown := set(names) - set(VARIANTS):
        raise SystemExit(f"No such variants: {', '.join(sorted(unknown))}. There are: {', '.join(VARIANTS)}.")
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda name: train(name, arguments), names))
    add_inference_speed(results, Path(arguments.heldout))
    for task in ("uner", "wnut17"):
        if folder := getattr(arguments, task):
            add_entities(results, task, folder)
    report.write(arguments.output / "study", table(results), results)


if __name__ == "__main__":
    main()

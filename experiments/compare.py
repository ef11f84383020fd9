"""Train systems on the same data with the same limits, and put their scores on the test set into one table.

    python -m experiments.compare NAME --system elmo=configs/ner.cfg --system tok2vec=configs/ner_tok2vec.cfg \\
        --corpus corpus/wnut17 --score ents_f [--seeds 0 1 2] [--shares 1.0 0.1] [--set training.dropout=0.2] …

--set elmo:training.dropout=0.2 sets it for the system elmo alone.
--corpus is a folder with train.spacy, dev.spacy and test.spacy. Each run is a `spacy train` and a `spacy evaluate`. The
table goes to metrics/NAME.md and metrics/NAME.json, the pipelines to training/NAME/. A run whose result is there and
whose inputs are the same is not repeated, so a comparison that was stopped goes on where it was. Its inputs are its
settings, its data, and the weights of the ELMo models that its config names; the code that trains is not among them.
"""

import argparse
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy.cli._util import parse_config_overrides
from spacy.util import load_config

from spacy_elmo.checkpoints import CheckpointError

from . import report, training
from .datasets import read_docs, split, write_docs

# A line of what `spacy train` prints: epoch, step, losses and scores, of which the last one counts.
TRAINING_ROW = re.compile(r"\s*\d+\s+(?P<step>\d+)\s.*\s(?P<score>\d\.\d+)\s*$")


@dataclass(frozen=True)
class Run:
    """One system trained once."""

    system: str
    config: Path
    share: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.system}-{self.share:.0%}-seed{self.seed}".replace("%", "pct")


def all_runs(arguments: argparse.Namespace) -> Iterator[Run]:
    for share in arguments.shares:
        for seed in arguments.seeds:
            for system in arguments.system:
                name, _, config = system.partition("=")
                yield Run(name, Path(config), share, seed)


def execute(run: Run, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train and evaluate one system, or read what an earlier call found."""
    folder = Path("training") / arguments.name / run.name
    result_path = folder / "result.json"
    train = training_data(run, arguments)
    overrides = ["--system.seed", str(run.seed)]
    overrides += ["--paths.train", str(train), "--paths.dev", str(arguments.corpus / "dev.spacy")]
    for setting in arguments.set:
        key, _, value = setting.partition("=")
        system, _, own = key.rpartition(":")
        if system in ("", run.system):
            overrides += [f"--{own}", value]
    command = ["train", str(run.config), "--output", str(folder), *overrides]
    # What the result depends on: the words of the command, and the settings, data and models behind them.
    digest = hashlib.sha256(json.dumps([command, load_config(run.config).to_str()]).encode())
    data = (train, arguments.corpus / "dev.spacy", arguments.corpus / "test.spacy")
    for path in (*data, *elmo_files(run.config, overrides)):
        digest.update(path.read_bytes())
    if result_path.exists():
        result = json.loads(result_path.read_text("utf8"))
        if result["inputs"] == digest.hexdigest():
            print(
                f"{arguments.name}: {run.name}: {result['score']:.1f}, found before from the same inputs; delete "
                f"{result_path} to train again",
                flush=True,
            )
            return result
        # It must not stand beside another pipeline, should the training be stopped.
        result_path.unlink()
    seconds = spacy_command(command, folder / "train.log", arguments.jobs, f"{arguments.name}: {run.name}")
    scores_path = folder / "scores.json"
    evaluate = [
        "evaluate",
        str(folder / "model-best"),
        str(arguments.corpus / "test.spacy"),
        "--output",
        str(scores_path),
    ]
    spacy_command(evaluate, folder / "evaluate.log", arguments.jobs, f"{arguments.name}: {run.name}")
    scores = json.loads(scores_path.read_text("utf8"))
    result = {
        "system": run.system,
        "config": str(run.config),
        "share": run.share,
        "seed": run.seed,
        "score": 100 * scores[arguments.score],
        "train_seconds": round(seconds, 1),
        "words_per_second": round(scores["speed"]),
        "inputs": digest.hexdigest(),
    }
    result_path.write_text(json.dumps(result, indent=2) + "\n", "utf8")
    print(f"{arguments.name}: {run.name}: {result['score']:.1f} ({seconds:.0f} s)", flush=True)
    return result


def elmo_files(config: Path, overrides: list[str]) -> Iterator[Path]:
    """The files of the ELMo models that a config with overrides names."""
    try:
        yield from training.elmo_files(load_config(config, parse_config_overrides(overrides), interpolate=True))
    except CheckpointError as error:
        raise SystemExit(f"{config}: {error}") from None


def training_data(run: Run, arguments: argparse.Namespace) -> Path:
    path: Path = arguments.corpus / "train.spacy"
    if run.share == 1:
        return path
    part, _ = split(read_docs(path), run.share, run.seed)
    path = (
        Path("training")
        / arguments.name
        / f"train-{run.share:.0%}-seed{run.seed}-{run.system}.spacy".replace("%", "pct")
    )
    write_docs(part, path)
    return path


def spacy_command(words: list[str], log: Path, jobs: int, name: str) -> float:
    """Run a command of spaCy's, tell how far it is, and give the seconds it took.

    log: where all that it prints goes.
    name: what to call it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # As many threads as there are cores for each of the processes: more would wait for each other.
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "spacy", *words]
    start = time.perf_counter()
    with (
        log.open("w", encoding="utf8") as file,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, encoding="utf8"
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            if row := TRAINING_ROW.match(line):
                print(f"{name}: step {row['step']}, {row['score']} on the dev set", flush=True)
    if process.returncode:
        raise SystemExit(f"spacy {' '.join(words)}\nfailed; the end of {log}:\n{log.read_text('utf8')[-2000:]}")
    return time.perf_counter() - start


def table(results: list[dict[str, Any]], score: str) -> str:
    """Markdown, a row for each share of the data and system."""
    name = report.SCORE_NAMES.get(score, score)
    header = ["training data", "system", f"{name} on test", "seeds", "training time (s)", "words/s"]
    rows = []
    groups: dict[tuple[float, str], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["share"], result["system"]), []).append(result)
    for (share, system), runs in groups.items():
        scores = [run["score"] for run in runs]
        spread = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
        each = ", ".join(f"{value:.1f}" for value in scores)
        seconds = statistics.median(run["train_seconds"] for run in runs)
        speed = statistics.median(run["words_per_second"] for run in runs)
        mean = statistics.mean(scores)
        rows.append([f"{share:.0%}", system, f"**{mean:.1f}**{spread}", each, f"{seconds:.0f}", f"{speed:,.0f}"])
    return report.table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--system", action="append", required=True, metavar="NAME=CONFIG")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--score", required=True, help="the key in spaCy's scores, such as ents_f")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="[SYSTEM:]SECTION.KEY=VALUE",
        help="override in all configs, or in a system's",
    )
    arguments = parser.parse_args()
    runs = list(all_runs(arguments))
    for setting in arguments.set:
        system = setting.partition("=")[0].rpartition(":")[0]
        if system and system not in {run.system for run in runs}:
            raise SystemExit(f"--set {setting}: there is no system {system}.")
    for path in (
        *(run.config for run in runs),
        *(arguments.corpus / f"{part}.spacy" for part in ("train", "dev", "test")),
    ):
        if not path.is_file():
            raise SystemExit(f"{path}: no such file.")
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda run: execute(run, arguments), runs))
    report.write(report.METRICS / arguments.name, table(results, arguments.score), results)


if __name__ == "__main__":
    main()

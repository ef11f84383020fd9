"""What a large job takes: processor time of one core of this machine, and from that a simulation of many workers.

    python -m bench.scale measure TEXT [--tokens 50000]     # a line of JSON at the end
    python -m bench.scale simulate MEASURED.json [--tokens 1000000000] [--megabytes-a-second 1000]

TEXT has a sentence a line, its words separated by blanks; .gz is read too. The simulation is as Ray Data has it: one
reader for 16 workers cuts files into parts, workers take them as they come free, and send what they have made to a
store that takes so many megabytes a second of all of them together; the machine that began the job reads the records
of all parts at the end. It knows no failures, no slow machines, and no latency of a network.
"""

import argparse
import heapq
import json
import resource
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from bench.embedding import MODEL, prepared, processor_seconds
from spacy_elmo.embedding import Settings, embed, manifest, parts
from spacy_elmo.embedding.documents import Text
from spacy_elmo.embedding.inputs import find
from spacy_elmo.embedding.places import place
from spacy_elmo.embedding.ray_engine import WORKERS_A_READER
from spacy_elmo.embedding.settings import PART_CHARACTERS

START = "from spacy_elmo.embedding.worker import Worker; from spacy_elmo import load_bilm; load_bilm({model!r}, 'cpu')"
OUTPUTS: dict[str, tuple[str, dict[str, str]]] = {
    "Parquet, average, float16": ("", {"dtype": "float16"}),
    "Parquet, average, float32": ("", {}),
    "Parquet, all, float16": ("", {"layers": "all", "dtype": "float16"}),
    "Parquet, one a sentence, float32": ("", {"pool": "sentence"}),
    ".h5, all, float32": (".h5", {"layers": "all"}),
    ".npz, average, float32": (".npz", {}),
    ".spacy, average, float32": (".spacy", {}),
}


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Of one core: see what is printed."""
    torch.set_num_threads(1)
    text, _, n_tokens = prepared(arguments, folder)
    settings = Settings(format="tokens", dtype="float16")
    embed([text], folder / "warm", MODEL, settings, device="cpu")
    took = min(
        processor_seconds(partial(embed, [text], folder / f"job{i}", MODEL, settings, device="cpu")) for i in range(3)
    )
    measured: dict[str, Any] = {"tokens a second and core": n_tokens / took, "bytes a token": {}}
    for i, (name, (ending, choices)) in enumerate(OUTPUTS.items()):
        output = folder / f"output{i}{ending}"
        embed([text], output, MODEL, Settings(format="tokens", **choices), device="cpu")  # type: ignore[arg-type]
        files = [output] if ending else list(output.glob("part-*"))
        measured["bytes a token"][name] = sum(file.stat().st_size for file in files) / n_tokens
    python = [sys.executable, "-c", START.format(model=MODEL)]
    measured["seconds to start a worker"] = min(_of_process(python) for _ in range(3))
    (file,) = find([str(text)])
    plain = Settings(format="sentences")
    read = min(processor_seconds(lambda: [len(part.items) for part in parts.cut(0, file, plain)]) for _ in range(3))
    measured["tokens a second read"] = n_tokens / read
    assert all(isinstance(item, Text) for part in parts.cut(0, file, plain) for item in part.items)
    measured["tokens a part"] = n_tokens * PART_CHARACTERS / file.size
    many = place(str(folder / "records"))
    manifest.begin(many, {})
    for i in range(500):
        parts.write_record(many, parts.Record(f"part-00000-{i:06}", 1, 1, 1, []))
    measured["seconds to complete a part"] = processor_seconds(lambda: manifest.complete(many)) / 500
    return measured


def _of_process(command: list[str]) -> float:
    """Processor seconds of a process, which ends by itself."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def simulate(measured: dict[str, Any], n_workers: int, n_tokens: float, bytes_a_second: float) -> tuple[float, str]:
    """Seconds until so many workers are done, and what cost them most apart from computing."""
    n_parts = max(1, round(n_tokens / measured["tokens a part"]))
    in_part = n_tokens / n_parts
    compute = in_part / measured["tokens a second and core"]
    send = in_part * measured["bytes a token"]["Parquet, average, float16"] / bytes_a_second
    n_readers = 1 + n_workers // WORKERS_A_READER
    read = in_part / measured["tokens a second read"] / n_readers
    free = [measured["seconds to start a worker"]] * n_workers
    store_free = end = 0.0
    waited = {"waiting for readers": 0.0, "waiting for the store": 0.0}
    for number in range(n_parts):
        ready, began = (number + 1) * read, heapq.heappop(free)
        waited["waiting for readers"] += max(0.0, ready - began)
        computed = max(ready, began) + compute
        waited["waiting for the store"] += max(0.0, store_free - computed)
        store_free = max(computed, store_free) + send
        heapq.heappush(free, store_free)
        end = max(end, store_free)
    end += n_parts * measured["seconds to complete a part"]
    lost = {
        **waited,
        "sending": n_parts * send,
        "starting": n_workers * measured["seconds to start a worker"],
        "completing": n_workers * n_parts * measured["seconds to complete a part"],
    }
    lost["having no part left"] = max(0.0, n_workers * end - n_parts * compute - sum(lost.values()))
    return end, max(lost, key=lost.__getitem__)


def show(arguments: argparse.Namespace) -> None:
    measured = json.loads(Path(arguments.text).read_text("utf8"))
    print("Simulated, not measured:")
    for n_workers in (1, 10, 100, 1000):
        took, limit = simulate(measured, n_workers, arguments.tokens, arguments.megabytes_a_second * 1e6)
        ideal = arguments.tokens / measured["tokens a second and core"] / n_workers
        print(
            f"{n_workers} workers: {took / 3600:.2f} hours, {n_workers * took / 3600:.0f} core hours, "
            f"{ideal / took:.2f} of the ideal; most is lost by {limit}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "simulate"])
    parser.add_argument("text", type=Path)
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--megabytes-a-second", type=float, default=1000)
    arguments = parser.parse_args()
    start = time.perf_counter()
    if arguments.what == "simulate":
        arguments.tokens = arguments.tokens or 1_000_000_000
        show(arguments)
        return
    arguments.tokens = arguments.tokens or 50_000
    with TemporaryDirectory() as folder:
        print(json.dumps(measure(arguments, Path(folder)), indent=2))
    print(f"in {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()

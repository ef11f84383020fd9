"""Embedding to disk, beside what computes: the bare engine, two workers of Ray; and its memory over a large input.

    python -m bench.embedding local TEXT [--tokens 100000] [--rounds 5]   # job / bare engine, disk included
    python -m bench.embedding ray TEXT [--tokens 100000] [--rounds 3]     # two workers of Ray / two threads
    python -m bench.embedding memory [--megabytes 1000]                   # with a tiny model, so that it ends

TEXT has a sentence a line, its words separated by blanks; .gz is read too. Each figure is the median of the ratios of
neighbours, which alternate in one process.
"""

import argparse
import gzip
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from bench.workloads import resident_bytes
from spacy_elmo import BiLM, BiLMConfig, load_bilm, save_bilm
from spacy_elmo.bilm.inference import Engine
from spacy_elmo.embedding import Settings, embed

MODEL = "en_elmo_sm"
SETTINGS = Settings(layers="average", dtype="float16", format="tokens")


def read(path: Path, n_tokens: int) -> list[list[str]]:
    """Sentences of at most 40 words, so many tokens of them."""
    sentences, n = [], 0
    with gzip.open(path, "rt", encoding="utf8") if path.suffix == ".gz" else path.open(encoding="utf8") as file:
        for line in file:
            words = iter(line.split())
            while n < n_tokens and (sentence := list(islice(words, 40))):
                sentences.append(sentence)
                n += len(sentence)
    return sentences


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def processor_seconds(call: Callable[[], object]) -> float:
    """Of all threads of this process."""
    start = time.process_time()
    call()
    return time.process_time() - start


def _timed(took: list[float], call: Callable[[], object]) -> None:
    took.append(seconds(call))


def compare(name: str, other: str, calls: tuple[Callable[[int], object], ...], n_tokens: int, rounds: int) -> None:
    """How many tokens a second the first of two calls makes, and as a share of those of the second.

    Where much else runs, ratios of seconds tell little, and those of the processor's are what can be told; they say
    nothing of processes that a call starts.
    """
    calls[0](0), calls[1](0)
    walls, times = [], []
    for i in range(1, rounds + 1):
        took: list[float] = []
        times.append([processor_seconds(partial(_timed, took, partial(call, i))) for call in calls])
        walls.append(took)
    rates = [n_tokens / statistics.median(column) for column in zip(*walls, strict=True)]
    ratios = [statistics.median(b / a for a, b in pairs) for pairs in (walls, times)]
    print(f"{name}: {rates[0]:,.0f} tokens/s; {other}: {rates[1]:,.0f} tokens/s; ratio {ratios[0]:.2f}", end="")
    print(f", of processor time {ratios[1]:.2f}")


def local(arguments: argparse.Namespace, folder: Path) -> None:
    text, sentences, n_tokens = prepared(arguments, folder)
    bilm = load_bilm(MODEL, "cpu")

    def bare(i: int) -> None:
        engine = Engine(bilm.config, bilm.word_encoder, bilm.stacks, bilm.precision)
        for start in range(0, len(sentences), 1600):
            engine.embed(sentences[start : start + 1600])

    def job(i: int) -> None:
        embed([text], folder / f"job{i}", MODEL, SETTINGS, device="cpu")

    compare("job", "bare engine", (job, bare), n_tokens, arguments.rounds)
    size = sum(path.stat().st_size for path in (folder / "job1").glob("part-*"))
    print(f"{size / n_tokens:.0f} bytes a token (average of the layers, float16, with texts, tokens and offsets)")


def ray(arguments: argparse.Namespace, folder: Path) -> None:
    """Both with the start of their processes, and the loading of the model."""
    import ray as cluster

    text, _, n_tokens = prepared(arguments, folder)
    cluster.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    torch.set_num_threads(2)
    settings = Settings(layers="average", dtype="float16", format="tokens", part_characters=100_000)

    def of_ray(i: int) -> None:
        embed([text], folder / f"ray{i}", MODEL, settings, engine="ray", workers=2, device="cpu")

    def of_threads(i: int) -> None:
        embed([text], folder / f"local{i}", MODEL, settings, device="cpu")

    compare("two workers of Ray", "two threads", (of_ray, of_threads), n_tokens, arguments.rounds)


def memory(arguments: argparse.Namespace, folder: Path) -> None:
    config = BiLMConfig(filters=((1, 4),), char_dim=4, n_highway=1, projection_dim=4, cell_dim=4, n_layers=1)
    save_bilm(BiLM(config), folder / "model")
    line = "A sentence of ten words stands here , and ends .\n"
    with (folder / "text.txt").open("w") as file:
        for _ in range(arguments.megabytes):
            file.write(line * (1_000_000 // len(line)))
    seen: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            seen.append(resident_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    took = seconds(
        lambda: embed(
            [folder / "text.txt"], folder / "out", folder / "model", Settings(pool="doc", format="tokens"), device="cpu"
        )
    )
    ended.set()
    thread.join()
    tenth = max(1, len(seen) // 10)
    parts = [max(seen[i : i + tenth]) / 2**20 for i in range(0, len(seen), tenth)]
    print(f"{arguments.megabytes} MB in {took:.0f} s; peak MiB in each tenth of the time: {[round(p) for p in parts]}")


def prepared(arguments: argparse.Namespace, folder: Path) -> tuple[Path, list[list[str]], int]:
    sentences = read(arguments.text, arguments.tokens)
    text = folder / "text.txt"
    text.write_text("".join(" ".join(words) + "\n" for words in sentences), "utf8")
    return text, sentences, sum(map(len, sentences))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["local", "ray", "memory"])
    parser.add_argument("text", type=Path, nargs="?")
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=1000)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        {"local": local, "ray": ray, "memory": memory}[arguments.what](arguments, Path(folder))


if __name__ == "__main__":
    main()

"""How fast the native kernel is on this processor, beside PyTorch, spaCy's tok2vec and a small transformer.

    python -m bench.kernels --text FILE [--model OPTIONS WEIGHTS] [--threads 1] [--rounds 5] [--seconds 2]
        [--scaling | --limits]

FILE has a sentence a line, its words separated by spaces. Without --model, the model is the embedded one, and
`nlp.pipe` is measured beside the biLM alone.

All ways take turns in one process, and give the median of tokens per processor-second: what a core does that is busy
with nothing else, whoever else uses the machine. With --threads 2 it is tokens per second, which wants a quiet machine.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import spacy
import torch
from spacy.language import Language

from bench.workloads import Sentences, read, unpack_minilm
from spacy_elmo import BiLM, load_bilm
from spacy_elmo.bilm.inference import PRECISIONS, explain, processor
from spacy_elmo.bilm.native.library import VARIABLE

Way = Callable[[Sentences], object]

BATCHES = (1, 8, 32, 128, 256, 512)


def models(source: str | list[str]) -> dict[str, Way]:
    """The same model by PyTorch and by the kernel, in both precisions."""
    ways: dict[str, Way] = {}
    for name, native in (("PyTorch", "0"), ("kernel", "")):
        for precision in PRECISIONS:
            os.environ[VARIABLE] = native
            bilm = load_bilm(source, device="cpu", precision=precision)
            bilm.embed([["A", "sentence"]])  # makes its engine as the environment says
            ways[f"{name} {precision}"] = bilm.embed
    return ways


def pipelines(folder: Path) -> dict[str, Way]:
    found: dict[str, Language] = {}
    for precision in PRECISIONS:
        found[f"elmo {precision}"] = spacy.blank("en")
        model = {"@architectures": "spacy-elmo.ElmoModel.v1", "precision": precision}
        found[f"elmo {precision}"].add_pipe("elmo", config={"model": model})
    found["tok2vec"] = spacy.blank("en")
    found["tok2vec"].add_pipe("tok2vec")
    if find_spec("spacy_transformers") and unpack_minilm(folder / "minilm"):
        model = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": str(folder / "minilm")}
        found["MiniLM-L6"] = spacy.blank("en")
        found["MiniLM-L6"].add_pipe("transformer", config={"model": model})
    for nlp in found.values():
        nlp.initialize()
    return {name: partial(run, nlp) for name, nlp in found.items()}


def run(nlp: Language, sentences: Sentences) -> None:
    for _ in nlp.pipe(map(" ".join, sentences)):
        pass


def rate(way: Way, sentences: Sentences, batch: int, seconds: float, clock: Callable[[], float]) -> float:
    """Tokens a second."""
    n_tokens, start = 0, clock()
    for i in range(0, len(sentences), batch):
        way(sentences[i : i + batch])
        n_tokens += sum(map(len, sentences[i : i + batch]))
        if clock() - start > seconds:
            break
    return n_tokens / (clock() - start)


def speeds(ways: dict[str, Way], sentences: Sentences, batch: int, arguments: argparse.Namespace) -> dict[str, float]:
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds + 1):
        for name, way in ways.items():
            found[name].append(rate(way, sentences, batch, arguments.seconds, clock))
    return {name: median(rates[1:]) for name, rates in found.items()}


def scaling(ways: dict[str, Way], sentences: Sentences, arguments: argparse.Namespace) -> None:
    """Tokens a second of the clock with one thread and with two, by turns: wants a quiet machine."""
    print("\n| kernel, sentences at once | one thread | two threads | ratio, its spread |\n|---|---|---|---|")
    for name in ways:
        for batch in arguments.batches:
            rates: dict[int, list[float]] = {1: [], 2: []}
            for _ in range(arguments.rounds + 1):
                for n_threads in rates:
                    torch.set_num_threads(n_threads)
                    rates[n_threads].append(rate(ways[name], sentences, batch, arguments.seconds, time.perf_counter))
            ratios = sorted(two / one for one, two in zip(rates[1][1:], rates[2][1:], strict=True))
            one, two = (median(found[1:]) for found in rates.values())
            spread = f"{median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f}"
            print(f"| {name}, {batch} | {one:,.0f} | {two:,.0f} | {spread} |", flush=True)
    torch.set_num_threads(1)


def limits(bilm: BiLM, arguments: argparse.Namespace, sentences: Sentences) -> None:
    """What one core reaches of what it could: of reading weights, for one sentence; of products, for many.

    A step of one sentence reads all weights of the states and projections. How fast as many bytes can be read is the
    best of a sum, a product with a vector, and a copy. Products are counted as if no word came twice in the first
    layer, and so are too many by a little; the most that this core can is the best product of torch.
    """
    config, factor = bilm.config, {"float32": 4, "bfloat16": 2}[bilm.precision]
    state, projection = 4 * config.cell_dim * config.projection_dim, config.cell_dim * config.projection_dim
    n_bytes = factor * 2 * config.n_layers * (state + projection)
    operations = 2 * 2 * config.n_layers * (2 * state + projection)
    # As the kernel's, by NumPy, which asks the system for large pages.
    weights, square = torch.from_numpy(np.ones((n_bytes // 4096, 1024), np.float32)), torch.randn(1536, 1536)
    vector, copy = torch.ones(1024), torch.empty_like(weights)
    ways: tuple[tuple[int, Callable[[], object]], ...] = (
        (1, weights.sum),
        (1, lambda: weights @ vector),
        (2, lambda: copy.copy_(weights)),
    )
    found: dict[str, list[float]] = {"read": [], "one": [], "product": [], "many": []}
    for _ in range(arguments.rounds + 1):
        found["read"].append(n_bytes * max(n * calls_a_second(way, arguments.seconds) for n, way in ways))
        found["one"].append(n_bytes * rate(bilm.embed, sentences, 1, arguments.seconds, time.process_time))
        found["product"].append(2 * 1536**3 * calls_a_second(lambda: square @ square, arguments.seconds))
        found["many"].append(operations * rate(bilm.embed, sentences, 256, arguments.seconds, time.process_time))
    read, one, product, many = (median(rates[1:]) / 1e9 for rates in found.values())
    print(f"| {bilm.precision} | {one:.1f} of {read:.1f} GB/s ({one / read:.2f}) | ", end="")
    print(f"{many:.0f} of {product:.0f} GFLOP/s ({many / product:.2f}) |", flush=True)


def calls_a_second(function: Callable[[], object], seconds: float) -> float:
    n_calls, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        function()
        n_calls += 1
    return n_calls / (time.process_time() - start)


def print_row(what: str, found: dict[str, float]) -> None:
    base = next(iter(found.values()))
    cells = (f"{rate:,.0f} ({rate / base:.2f}x)" for rate in found.values())
    print(f"| {what} | " + " | ".join(cells) + " |", flush=True)


def print_head(ways: dict[str, Way]) -> None:
    print("\n| sentences at once | " + " | ".join(ways) + " |\n" + "|---" * (len(ways) + 1) + "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--model", nargs=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="the longest that a way may take in a round")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES)
    parser.add_argument("--scaling", action="store_true", help="one thread against two")
    parser.add_argument("--limits", action="store_true", help="the share of memory's and products' speed")
    parser.add_argument("--folder", type=Path, default=Path("/tmp"), help="where a transformer is unpacked")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sentences = read(arguments.text)
    print(f"{processor.here().model}, {torch.get_num_threads()} threads; {'; '.join(map(explain, PRECISIONS))}")
    source = arguments.model or "en_elmo_sm"
    if arguments.limits:
        print("\n| precision | reading weights, one sentence | products, 256 sentences |\n|---|---|---|")
        for precision in PRECISIONS:
            limits(load_bilm(source, device="cpu", precision=precision), arguments, sentences)
        return
    ways = models(source)
    if arguments.scaling:
        scaling({name: way for name, way in ways.items() if name.startswith("kernel")}, sentences, arguments)
        return
    print_head(ways)
    for batch in arguments.batches:
        print_row(str(batch), speeds(ways, sentences, batch, arguments))
    if not arguments.model:
        os.environ[VARIABLE] = ""
        ways = pipelines(arguments.folder)
        print_head(ways)
        print_row("nlp.pipe", speeds(ways, sentences, 256, arguments))


if __name__ == "__main__":
    main()

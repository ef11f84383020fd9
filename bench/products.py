"""Which layout of a weight makes a product fastest on this processor: what `bilm.inference.products` decides by.

    python -m bench.products [--threads 1]

For each weight of the published models and of the embedded one, and for many numbers of rows: GFLOP/s of x @ weight.T
in each layout, the layout that the rules take, and what share of the best one's speed it has. A weight larger than the
second-level cache takes turns with others of its shape, so that none is in a cache from the call before, as in a run; a
smaller one is used again and again, as in the steps of a layer.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from statistics import median

import torch

from spacy_elmo.bilm.inference import processor
from spacy_elmo.bilm.inference.products import LAYOUTS, layout

SHAPES = {
    "en_elmo_sm, state": (128, 2048),
    "en_elmo_sm, projection": (512, 128),
    "small, state": (128, 4096),
    "small, projection": (1024, 128),
    "medium, state": (256, 8192),
    "medium, projection": (2048, 256),
    "original, state": (512, 16384),
    "original, projection": (4096, 512),
    "highway": (2048, 2048),
}
EXACT = ("view", "copy", "packed")
ROWS = (1, 4, 12, 32, 64, 128, 512)
# Weights that are not to stay in a cache exceed it together.
WEIGHT_BYTES = 128 * 2**20
ROUNDS = 5


def gigaflops(n_rows: int, n_inputs: int, n_outputs: int) -> dict[str, float]:
    """Of each layout, in turns."""
    n_bytes = 4 * n_inputs * n_outputs
    n_weights = 1 if n_bytes <= processor.here().l2_bytes else max(3, WEIGHT_BYTES // n_bytes // 8)
    n_calls = max(1, 10**7 // (n_rows * n_inputs * n_outputs * n_weights))
    weights = [torch.randn(n_outputs, n_inputs) for _ in range(n_weights)]
    calls = {name: [LAYOUTS[name](weight) for weight in weights] * n_calls for name in EXACT}
    x, addend = torch.randn(n_rows, n_inputs), torch.randn(n_rows, n_outputs)
    seconds: dict[str, list[float]] = {name: [] for name in EXACT}
    for _ in range(ROUNDS):
        for name, products in calls.items():
            start = time.perf_counter()
            for product in products:
                product(x, addend)
            seconds[name].append((time.perf_counter() - start) / len(products))
    return {name: 2 * n_rows * n_inputs * n_outputs / median(times) / 1e9 for name, times in seconds.items()}


def rows() -> Iterator[tuple[str, ...]]:
    """Of the table."""
    share: Callable[[float], str] = "{:.0%}".format
    for name, (n_inputs, n_outputs) in SHAPES.items():
        for n_rows in ROWS:
            rates = gigaflops(n_rows, n_inputs, n_outputs)
            taken = layout(torch.empty(n_outputs, n_inputs), "float32", n_rows)
            speeds = (f"{rates[each]:.0f}" for each in EXACT)
            yield (
                name,
                str(n_rows),
                *speeds,
                max(rates, key=rates.__getitem__),
                taken,
                share(rates[taken] / max(rates.values())),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    print(f"{processor.here()}, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    header = ("weight", "rows", *EXACT, "fastest", "by the rules", "of the fastest")
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for row in rows():
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    with torch.no_grad():
        main()

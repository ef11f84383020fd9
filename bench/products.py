"""Which layout of a weight makes a product fastest on this processor: what `bilm.inference.products` decides by.

    python -m bench.products [--threads 1]

Prints GFLOP/s of x @ weight.T for the shapes of the published models' steps and many numbers of rows. Each call takes
another of several weights, so that none is in a cache from the call before, as in a run.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from spacy_elmo.bilm.inference.products import Packed, Plain, Product

SHAPES = {
    "small, state": (128, 4096),
    "small, projection": (1024, 128),
    "medium, state": (256, 8192),
    "medium, projection": (2048, 256),
    "original, state": (512, 16384),
    "original, projection": (4096, 512),
    "highway": (2048, 2048),
}
LAYOUTS: dict[str, Callable[[Tensor], Product]] = {
    "view": lambda weight: Plain(weight.t()),
    "transposed copy": lambda weight: Plain(weight.t().contiguous()),
    "packed": Packed,
}
ROWS = (1, 4, 12, 32, 64, 128, 512)
# Weights of a shape exceed the caches together.
WEIGHT_BYTES = 128 * 2**20


def gigaflops(layout: Callable[[Tensor], Product], n_rows: int, n_inputs: int, n_outputs: int) -> float:
    n_weights = max(3, WEIGHT_BYTES // (4 * n_inputs * n_outputs) // 8)
    products = [layout(torch.randn(n_outputs, n_inputs)) for _ in range(n_weights)]
    x, addend = torch.randn(n_rows, n_inputs), torch.randn(n_rows, n_outputs)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        for product in products:
            product(x, addend)
        times.append((time.perf_counter() - start) / n_weights)
    return 2 * n_rows * n_inputs * n_outputs / min(times) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    print("| weight | layout | " + " | ".join(f"{n} rows" for n in ROWS) + " |\n" + "|---" * (len(ROWS) + 2) + "|")
    for name, shape in SHAPES.items():
        for layout, make in LAYOUTS.items():
            rates = " | ".join(f"{gigaflops(make, n_rows, *shape):.0f}" for n_rows in ROWS)
            print(f"| {name} | {layout} | {rates} |", flush=True)


if __name__ == "__main__":
    with torch.no_grad():
        main()

"""The example service under load on loopback: latency, throughput, errors and memory, by the number of clients.

    python -m bench.serving TEXT [--model en_elmo_sm] [--seconds 20] [--clients 1 8 32]

TEXT has a sentence a line; .gz is read too. Each client sends one sentence to /vectors, waits for the answer, and sends
the next. Service and clients share the machine's cores.
"""

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import httpx

from bench.embedding import read
from bench.workloads import resident_bytes


async def load(address: str, sentences: list[str], n_clients: int, seconds: float) -> tuple[list[float], int]:
    """The seconds that each request took, and how many were not answered with 200."""
    times: list[float] = []
    n_errors = 0
    numbers, end = count(), time.perf_counter() + seconds

    async def client(http: httpx.AsyncClient) -> None:
        nonlocal n_errors
        while (start := time.perf_counter()) < end:
            text = sentences[next(numbers) % len(sentences)]
            try:
                answer = await http.post(f"{address}/vectors", json={"texts": [text]})
                n_errors += answer.status_code != 200
            except httpx.HTTPError:
                n_errors += 1
            times.append(time.perf_counter() - start)

    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as http:
        await asyncio.gather(*(client(http) for _ in range(n_clients)))
    return times, n_errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--model", default="en_elmo_sm")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    options = parser.parse_args()
    sentences = [" ".join(words) for words in read(options.text, 20_000)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "examples.serve", "--model", options.model, "--port", str(port)]
    service = subprocess.Popen(command)
    try:
        while service.poll() is None:
            try:
                httpx.get(f"{address}/health").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        asyncio.run(load(address, sentences, 8, min(5, options.seconds)))  # to be warm
        for n_clients in options.clients:
            before = resident_bytes(service.pid)
            times, n_errors = asyncio.run(load(address, sentences, n_clients, options.seconds))
            hundredths = statistics.quantiles(times, n=100)
            print(
                f"{n_clients} clients: {len(times) / options.seconds:.0f} requests/s, p50 {1000 * hundredths[49]:.1f} "
                f"ms, p99 {1000 * hundredths[98]:.1f} ms, {n_errors} errors; memory {before / 2**20:.0f} to "
                f"{resident_bytes(service.pid) / 2**20:.0f} MiB"
            )
    finally:
        service.terminate()
        print(f"exit code of the service: {service.wait(60)}")


if __name__ == "__main__":
    main()

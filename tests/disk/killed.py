"""Processes that are killed at random moments."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path


def kill_often(program: str, *arguments: str | Path, times: int, seed: int = 0) -> Iterator[None]:
    """Run a program, which writes again and again once it has printed a line, and kill it; as often as asked.

    Yields:
        Nothing, after each kill.
    """
    moments = random.Random(seed)
    for _ in range(times):
        with subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline(), process.stderr.read().decode()
            time.sleep(moments.uniform(0, 0.03))
            process.kill()
            assert process.wait() == -signal.SIGKILL, process.stderr.read().decode()
        yield

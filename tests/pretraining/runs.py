"""Whole runs of `python -m spacy elmo pretrain`, in processes that can be killed, and what they leave."""

import json
import os
import random
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from spacy_elmo.pretraining.run import pretrain
from tests.conftest import REPOSITORY
from tests.corpus.corpora import write_lines

CONFIG = REPOSITORY / "configs" / "pretrain_tiny.cfg"
WORDS = [a + b for a in ("ba", "de", "fi", "go", "lu", "ma", "ne", "po", "ru", "ti") for b in "fkmnv"]
STEPS = 60
# Four epochs of the texts below, the last of them cut short.
SETTINGS: dict[str, Any] = {
    "training.max_epochs": 0,
    "training.max_steps": STEPS,
    "training.checkpoints.every_steps": 10,
}
TIMEOUT = 300

_server = get_context("forkserver")
_server.set_forkserver_preload(["tests.pretraining.warm"])


def documents(n: int, seed: int) -> list[str]:
    """Sentences that each go around one circle of words from somewhere on: all but its first word is certain."""
    chance = random.Random(seed)

    def sentence() -> str:
        first = chance.randrange(len(WORDS))
        return " ".join((WORDS + WORDS)[first : first + 8]) + "."

    return [" ".join(sentence() for _ in range(chance.randint(1, 3))) for _ in range(n)]


def write_texts(directory: Path) -> dict[str, str]:
    """RETURNS: the settings that name them."""
    train = write_lines(directory / "train.txt", documents(90, seed=0))
    heldout = write_lines(directory / "heldout.txt", documents(20, seed=1))
    return {"paths.train": str(train), "paths.heldout": str(heldout)}


def run_here(output: Path, settings: Mapping[str, Any], init_from: Any = None) -> Path:
    """A run in this process."""
    return pretrain(CONFIG, output, {**SETTINGS, **settings}, init_from)


def arguments(output: Path, settings: Mapping[str, Any], config: Path = CONFIG) -> list[str]:
    """Those of the command, after `python -m spacy elmo pretrain`."""
    values = ((key, value if isinstance(value, str) else json.dumps(value)) for key, value in settings.items())
    return [str(config), "--output", str(output), *chain.from_iterable((f"--{key}", value) for key, value in values)]


def command(written: Path, *call: str | Path) -> tuple[int | None, str]:
    """`python -m spacy CALL`, in a process of its own. RETURNS: the exit code, and what it wrote."""
    written.unlink(missing_ok=True)
    process = _server.Process(
        target=_command, args=(["spacy", *map(str, call)], {}, written, resource.RLIM_INFINITY, written, None)
    )
    process.start()
    process.join(TIMEOUT)
    process.kill()
    return process.exitcode, written.read_text("utf8")


class Run:
    """The command in processes of its own, one a rank.

    file_bytes: how long a file may become, in place of a full disk.
    pause_when: a pattern of file names. As soon as the output has such a file, the first of them stands still.
    written: a name for what it writes to stdout and stderr, where two write at a time.
    """

    def __init__(
        self,
        output: Path,
        settings: Mapping[str, Any],
        ranks: int = 1,
        file_bytes: int = resource.RLIM_INFINITY,
        pause_when: str | None = None,
        written: str = "written",
        config: Path = CONFIG,
    ) -> None:
        self.output = output
        self._written = output.with_name(f"{output.name}.{written}")
        self._written.unlink(missing_ok=True)
        call = ["spacy", "elmo", "pretrain", *arguments(output, {**SETTINGS, **settings}, config)]
        self._processes = [
            _server.Process(
                target=_command,
                args=(call, environment, self._written, file_bytes, output, None if rank else pause_when),
            )
            for rank, environment in enumerate(_environments(ranks))
        ]
        for process in self._processes:
            process.start()

    def kill_at_pause(self) -> None:
        """SIGKILL to all of them, while the first stands still."""
        self.wait_for_pause()
        self.kill()

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()

    def kill_rank_at_pause(self, rank: int) -> None:
        """SIGKILL to one of them. Returns when the others have ended too."""
        self.wait_for_pause()
        self._processes[rank].kill()
        self.go_on()
        self.wait()

    def terminate_at_pause(self) -> None:
        """SIGTERM to the last of them."""
        self.wait_for_pause()
        self._processes[-1].terminate()
        self.go_on()

    def wait(self) -> list[int | None]:
        """RETURNS: the exit codes."""
        for process in self._processes:
            process.join(TIMEOUT)
        codes = [process.exitcode for process in self._processes]
        self.kill()
        return codes

    def finish(self) -> None:
        """Wait for a run that goes well."""
        codes = self.wait()
        assert set(codes) == {0}, self.written

    def fail(self) -> str:
        """Wait for a run that ends with an error. RETURNS: what it said, without line breaks."""
        codes = self.wait()
        assert set(codes) == {1}, self.written
        assert "Traceback" not in self.written
        return self.written

    @property
    def written(self) -> str:
        """To stdout and stderr."""
        return " ".join(self._written.read_text("utf8").split())

    def wait_for_pause(self) -> None:
        first, deadline = self._processes[0], time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            assert first.is_alive(), f"ended before the moment: {self.written}"
            # The state stands after the name, which is in brackets; T is for one that a signal has stopped.
            if Path(f"/proc/{first.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                return
            time.sleep(0.01)
        self.kill()
        raise AssertionError("the moment did not come")

    def go_on(self) -> None:
        first = self._processes[0]
        if first.is_alive() and first.pid:
            os.kill(first.pid, signal.SIGCONT)


def _command(
    call: list[str],
    environment: dict[str, str],
    written: Path,
    file_bytes: int,
    output: Path,
    pause_when: str | None,
) -> None:
    """`python -m spacy …`, as spaCy's own __main__ does it."""
    from spacy.cli import setup_cli

    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))
    os.environ.update(environment, ANSI_COLORS_DISABLED="1")
    if environment:
        torch.set_num_threads(1)  # as torchrun has it, where nothing else is said
    with written.open("ab") as file:  # at its end, for the ranks share it
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if pause_when:
        _pause_when(output, pause_when)
    sys.argv = call
    setup_cli()


def _pause_when(output: Path, pattern: str) -> None:
    """Look before everything that this process does to a file, and stand still when the moment has come."""
    looking = False

    def look(event: str, _: Any) -> None:
        nonlocal looking
        if looking or not event.startswith(("open", "os.")):
            return
        looking = True
        if any(output.glob(pattern)):
            os.kill(os.getpid(), signal.SIGSTOP)
            return  # once: it looks no more
        looking = False

    sys.addaudithook(look)


def _environments(ranks: int) -> Iterable[dict[str, str]]:
    """As torchrun makes them, on a port that is free."""
    if ranks == 1:
        return [{}]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]


# What runs leave


def snapshot(output: Path, step: int) -> Path:
    return output / "checkpoints" / f"step-{step:09}"


def log(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "log.jsonl").read_text("utf8").splitlines()]


def evaluations(output: Path) -> list[dict[str, Any]]:
    return [record for record in log(output) if "perplexity" in record]


def digests(directory: Path) -> dict[str, str]:
    """Of all files below."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): sha256(path.read_bytes()).hexdigest() for path in files}


def results(output: Path) -> dict[str, str]:
    """Digests of what must not depend on how often a run was killed: models, and the tensors of the last checkpoint,
    which are the weights, the optimizer's moments and the state.
    """
    kept = {
        f"{name}/{file}": digest
        for name in ("best", "last")
        for file, digest in digests(output / f"model-{name}").items()
    }
    return {**kept, "checkpoint": digests(snapshot(output, STEPS))["tensors.safetensors"]}


def assert_same_run(output: Path, wanted: Path) -> None:
    """Bit-identical results, and a log that has each step once and shows the same evaluations."""
    assert results(output) == results(wanted)
    assert steps_of(output) == steps_of(wanted)
    timeless = [[{**one, "seconds": 0, "loss": 0} for one in evaluations(run)] for run in (output, wanted)]
    assert timeless[0] == timeless[1]


def steps_of(output: Path) -> list[tuple[int, bool]]:
    """The step of each line of the log, and whether it is about an evaluation."""
    return [(record["step"], "perplexity" in record) for record in log(output)]

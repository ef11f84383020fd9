"""A run on two hosts, which are two network namespaces of this machine with a cable between them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.pretraining.runs import SETTINGS, TIMEOUT, Run, arguments, assert_same_run, snapshot, write_texts

ADDRESSES = ("10.213.0.1", "10.213.0.2")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "cable", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
# Each process tells that it has begun. The first, when it begins for the first time, stands still at two checkpoints.
CODE = """
import os
from pathlib import Path

from tests.pretraining.runs import _pause_when

name = "{RANK}-{TORCHELASTIC_RESTART_COUNT}".format_map(os.environ)
Path(__file__).with_name(name).write_text(str(os.getpid()))
if name == "0-0":
    for step in (10, 30):
        _pause_when(Path(os.environ["OUTPUT"]), f"checkpoints/step-*{step}")
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Hosts:
    """Two hosts, and the processes that were started there."""

    def __init__(self, folder: Path) -> None:
        self.names = [f"elmo-{letter}-{os.getpid()}" for letter in "ab"]
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        (folder / "code.py").write_text(CODE, "utf8")

    def connect(self) -> None:
        cables = [f"elmo{i}-{os.getpid() % 10**6}" for i in range(2)]
        for name in self.names:
            ip("netns", "add", name)
        ip("link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
        for name, cable, address in zip(self.names, cables, ADDRESSES, strict=True):
            ip("link", "set", cable, "netns", name, "name", "cable")
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("cable", "lo"):
                ip("-n", name, "link", "set", device, "up")

    def plug(self, state: str) -> None:
        """The cable of the second host: "up" or "down"."""
        ip("-n", self.names[1], "link", "set", "cable", state)

    def start(self, host: int, output: Path, settings: dict[str, object]) -> subprocess.Popen[bytes]:
        """The command of the documentation."""
        torchrun = [
            "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d",
            "--rdzv-endpoint", f"{ADDRESSES[0]}:29500", "--local-addr", ADDRESSES[host], "--max-restarts", "3",
            "--rdzv-conf", f"read_timeout=60,is_host={int(host == 0)}", "--monitor-interval", "0.1",
        ]  # fmt: skip
        call = ["-m", "spacy", "elmo", "pretrain", *arguments(output, {**SETTINGS, **settings})]
        inside = ["ip", "netns", "exec", self.names[host]]
        with self.written(host).open("ab") as written:
            process = subprocess.Popen(
                [*inside, sys.executable, *torchrun, *call, "--code", str(self.folder / "code.py")],
                stdout=written,
                stderr=subprocess.STDOUT,
                env={**os.environ, **ENVIRONMENT, "OUTPUT": str(output), "PYTHONPATH": str(REPOSITORY)},
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def written(self, host: int) -> Path:
        return self.folder / f"written-{host}"

    def wait_for_pause(self) -> int:
        """RETURNS: the process that stands still."""
        pid, deadline = self.folder / "0-0", time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            assert all(one.poll() is None for one in self.processes), self.all_written
            if pid.exists() and (number := pid.read_text()) and _stands_still(number):
                return int(number)
            time.sleep(0.05)
        raise AssertionError(f"the moment did not come: {self.all_written}")

    @property
    def all_written(self) -> str:
        return "".join(self.written(host).read_text("utf8") for host in (0, 1))

    def finish(self, *processes: subprocess.Popen[bytes]) -> None:
        for process in processes:
            assert process.wait(TIMEOUT) == 0, self.all_written

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL to it and all that it has started, as when the power fails."""
        if process.poll() is None:
            for pid in (process.pid, *_below(process.pid)):
                os.kill(pid, signal.SIGKILL)
            process.wait()
            self.processes.remove(process)

    def end(self) -> None:
        for process in list(self.processes):
            self.kill(process)
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _stands_still(pid: str) -> bool:
    # The state stands after the name, which is in brackets; T is for one that a signal has stopped.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _below(pid: int) -> list[int]:
    """The processes that a process has started: torchrun gives each a session of its own."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [one for child in map(int, found) for one in (child, *_below(child))]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    hosts = Hosts(tmp_path)
    try:
        hosts.connect()
    except (OSError, subprocess.CalledProcessError) as error:
        hosts.end()
        pytest.skip(f"needs network namespaces, which are not permitted here: {error}")
    try:
        yield hosts
    finally:
        hosts.end()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return {**write_texts(tmp_path_factory.mktemp("texts")), "training.batch_size": 4}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, object]) -> Path:
    """The output of a run of two ranks on one host that nothing disturbed."""
    output = tmp_path_factory.mktemp("whole") / "run"
    Run(output, settings, ranks=2).finish()
    return output


def test_a_host_is_cut_off_and_comes_back(
    tmp_path: Path, hosts: Hosts, settings: dict[str, object], whole: Path
) -> None:
    """With a disk that both share, up to the second host's death; then without one."""
    output, other = tmp_path / "run", tmp_path / "other" / "run"
    first, second = (hosts.start(host, output, settings) for host in (0, 1))

    paused = hosts.wait_for_pause()
    hosts.plug("down")
    os.kill(paused, signal.SIGCONT)
    time.sleep(1)
    assert not snapshot(output, 20).exists(), "it does not wait for the other host"
    hosts.plug("up")

    paused = hosts.wait_for_pause()
    hosts.plug("down")
    hosts.kill(second)
    shutil.copytree(output / "checkpoints", other / "checkpoints")
    os.kill(paused, signal.SIGCONT)
    hosts.plug("up")
    second = hosts.start(1, other, settings)
    hosts.finish(first, second)
    assert_same_run(output, whole)
    assert (tmp_path / "0-1").exists(), "the first host's process was not started again"
    assert (other / "corpus").is_dir(), "the second host has not prepared a corpus of its own"
    assert not (other / "model-last").exists(), "the second host has written, which is the first's to do"

"""Whole runs of two ranks: the same as one rank's, killed, restarted by torchrun."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spacy_elmo.pretraining.distributed import n_processors, n_processors_of_rank
from spacy_elmo.pretraining.errors import RunError
from tests.pretraining.runs import (
    SETTINGS,
    TIMEOUT,
    Run,
    arguments,
    assert_same_run,
    digests,
    evaluations,
    run_here,
    snapshot,
    steps_of,
    write_texts,
)

ON_EACH = {"training.batch_size": 4}
# Says in files of which process it is a part.
CODE = """
import os
from pathlib import Path

name = "{TORCHELASTIC_RESTART_COUNT}-{RANK}".format_map(os.environ)
Path(os.environ["PIDS"], name).write_text(str(os.getpid()))
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_texts(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def settings(texts: dict[str, str]) -> dict[str, object]:
    return {**texts, **ON_EACH}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, object]) -> Path:
    """The output of a run of two ranks that nothing disturbed."""
    output = tmp_path_factory.mktemp("whole") / "run"
    Run(output, settings, ranks=2).finish()
    return output


def test_two_ranks_are_one_with_twice_the_sequences(tmp_path: Path, texts: dict[str, str], whole: Path) -> None:
    output = tmp_path / "run"
    run_here(output, {**texts, "training.batch_size": 8})
    assert steps_of(output) == steps_of(whole)
    for step in (50, 60):
        found, wanted = (load_file(snapshot(run, step) / "tensors.safetensors") for run in (whole, output))
        assert found.keys() == wanted.keys()
        for name in wanted:
            torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=1e-5, msg=name)
    for one, other in zip(evaluations(whole), evaluations(output), strict=True):
        assert one["perplexity"] == pytest.approx(other["perplexity"], rel=1e-5)
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        for key in ("tokens", "epoch", "heldout_predictions"):
            assert one[key] == other[key]


def test_killed_and_resumed(tmp_path: Path, settings: dict[str, object], whole: Path) -> None:
    output = tmp_path / "run"
    Run(output, settings, ranks=2, pause_when="checkpoints/.step-*10.*").kill_at_pause()
    # One rank dies, and the other must not wait for it.
    Run(output, settings, ranks=2, pause_when="checkpoints/step-*10").kill_rank_at_pause(1)
    for step in (20, 30, 40):
        run = Run(output, settings, ranks=2, pause_when=f"checkpoints/step-*{step}")
        run.terminate_at_pause()  # rank 1; both stop, after the same step
        assert "because a signal asked for it" in run.fail()
    Run(output, settings, ranks=2).finish()
    assert_same_run(output, whole)
    assert set(digests(output)) == set(digests(whole))


def test_a_loss_that_is_no_number(tmp_path: Path, settings: dict[str, object]) -> None:
    run = Run(tmp_path / "run", {**settings, "training.optimizer.learn_rate": 1e38}, ranks=2)
    assert "Training diverged at step 1" in run.fail()


def test_another_number_of_ranks(settings: dict[str, object], whole: Path) -> None:
    before = digests(whole)
    with pytest.raises(RunError, match=r"sequences in all 8, but now it is 4.* give another --output"):
        run_here(whole, settings)
    assert digests(whole) == before


def test_another_number_of_ranks_with_as_many_sequences(tmp_path: Path, texts: dict[str, str], whole: Path) -> None:
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    shutil.rmtree(snapshot(output, 60))
    run_here(output, {**texts, "training.batch_size": 8})
    assert steps_of(output) == steps_of(whole)
    found, wanted = (load_file(snapshot(run, 60) / "tensors.safetensors") for run in (output, whole))
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=1e-5, msg=name)


def test_torchrun_restarts(tmp_path: Path, settings: dict[str, object], whole: Path) -> None:
    output, pids, code = tmp_path / "run", tmp_path / "pids", tmp_path / "code.py"
    pids.mkdir()
    code.write_text(CODE, "utf8")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "2"]
    call = ["-m", "spacy", "elmo", "pretrain", *arguments(output, {**SETTINGS, **settings}), "--code", str(code)]
    with (tmp_path / "written").open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, *torchrun, *call],
            stdout=written,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PIDS": str(pids), "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + TIMEOUT
            while not snapshot(output, 10).exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.001)
            os.kill(int((pids / "0-1").read_text()), signal.SIGKILL)
            code_of_end = process.wait(TIMEOUT)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert code_of_end == 0, (tmp_path / "written").read_text("utf8")
    assert sorted(path.name for path in pids.iterdir()) == ["0-0", "0-1", "1-0", "1-1"]
    assert_same_run(output, whole)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux to be given processors")
def test_ranks_of_a_machine_share_the_processors_that_they_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = os.sched_getaffinity(0)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert n_processors() == n_processors_of_rank() == len(allowed)
    for ranks, share in (("1", len(allowed)), ("2", max(1, len(allowed) // 2)), ("1000", 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
        assert n_processors_of_rank() == share
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert n_processors() == 1
    finally:
        os.sched_setaffinity(0, allowed)

"""The engine ray, on a local cluster of two workers."""

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from spacy.util import import_file

from spacy_elmo.embedding import EmbeddingError, ray_engine
from spacy_elmo.embedding.parts import Part, Record, finished
from spacy_elmo.embedding.worker import Window, Worker
from tests.corpus.test_workers import CODE, CONFIG

from .jobs import contents, run, write

ray = pytest.importorskip("ray", reason="needs ray: the extra ray")

# A worker imports the code before it begins: it tells its process.
TELLING = (
    CODE
    + """
import os
from pathlib import Path

Path(__file__).with_name(f"{os.getpid()}.pid").touch()
"""
)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, object_store_memory=100_000_000)
        yield
        ray.shutdown()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "code.py"
    path.write_text(TELLING)
    import_file("python_code", path)
    return path


def test_one_worker_killed_in_mid_run_nothing_is_lost_and_nothing_twice(
    tmp_path: Path, tiny_source: str, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"line-{i}-has-{i % 7}" for i in range(300)]
    texts = [write(tmp_path / f"{name}.txt", *lines, "unreadable") for name in "ab"]
    settings = {"part": 200, "nlp": CONFIG, "code": code}
    whole = run(texts, tmp_path / "local", tiny_source, **settings)

    write_part, n_left = Worker._write, iter(range(3))

    def interrupted(self: Worker, part: Part, windows: Iterable[Window]) -> Record:
        if next(n_left, None) is None:
            raise KeyboardInterrupt
        return write_part(self, part, windows)

    output = tmp_path / "ray"
    with monkeypatch.context() as patch:
        patch.setattr(Worker, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(texts, output, tiny_source, **settings)
    before = {name: path.stat().st_mtime_ns for name, path in written(output).items()}
    for path in tmp_path.glob("*.pid"):
        path.unlink()

    killed = []

    def kill_one() -> None:
        while len(written(output)) < 6 or not (pids := list(tmp_path.glob("*.pid"))):
            time.sleep(0.01)
        os.kill(int(pids[0].stem), signal.SIGKILL)
        killed.append(pids[0])

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    report = run(texts, output, tiny_source, **settings, engine="ray", workers=2)
    thread.join(0)
    assert killed, "the run was over before a worker was killed"
    assert len(list(tmp_path.glob("*.pid"))) == 3, "two workers, and one in the place of that which was killed"
    assert report.computed_parts == whole.computed_parts - 3
    assert (report.documents, report.tokens, report.rejects) == (whole.documents, whole.tokens, 2)
    assert contents(output) == contents(tmp_path / "local")
    for name, time_written in before.items():
        assert written(output)[name].stat().st_mtime_ns == time_written, "a finished part was computed again"
    assert run(texts, output, tiny_source, **settings, engine="ray").computed_parts == 0


def written(output: Path) -> dict[str, Path]:
    return {path.name: path for path in output.glob("part-*")}


def test_a_part_that_kills_its_workers_ends_the_job(
    tmp_path: Path, tiny_source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code.py"
    code.write_text(CODE.replace('raise ValueError("too long for me")', "__import__('os')._exit(1)"))
    import_file("python_code", code)
    text = write(tmp_path / "a.txt", *(f"line-{i}" for i in range(30)), "unreadable")
    monkeypatch.setattr(ray_engine, "MOST_DEATHS", 0)
    with pytest.raises(EmbeddingError, match="workers died at one part 1 times"):
        run([text], tmp_path / "out", tiny_source, nlp=CONFIG, code=code, part=60, engine="ray")
    assert finished(contents(tmp_path / "out")), "what was finished is not kept"


def test_standard_input_is_not_a_cluster_s(tmp_path: Path, tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with write(tmp_path / "a.txt", "One.").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        with pytest.raises(EmbeddingError, match="read by this machine alone"):
            run(["-"], tmp_path / "out", tiny_source, engine="ray")

"""Small jobs: texts, a tiny model, and what came out."""

import os
import time
from collections.abc import Iterable
from multiprocessing import get_context
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any

from spacy_elmo.embedding import EmbeddedDocument, Report, Settings, embed, read
from spacy_elmo.embedding.parts import Part, Record
from spacy_elmo.embedding.worker import Window, Worker

# Processes that are forked from one that has imported what takes seconds.
_server = get_context("forkserver")
_server.set_forkserver_preload(["tests.pretraining.warm", "tests.embedding.jobs"])

SENTENCIZER = {
    "nlp": {"lang": "en", "pipeline": ["sentencizer"]},
    "components": {"sentencizer": {"factory": "sentencizer"}},
}


def run(inputs: list[Path | str], output: Path | str, source: str, *, part: int = 200, **settings: Any) -> Report:
    """A job of small parts, which reads texts as English."""
    engine = {name: settings.pop(name) for name in ("engine", "workers", "code") if name in settings}
    settings = {"nlp": SENTENCIZER, "part_characters": part, **settings}
    return embed(list(map(str, inputs)), str(output), source, Settings(**settings), device="cpu", **engine)


def documents(output: Path | str) -> list[EmbeddedDocument]:
    return list(read(output))


def contents(directory: Path) -> dict[str, bytes]:
    """All files, by their names."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), "utf8")
    return path


def numbered(n: int) -> list[str]:
    """Lines of different lengths and words."""
    return [f"Line {i} has the words {' '.join(f'w{j * i % 37}' for j in range(i % 9))}. It ends." for i in range(n)]


def start_and_kill(
    n_parts: int, seconds: float, inputs: Path | str, output: Path | str, source: str, **environment: str
) -> int:
    """A job in a process of its own, killed so long after it began with so many parts; 0 for when it was started.

    Returns:
        Its exit code.
    """
    begun = _server.Semaphore(0)
    process = _server.Process(target=_tell_and_run, args=(begun, inputs, output, source, environment))
    process.start()
    for _ in range(n_parts):
        while process.is_alive() and not begun.acquire(timeout=1):
            pass
    time.sleep(seconds)
    process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _tell_and_run(
    begun: Semaphore, inputs: Path | str, output: Path | str, source: str, environment: dict[str, str]
) -> None:
    os.environ.update(environment)
    write_part = Worker._write

    def told(self: Worker, part: Part, windows: Iterable[Window]) -> Record:
        begun.release()
        return write_part(self, part, windows)

    Worker._write = told  # type: ignore[method-assign]
    run([inputs], output, source, part=40)

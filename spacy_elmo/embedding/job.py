"""A job from its beginning to its end: inputs, output, engine, progress."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import spacy
import torch
from tqdm import tqdm

from ..about import __version__
from ..bilm.device import usable
from ..checkpoints import load_bilm
from ..corpus.standard_input import with_standard_input
from ..disk import digest
from . import local, manifest, parts, sinks
from .errors import EmbeddingError
from .inputs import InputFile, check_unchanged, find, kind
from .parts import Part
from .places import Place, place
from .settings import Settings
from .tokenizer import tokenizer_config
from .worker import Work

if TYPE_CHECKING:
    from ..checkpoints import Source

EngineName = Literal["local", "ray"]
Name = str | PathLike[str]


@dataclass(frozen=True)
class Report:
    """What a job has done.

    Attributes:
        documents: With vectors.
        tokens: Of these.
        rejects: Documents that failed; `rejects_file` has them with their reasons.
        computed_parts: How many parts this run has computed; the others were finished before.
        rejects_file: A path or an address.
    """

    documents: int
    tokens: int
    rejects: int
    computed_parts: int
    rejects_file: str


def embed(
    inputs: Sequence[Name],
    output: Name,
    model: "Source",
    settings: Settings | None = None,
    *,
    engine: EngineName = "local",
    workers: int = 1,
    device: str | None = None,
    code: Path | None = None,
    show_progress: bool = False,
) -> Report:
    """Embed a corpus of any size. The same call goes on with a job that was stopped or killed.

    Args:
        inputs: Files, directories, globs, or addresses that fsspec knows; "-" for standard input. Text, .jsonl,
            .parquet, .spacy and .conllu; all but .parquet may be compressed.
        output: A directory, or its address, for parts in Parquet; or a file that ends in .h5, .npz or .spacy.
        model: As for `load_bilm`.
        settings: What to compute, and how texts become tokens.
        engine: "local", or "ray" for a cluster.
        workers: Processes.
        device: What to compute on, such as "cuda"; None for a GPU where there is one.
        code: A Python file that registers functions which the model's tokenizer is made by. The caller has imported it.
        show_progress: To stderr.

    Returns:
        What has been done, also where some documents failed.

    Raises:
        EmbeddingError: Inputs are missing, settings contradict each other, or the output is another job's.
        ArgumentError: There is no such device.
        CheckpointError: There is no such model, or it does not say how texts become tokens, and `settings` do not.
        DiskError: The disk does not take it, or another process writes the same output.
    """
    if workers < 1:
        raise EmbeddingError(f"workers is {workers}, but must be 1 or more.")
    settings = settings or Settings()
    target, names = fspath(output), [fspath(one) for one in inputs]
    sink = sinks.of(target, settings)
    with with_standard_input([Path(one) for one in names if one == "-"]) as kept:
        found = find(names, kept[0] if kept else None)
        job = _Job(found, target if sink is None else f"{target}.parts", model, settings, engine, device, code)
        with job.place.lock():
            report = job.run(workers, show_progress)
            if sink is None:
                return report
            sinks.write_file(sink, Path(target), Path(job.output), job.place)
            return replace(report, rejects_file=f"{target}.rejects.jsonl")


class _Job:
    def __init__(
        self,
        files: list[InputFile],
        output: str,
        model: "Source",
        settings: Settings,
        engine: EngineName,
        device: str | None,
        code: Path | None,
    ) -> None:
        if engine == "ray":  # a cluster's GPUs need not be where the job is begun
            device = device or "cpu"
            usable(device, here=False)
        bilm = load_bilm(model, "cpu" if engine == "ray" else device, settings.precision)
        settings.check_model(bilm.config.n_layers + 1)
        self.bilm = bilm
        self.engine = engine
        self.files = files
        self.place: Place = place(output)
        self.output = output
        settings = replace(settings, nlp=_nlp(files, model, settings))
        self.work = Work(model, bilm.digest(), settings, output, device, code)
        self.description = {
            "inputs": [file.record for file in files],
            "model": self.work.digest,
            "settings": vars(settings),
            "code": None if code is None else digest(code),
            "device": device if engine == "ray" else bilm.device.type,
            "versions": {"spacy-elmo": __version__, "spacy": spacy.__version__, "torch": torch.__version__},
        }

    def run(self, n_workers: int, show_progress: bool) -> Report:
        began = manifest.begin(self.place, self.description)
        n_computed = 0
        if not began["complete"]:
            n_computed = self._run(n_workers, show_progress)
            check_unchanged(self.files)
            began = manifest.complete(self.place)
        manifest.remove_records(self.place)
        return Report(
            began["documents"], began["tokens"], began["rejects"], n_computed, f"{self.output}/{manifest.REJECTS}"
        )

    def _run(self, n_workers: int, show_progress: bool) -> int:
        done = set(parts.finished(self.place.names()))
        n_computed = 0
        with _Progress(sum(file.size for file in self.files), show_progress) as progress:
            if self.engine == "ray":
                from . import ray_engine

                results = ray_engine.run(self.work, self.files, done, n_workers)
            else:
                results = local.run(self.work, self.bilm, self._missing(done, progress), n_workers)
            with closing(results):
                for n_bytes, n_tokens in results:
                    progress.add(n_bytes, n_tokens)
                    n_computed += 1
        return n_computed

    def _missing(self, done: set[str], progress: "_Progress") -> Iterator[Part]:
        for number, file in enumerate(self.files):
            for part in parts.cut(number, file, self.work.settings):
                if part.name in done:
                    progress.skip(part)
                else:
                    yield part


def _nlp(files: list[InputFile], model: "Source", settings: Settings) -> dict[str, Any] | None:
    """How texts become tokens; None where they are tokens already."""
    is_tokenised = settings.format == "tokens" or {kind(file.path) for file in files} <= {"spacy", "conllu"}
    return None if is_tokenised else tokenizer_config(model, settings)


class _Progress(tqdm):
    """Bytes of input, with the time that is left, and the tokens a second of this run."""

    def __init__(self, total: int, show: bool) -> None:
        super().__init__(total=total, unit="B", unit_scale=True, desc="Embedding", disable=not show)
        self._begin = time.monotonic()
        self._n_tokens = 0

    def skip(self, part: Part) -> None:
        """A part that was finished before."""
        if not self.disable:
            self.initial += part.n_bytes  # so that it does not count as speed
        self.update(part.n_bytes)

    def add(self, n_bytes: int, n_tokens: int) -> None:
        """A part that is finished now."""
        self._n_tokens += n_tokens
        rate = self._n_tokens / max(1e-9, time.monotonic() - self._begin)
        self.set_postfix_str(f"{rate:,.0f} tokens/s", refresh=False)
        self.update(n_bytes)

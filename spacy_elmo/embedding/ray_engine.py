"""The engine of a cluster: Ray Data reads files into parts, and sends these to workers that embed them.

Ray runs anew what was lost with a process or a machine; a part that was finished before that is known by its record.
"""

import pickle
from collections.abc import Generator, Iterator, Sequence
from typing import Any, cast

import numpy as np
from spacy.util import import_file

from ..errors import ElmoError
from . import parts
from .errors import EmbeddingError
from .inputs import InputFile
from .places import place
from .settings import Settings
from .worker import Work, Worker, load

# For so many workers one file is read at a time: reading is some hundred times faster than embedding.
WORKERS_A_READER = 16
# A part at which so many workers die one after another ends the job: it, and not the cluster, is what kills them.
MOST_DEATHS = 3

Batch = dict[str, np.ndarray]


def run(
    work: Work, files: Sequence[InputFile], done: set[str], n_workers: int
) -> Generator[tuple[int, int], None, None]:
    """Embed parts.

    Args:
        work: What to do. All machines see its output, the files and the model under the same names.
        files: What to read.
        done: Names of parts that are finished.
        n_workers: Processes, each with one core, or with one GPU where `work.device` is one.

    Yields:
        Of each part, the bytes read for it and the tokens in it.

    Raises:
        EmbeddingError: Ray is not installed, standard input is to be read, or workers died again and again.
        DiskError: The disk does not take it.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise EmbeddingError("the engine ray takes Ray. Install the extra: pip install 'spacy-elmo[ray]'") from None
    if any(file.name == "-" for file in files):
        raise EmbeddingError("standard input is read by this machine alone: use the engine local, or name files.")
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    numbered = ray.data.from_items(list(enumerate(files)), override_num_blocks=len(files))
    numbered.context.enable_progress_bars = False
    numbered.context.target_max_block_size = 1  # a part is a block, so that none waits for another
    numbered.context.raise_original_map_exception = True
    read = numbered.map_batches(
        cast(Any, _read),  # Ray's annotations know nothing of fn_args
        fn_args=(work.settings, frozenset(done)),
        batch_size=1,
        num_cpus=0,  # else readers would wait for the cores of workers, and these for readers
        compute=ray.data.TaskPoolStrategy(size=1 + n_workers // WORKERS_A_READER),
    )
    embedded = read.map_batches(
        _Worker,
        fn_constructor_args=(work,),
        batch_size=1,
        num_cpus=1,
        num_gpus=0 if work.device == "cpu" else 1,
        compute=ray.data.ActorPoolStrategy(size=n_workers),
        max_task_retries=MOST_DEATHS,
    )
    try:
        for row in embedded.iter_rows():
            yield int(row["n_bytes"]), int(row["n_tokens"])
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, ElmoError) else error) from None
    except ray.exceptions.RayActorError as error:
        raise EmbeddingError(
            f"workers died at one part {1 + MOST_DEATHS} times ({error}). What is finished is kept, and the same "
            f"command goes on; if memory ran out, give workers more, or write fewer layers."
        ) from None


def _read(batch: Batch, settings: Settings, done: frozenset[str]) -> Iterator[Batch]:
    """From a file to its parts, but for those that are finished."""
    ((number, file),) = batch["item"]
    for part in parts.cut(number, file, settings):
        if part.name not in done:
            yield {"part": np.array([pickle.dumps(part)], dtype=object)}


class _Worker:
    """A worker in a process of its own, which Ray begins anew where it dies."""

    def __init__(self, work: Work) -> None:
        if work.code is not None:
            import_file("python_code", work.code)
        self._place = place(work.output)
        self._worker = Worker(work, load(work))

    def __call__(self, batch: Batch) -> Batch:
        (part,) = map(pickle.loads, batch["part"])
        # One that died after it had finished the part has been replaced by this one.
        record = parts.read_record(self._place, part.name)
        if record is None:
            ((_, record),) = self._worker([part])
        return {"n_bytes": np.array([part.n_bytes]), "n_tokens": np.array([record.tokens])}

"""Where a run can go on from: all of its tensors and facts at some steps, each written whole or not at all."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .errors import RunError

TENSORS_FILE = "tensors.safetensors"
FACTS_FILE = "facts.json"
_PREFIX = "step-"
_UNFINISHED = ".unfinished-"


class Snapshots:
    """The snapshots of a run, in a directory of their own.

    keep: how many to keep, the newest.
    """

    def __init__(self, directory: Path, keep: int) -> None:
        self.directory = directory
        self.keep = keep

    def steps(self) -> list[int]:
        """The steps that there are snapshots of, in order."""
        names = (path.name.removeprefix(_PREFIX) for path in self.directory.glob(f"{_PREFIX}*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def write(self, step: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Raises RunError where the disk does not take it; the snapshots before stay as they are."""
        final, unfinished = self._path(step), self.directory / f"{_UNFINISHED}{step}"
        if final.exists():
            return  # a run that went on from here and comes by again
        try:
            self.remove_unfinished()
            unfinished.mkdir(parents=True)
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, unfinished / TENSORS_FILE)
            (unfinished / FACTS_FILE).write_text(json.dumps(facts, indent=2) + "\n", "utf8")
            for path in (unfinished / TENSORS_FILE, unfinished / FACTS_FILE, unfinished):
                _sync(path)
            unfinished.rename(final)
            _sync(self.directory)
        except (OSError, SafetensorError) as error:
            self.remove_unfinished()
            last = (
                f"The last good one is {self._path(self.steps()[-1])}." if self.steps() else "There is none before it."
            )
            raise RunError(
                f"Could not write the checkpoint of step {step:,} to {self.directory} ({error}). {last} Free some "
                f"space or mend the disk, and run the same command again to go on from there."
            ) from None
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self._path(old))

    def read(self, step: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Raises RunError where the snapshot is damaged."""
        path = self._path(step)
        try:
            return load_file(path / TENSORS_FILE), json.loads((path / FACTS_FILE).read_text("utf8"))
        except (OSError, ValueError, SafetensorError) as error:
            raise RunError(
                f"The checkpoint {path} is damaged ({error}). Remove that directory to go on from the one before it."
            ) from None

    def remove_unfinished(self) -> None:
        """What a run that was killed while writing has left."""
        for path in self.directory.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(path)

    def _path(self, step: int) -> Path:
        return self.directory / f"{_PREFIX}{step:09}"


def _sync(path: Path) -> None:
    """Have it on the disk, and not only in the system's memory, before the next thing happens."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

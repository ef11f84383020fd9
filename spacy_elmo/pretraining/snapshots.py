"""Where a run can go on from: all of its tensors and facts at some steps, each whole or not at all."""

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..disk import digest, new_directory, read_json
from .errors import RunError

TENSORS_FILE = "tensors.safetensors"
FACTS_FILE = "facts.json"
# They have the words that the model predicts.
_MAX_FACTS_BYTES = 1_000_000_000
_PREFIX = "step-"
_CHANGED = "its content is not what was written"


class Snapshots:
    """The snapshots of a run, in a directory of their own that no other run writes to.

    Args:
        directory: Made with the first of them.
        keep: How many to keep, the newest.
    """

    def __init__(self, directory: Path, keep: int) -> None:
        self.directory = directory
        self.keep = keep

    def steps(self) -> list[int]:
        """The steps that there are snapshots of, in order."""
        names = (path.name.removeprefix(_PREFIX) for path in self.directory.glob(f"{_PREFIX}*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def write(self, step: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write a snapshot, and remove those that are too old.

        One of this step that is there already stays: a run that went on from it comes by again.

        Args:
            step: Its number.
            tensors: Of any shape and dtype.
            facts: JSON-ready.

        Raises:
            RunError: The disk does not take it; the snapshots before stay as they are.
        """
        path = self._path(step)
        if path.exists():
            return
        try:
            self._remove_unfinished()
            with new_directory(path) as unfinished:
                file = unfinished / TENSORS_FILE
                save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, file)
                record = {"facts": facts, "tensors": digest(file)}
                text = json.dumps({**record, "sha256": _digest(record)}, indent=2)
                (unfinished / FACTS_FILE).write_text(text + "\n", "utf8")
        except (OSError, SafetensorError) as error:
            last = (
                f"The last good one is {self._path(self.steps()[-1])}." if self.steps() else "There is none before it."
            )
            raise RunError(
                f"Could not write the checkpoint of step {step:,}: {str(error).rstrip('.')}. {last} When the disk "
                f"takes it, run the same command again to go on from there."
            ) from None
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self._path(old))

    def read(self, step: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors and facts of a snapshot, bit for bit as they were written. Raises RunError where they are not."""
        record, path, damaged = self._record(step), self._path(step) / TENSORS_FILE, self._damaged(step)
        try:
            if digest(path) != record["tensors"]:
                raise RunError(f"{path}: {_CHANGED}. {damaged}")
            return load_file(path), record["facts"]
        except (OSError, SafetensorError) as error:
            raise RunError(f"{path}: not readable ({error}). {damaged}") from None

    def newest_facts(self) -> dict[str, Any]:
        """The facts of the newest snapshot; none where there is none. Raises RunError where they are damaged."""
        steps = self.steps()
        return dict(self._record(steps[-1])["facts"]) if steps else {}

    def _record(self, step: int) -> dict[str, Any]:
        """The facts, under "facts", and the digest of the tensors."""
        path = self._path(step) / FACTS_FILE
        record = read_json(path, RunError, self._damaged(step), max_bytes=_MAX_FACTS_BYTES)
        if not isinstance(record, dict) or record.pop("sha256", None) != _digest(record):
            raise RunError(f"{path}: {_CHANGED}. {self._damaged(step)}")
        return record

    def _damaged(self, step: int) -> str:
        return f"The checkpoint {self._path(step)} is damaged. Remove that directory to go on from the one before it."

    def _remove_unfinished(self) -> None:
        """What a run that was killed while writing has left, of whatever step."""
        for path in self.directory.glob(f".{_PREFIX}*"):
            shutil.rmtree(path)

    def _path(self, step: int) -> Path:
        return self.directory / f"{_PREFIX}{step:09}"


def _digest(record: dict[str, Any]) -> str:
    return sha256(json.dumps(record, sort_keys=True).encode("utf8")).hexdigest()

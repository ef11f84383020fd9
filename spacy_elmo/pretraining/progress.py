"""What a run tells: a progress bar, a log of JSON lines, and a logger of spaCy's where one is set."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spacy.language import Language
from tqdm import tqdm

from ..disk import write_whole
from .errors import RunError

LOG_FILE = "log.jsonl"

LogStep = Callable[[dict[str, Any] | None], None]
# What spaCy's loggers are: from a pipeline, whose config they show, to a pair of functions.
Logger = Callable[..., tuple[LogStep, Callable[[], None]]]


class Progress:
    """Use as a context: the bar and the logger are closed at the end.

    Args:
        output: The directory of the log.
        total_steps: Of the run.
        first_step: Where it goes on; 0 for one that begins.
        logger: One of spaCy's; None for none.
        nlp: What goes to it.
    """

    def __init__(self, output: Path, total_steps: int, first_step: int, logger: Logger | None, nlp: Language) -> None:
        self.path = output / LOG_FILE
        keep_log_until(self.path, first_step)
        self._bar = tqdm(
            total=total_steps, initial=first_step, unit=" steps", file=sys.stderr, dynamic_ncols=True, mininterval=0.5
        )
        self._shown: dict[str, str] = {}
        self._log_step, self._finalize = (logger or _no_logger)(nlp, sys.stdout, sys.stderr)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        self._finalize()

    def advance(self) -> None:
        """A step was made."""
        self._bar.update()
        self._log_step(None)

    def train(self, record: dict[str, Any]) -> None:
        """A line about training: step, epoch, loss, tokens_per_second and the like."""
        self._write(record)
        self._show(loss=f"{record['loss']:.3f}", tokens_s=f"{record['tokens_per_second']:,.0f}")
        self._bar.set_description(f"Epoch {record['epoch']:.2f}", refresh=False)

    def evaluate(self, record: dict[str, Any]) -> None:
        """A line about an evaluation on the held-out texts."""
        self._write(record)
        self._show(perplexity=f"{record['perplexity']:.1f}", unknown=f"{record['unknown_share']:.1%}")
        self._log_step(_for_spacy(record))

    def _show(self, **values: str) -> None:
        self._shown.update(values)
        self._bar.set_postfix(self._shown, refresh=False)

    def _write(self, record: dict[str, Any]) -> None:
        try:
            with self.path.open("a", encoding="utf8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise RunError(
                f"Could not write to {self.path} ({error}). Free some space or mend the disk, and run the same command "
                f"again to go on from the last checkpoint."
            ) from None


def _no_logger(*_: Any) -> tuple[LogStep, Callable[[], None]]:
    return lambda _: None, lambda: None


def keep_log_until(path: Path, step: int) -> None:
    """Drop the lines of later steps, which a run that goes on from this one will write again; all of them for step 0.

    Damaged lines go too: it is a log, and no reason to stop a run.
    """
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")
    write_whole(path, b"".join(line + b"\n" for line in lines if step and _step(line) <= step))


def _step(line: bytes) -> float:
    """A line that cannot be read, such as one that was cut off by the end of the process, counts as late."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return math.inf


def _for_spacy(record: dict[str, Any]) -> dict[str, Any]:
    """As spaCy's training loop describes a checkpoint. A score has to grow, so it is the mean log-probability."""
    scores = {key: value for key, value in record.items() if "perplexity" in key}
    return {
        "epoch": int(record["epoch"]),
        "step": record["step"],
        "score": record["mean_log_probability"],
        "other_scores": scores,
        "losses": {"elmo": record.get("loss", 0.0)},  # none before the first step, and spaCy's loggers want a number
        "checkpoints": [],
        "seconds": int(record["seconds"]),
        "words": record["tokens"],
        "output_path": None,
    }

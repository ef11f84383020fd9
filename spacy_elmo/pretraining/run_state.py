"""Where a run stands, beside its tensors."""

import math
from dataclasses import dataclass
from typing import Any

# The loss that divergence is judged by is an average over about so many steps.
SMOOTHING = 50


@dataclass
class RunState:
    """JSON-ready, as `dataclasses.asdict` has it.

    Attributes:
        step: Updates so far.
        best_step: Where the best evaluation was.
        best_perplexity: What it found.
        stale: Evaluations since.
        before: What an evaluation before the first step found, see `Trainer`; None where there was none.
        latest: What the latest evaluation found, and its "step".
        loss: Of the latest steps, smoothed, in nats.
        lowest_loss: The lowest that it has been.
        seconds: Spent training, in all processes that this run has had.
    """

    step: int = 0
    best_step: int = 0
    best_perplexity: float = math.inf
    stale: int = 0
    before: dict[str, Any] | None = None
    latest: dict[str, Any] | None = None
    loss: float = math.nan
    lowest_loss: float = math.inf
    seconds: float = 0.0

    def observe_loss(self, loss: float) -> None:
        """Take the loss of the step at hand into the smoothed one."""
        weight = 1 / min(self.step + 1, SMOOTHING)
        self.loss = loss if self.step == 0 else self.loss + weight * (loss - self.loss)
        self.lowest_loss = min(self.lowest_loss, self.loss)

    def observe_evaluation(self, found: dict[str, Any]) -> bool:
        """Take note of an evaluation. Returns whether it is the best so far."""
        if self.step == 0:
            self.before = found
        self.latest = {"step": self.step, **found}
        is_best = found["perplexity"] < self.best_perplexity
        if is_best:
            self.best_step, self.best_perplexity, self.stale = self.step, found["perplexity"], 0
        else:
            self.stale += 1
        return bool(is_best)

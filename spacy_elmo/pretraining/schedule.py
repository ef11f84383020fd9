"""The learning rate of each step."""

import math

DECAYS = ("cosine", "linear", "constant")


def learn_rate(
    step: int, total_steps: int, peak: float, warmup_steps: int, decay: str, decay_share: float = 1.0
) -> float:
    """The rate of the update after `step` (0, 1, …).

    It goes up to the peak in a line, stays there until the last `decay_share` of the steps after the warm-up, and then
    goes down to zero at `total_steps` along half a cosine (Loshchilov & Hutter 2017, without restarts) or a line, or
    not at all.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if decay == "constant":
        return peak
    decay_steps = max(1.0, decay_share * (total_steps - warmup_steps))
    done = max(0.0, 1 - (total_steps - step) / decay_steps)
    return peak * (1 - done if decay == "linear" else (1 + math.cos(math.pi * done)) / 2)

"""Where to compute."""

import torch

from ..errors import ArgumentError


def usable(device: torch.device | str | None, *, here: bool = True) -> torch.device:
    """The device of a name; of None, a GPU where there is one, else the CPU.

    Args:
        device: Such as "cpu" or "cuda:1".
        here: Whether it has to be one of this machine; else it is enough that torch knows such devices.

    Raises:
        ArgumentError: It is not.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
        if here:
            torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:  # torch raises either
        reason = str(error).splitlines()[0]
        raise ArgumentError(f"device is {str(device)!r}, which cannot be used here: {reason}") from None
    return found

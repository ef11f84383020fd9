"""In which precision a biLM's products are computed while it trains."""

import torch

from ..bilm.inference import PRECISIONS as FIXED
from ..bilm.inference import processor

PRECISIONS = (*FIXED, "auto")


def uses_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether a setting means bfloat16 on a device: with "auto", where it has units for it."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return processor.here().bfloat16

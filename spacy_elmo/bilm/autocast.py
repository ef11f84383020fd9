"""Autograd functions have to follow autocast by hand, forward as well as backward, where it may be another one."""

import torch
from torch import Tensor


def product_dtype(x: Tensor) -> torch.dtype:
    """The type of products with x: that of autocast where it is on, else x's own."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def without_autocast(x: Tensor) -> torch.autocast:
    """Products on x's device have the types of their factors."""
    return torch.autocast(x.device.type, enabled=False)

"""Adam with a clipped gradient and a scheduled rate, whose whole state is named tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .config import OptimizerSettings
from .schedule import learn_rate

_MOMENTS = ("exp_avg", "exp_avg_sq")


class Optimizer:
    """Trains the parameters of a module that require a gradient. Norms are over all of them together."""

    def __init__(self, module: nn.Module, settings: OptimizerSettings, total_steps: int) -> None:
        self.settings = settings
        self.total_steps = total_steps
        self.parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self._adam = torch.optim.Adam(
            self.parameters.values(), betas=(settings.beta1, settings.beta2), eps=settings.eps, fused=True
        )

    def clip(self) -> float:
        """Clip the gradients. Returns their norm before."""
        return float(nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.grad_clip))

    def apply(self, step: int) -> float:
        """Apply and clear the gradients, as the update after `step`. Returns the learning rate."""
        settings = self.settings
        rate = learn_rate(
            step, self.total_steps, settings.learn_rate, settings.warmup_steps, settings.decay, settings.decay_share
        )
        self._adam.param_groups[0]["lr"] = rate
        self._adam.step()
        # Torch counts what it writes into a tensor, but not what its fused optimizers write.
        for parameter in self.parameters.values():
            torch.autograd.graph.increment_version(parameter)
        self._adam.zero_grad()
        return rate

    def state(self) -> dict[str, Tensor]:
        """Both moments of each parameter, under its name. Before the first step there are none."""
        return {
            f"{moment}.{name}": self._adam.state[parameter][moment]
            for name, parameter in self.parameters.items()
            if parameter in self._adam.state
            for moment in _MOMENTS
        }

    def load_state(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """The state after `step` updates. Raises KeyError where a moment is missing."""
        for name, parameter in self.parameters.items():
            state = {moment: tensors[f"{moment}.{name}"].to(parameter.device) for moment in _MOMENTS}
            count = torch.tensor(float(step), dtype=torch.float32, device=parameter.device)
            self._adam.state[parameter] = {"step": count, **state}

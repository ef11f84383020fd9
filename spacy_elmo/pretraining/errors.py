"""What goes wrong with training runs."""

from ..errors import ElmoError


class ConfigError(ElmoError, ValueError):
    """A config that makes no run. The message names the section and the key."""


class RunError(ElmoError, RuntimeError):
    """A training run that cannot start, go on or save. The message says what to do."""

"""What goes wrong with training runs."""


class ConfigError(ValueError):
    """A config that makes no run. The message names the section and the key."""


class RunError(RuntimeError):
    """A training run that cannot start, go on or save. The message says what to do."""

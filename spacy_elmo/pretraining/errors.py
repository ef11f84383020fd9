"""What goes wrong with texts, corpora and training runs."""


class CorpusError(ValueError):
    """Texts that cannot be read, or a prepared corpus that is not there, not whole, or of other texts. The message
    names the file.
    """


class ConfigError(ValueError):
    """A config that makes no run. The message names the section and the key."""


class RunError(RuntimeError):
    """A training run that cannot start, go on or save. The message says what to do."""

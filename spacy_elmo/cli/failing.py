"""How a command ends when something is wrong that its user can put right."""

from collections.abc import Iterator
from contextlib import contextmanager

from wasabi import msg


@contextmanager
def failing() -> Iterator[None]:
    """Errors of input and of files end the command with their message and exit code 1, without a traceback."""
    try:
        yield
    except Exception as error:
        from ..pretraining.errors import RunError

        if not isinstance(error, ValueError | OSError | RunError):
            raise
        msg.fail(str(error), exits=1)

"""How a command ends when something is wrong that its user can put right."""

from collections.abc import Iterator
from contextlib import contextmanager

from wasabi import msg

from ..errors import ElmoError


@contextmanager
def failing() -> Iterator[None]:
    """End a command with a message and exit code 1 where its user can put something right.

    That is what this package raises on purpose, and what the system says of a file that it names. All else is a bug of
    ours, and its traceback says where.
    """
    try:
        yield
    except (ElmoError, OSError) as error:
        if not isinstance(error, ElmoError) and error.filename is None:
            raise
        msg.fail(str(error), exits=1)

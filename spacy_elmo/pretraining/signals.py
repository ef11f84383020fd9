"""Being asked to end."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any


@contextmanager
def first_signal(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` at a first SIGTERM or SIGINT. A second one does what it did before."""

    def stop(number: int, _: Any) -> None:
        signal.signal(number, before[number])
        tell()

    # Python lets only the main thread listen.
    heard = (signal.SIGTERM, signal.SIGINT) if current_thread() is main_thread() else ()
    # A handler that something else than Python has set could not be put back.
    before = {int(number): handler for number in heard if (handler := signal.getsignal(number)) is not None}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from spacy_elmo.pretraining.signals import first_signal

BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@pytest.fixture(autouse=True)
def heard() -> Iterator[list[int]]:
    """What comes to those who listened before."""
    numbers: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: numbers.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


@BOTH
def test_a_first_one_is_told_and_a_second_one_does_what_it_did(number: int, heard: list[int]) -> None:
    told: list[bool] = []
    with first_signal(lambda: told.append(True)):
        signal.raise_signal(number)
        assert (told, heard) == ([True], [])
        signal.raise_signal(number)
        assert (told, heard) == ([True], [number])
    signal.raise_signal(number)
    assert (told, heard) == ([True], [number] * 2)


@BOTH
def test_one_that_comes_when_there_was_none_leaves_all_as_it_was(number: int, heard: list[int]) -> None:
    with first_signal(lambda: pytest.fail("nobody asked")):
        pass
    signal.raise_signal(number)
    assert heard == [number]


def test_one_that_comes_while_listening_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    told, install, early = list[bool](), signal.signal, {signal.SIGTERM, signal.SIGINT}

    def install_and_raise(number: int, handler: Any) -> Any:
        before = install(number, handler)
        if number in early:
            early.remove(number)
            signal.raise_signal(number)
        return before

    monkeypatch.setattr(signal, "signal", install_and_raise)
    with first_signal(lambda: told.append(True)):
        pass
    assert told == [True, True]


def test_in_another_thread_nothing_is_listened_to(heard: list[int]) -> None:
    def listen() -> None:
        with first_signal(lambda: pytest.fail("not here")):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert heard == [signal.SIGTERM]

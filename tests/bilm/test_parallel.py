import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch

from spacy_elmo import BiLM
from spacy_elmo.bilm.parallel import Worker, alone, both, n_threads
from tests.conftest import REPOSITORY

# Long enough for any machine, and waited for only where something hangs.
PATIENCE = 60


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)


def nothing() -> None:
    pass


def in_a_thread(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def join(thread: threading.Thread) -> None:
    thread.join(timeout=PATIENCE)
    assert not thread.is_alive()


def test_one_after_the_other_in_this_thread_where_torch_has_one() -> None:
    torch.set_num_threads(1)
    calls: list[tuple[str, int]] = []
    both(
        lambda: calls.append(("first", threading.get_ident())), lambda: calls.append(("second", threading.get_ident()))
    )
    assert calls == [("first", threading.get_ident()), ("second", threading.get_ident())]


@pytest.mark.parametrize("n_threads", [2, 3, 4])
def test_at_once_where_torch_has_more(n_threads: int) -> None:
    """Each waits for the other to have begun, and sees half of the threads; the caller's number stays."""
    torch.set_num_threads(n_threads)
    meeting = threading.Barrier(2, timeout=PATIENCE)
    calls: dict[str, tuple[int, int]] = {}

    def call(name: str) -> None:
        meeting.wait()
        calls[name] = threading.get_ident(), torch.get_num_threads()

    for _ in range(3):
        both(lambda: call("first"), lambda: call("second"))
        assert len({threading.get_ident(), calls["first"][0], calls["second"][0]}) == 3
        assert calls["first"][1] == calls["second"][1] == n_threads // 2
        assert torch.get_num_threads() == n_threads


@pytest.mark.parametrize("n_threads", [1, 2, 4])
@pytest.mark.parametrize("failing", ["first", "second"])
def test_the_error_of_either_is_raised(n_threads: int, failing: str) -> None:
    torch.set_num_threads(n_threads)
    calls = []

    def call(name: str) -> None:
        calls.append(name)
        if name == failing:
            raise MemoryError(f"no room for the {name}")

    for _ in range(3):
        calls.clear()
        with pytest.raises(MemoryError, match=f"no room for the {failing}"):
            both(lambda: call("first"), lambda: call("second"))
        # With threads of its own, the second has run to its end before anything is raised.
        assert calls.count("second") == (0 if n_threads == 1 and failing == "first" else 1)
        assert torch.get_num_threads() == n_threads
    test_at_once_where_torch_has_more(2)


def test_errors_of_both_lose_neither() -> None:
    torch.set_num_threads(2)

    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(ValueError, match="second") as raised:
        both(lambda: fail(KeyError("first")), lambda: fail(ValueError("second")))
    assert isinstance(raised.value.__context__, KeyError)
    assert torch.get_num_threads() == 2


def test_threads_born_meanwhile_have_all_of_torchs_threads() -> None:
    """And those that were there before, and those that come later."""
    torch.set_num_threads(4)
    begun, end, seen = threading.Event(), threading.Event(), list[int]()

    def earlier() -> None:
        torch.get_num_threads()
        begun.set()
        end.wait(PATIENCE)
        seen.append(torch.get_num_threads())

    def born_within() -> None:
        for _ in range(20):
            join(in_a_thread(lambda: seen.append(torch.get_num_threads())))

    threads = [in_a_thread(earlier)]
    begun.wait(PATIENCE)
    for _ in range(5):
        both(born_within, born_within)
    end.set()
    threads.append(in_a_thread(lambda: seen.append(torch.get_num_threads())))
    for thread in threads:
        join(thread)
    assert seen == [4] * 202


def test_the_number_that_is_set_for_threads_to_come_stays(tiny_bilm: BiLM) -> None:
    """Though the caller has another one."""
    torch.set_num_threads(6)
    seen: list[int] = []

    def embed_on_two() -> None:
        torch.set_num_threads(2)
        tiny_bilm.embed([["a", "b"]])

    join(in_a_thread(embed_on_two))
    join(in_a_thread(lambda: seen.append(torch.get_num_threads())))
    assert seen == [2]  # what that thread set itself, and not one
    assert torch.get_num_threads() == 6


@pytest.mark.parametrize("n_threads", [1, 2, 4, 8])
def test_one_inside_another(n_threads: int) -> None:
    torch.set_num_threads(n_threads)
    calls = []

    def call(depth: int) -> None:
        if depth:
            both(lambda: call(depth - 1), lambda: call(depth - 1))
        else:
            calls.append(torch.ones(4).sum().item())

    join(in_a_thread(lambda: call(3)))
    call(3)
    assert calls == [4] * 16
    assert torch.get_num_threads() == n_threads


def test_many_at_once() -> None:
    torch.set_num_threads(2)
    meeting = threading.Barrier(5, timeout=PATIENCE)
    counts = [0] * 5

    def work(number: int) -> None:
        def count() -> None:
            counts[number] += 1

        meeting.wait()
        for _ in range(100):
            # One after the other for whoever finds the threads taken; the two never share a counter's step.
            both(count, nothing)
            both(nothing, count)

    threads = [in_a_thread(lambda number=number: work(number)) for number in range(5)]
    for thread in threads:
        join(thread)
    assert counts == [200] * 5
    assert torch.get_num_threads() == 2
    test_at_once_where_torch_has_more(2)


def test_who_finds_the_threads_taken_does_without() -> None:
    torch.set_num_threads(2)
    idents: list[int] = []

    def other() -> None:
        torch.set_num_threads(2)
        both(lambda: idents.append(threading.get_ident()), lambda: idents.append(threading.get_ident()))

    def first() -> None:
        thread = in_a_thread(other)
        join(thread)
        assert idents == [thread.ident] * 2

    both(first, nothing)
    assert len(idents) == 2


def modes() -> tuple[bool, bool, bool, torch.dtype, bool]:
    """What each thread has for itself."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.is_autocast_cache_enabled(),
    )


def both_alike(function: Callable[[], None]) -> None:
    both(function, function)


@pytest.mark.parametrize("run", [both_alike, alone])
@pytest.mark.parametrize(
    "mode",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", torch.bfloat16),
        lambda: torch.autocast("cpu", torch.float16, cache_enabled=False),
        nullcontext,
    ],
)
def test_modes_are_those_of_the_caller_whatever_the_number_of_threads(
    run: Callable[[Callable[[], None]], None], mode: Callable[[], AbstractContextManager[Any]]
) -> None:
    seen = list[object]()
    for n in (1, 2):
        torch.set_num_threads(n)
        with mode():
            wanted = modes()
            run(lambda: seen.append(modes()))
        assert set(seen) == {wanted}
    assert modes() == (True, False, False, torch.bfloat16, True)


@pytest.mark.parametrize(
    "run", [alone, lambda function: both(function, nothing), lambda function: both(nothing, function)]
)
def test_who_is_interrupted_waits_for_the_end(run: Callable[[Callable[[], None]], None]) -> None:
    """Else it would go on behind his back, adding to gradients; or the process would end under torch's feet."""
    torch.set_num_threads(2)
    # What the tests were started by may have had it ignored, as `nohup … &` has.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    main, ended = threading.get_ident(), list[bool]()

    def interrupt() -> None:
        signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.02)
        ended.append(True)

    # The signal comes at any moment, also before the caller begins to wait.
    try:
        for n in range(1, 21):
            with pytest.raises(KeyboardInterrupt):
                run(interrupt)
            assert ended == [True] * n
    finally:
        signal.signal(signal.SIGINT, heard)
    test_at_once_where_torch_has_more(2)


@pytest.mark.parametrize("has_begun", [True, False])
@pytest.mark.parametrize("run", [alone, lambda function: both(function, nothing)])
def test_who_is_interrupted_before_he_waits(
    run: Callable[[Callable[[], None]], None], has_begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(2)
    run(nothing)
    begun, calls, begin = threading.Event(), list[str](), Worker.begin

    def work() -> None:
        begun.set()
        time.sleep(0.05)
        calls.append("ended")

    def begin_and_interrupt(worker: Worker, task: Any) -> None:
        if has_begun:
            begin(worker, task)
            begun.wait(PATIENCE)
        raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "begin", begin_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(work)
    assert calls == ["ended"] * has_begun
    monkeypatch.undo()
    run(nothing)
    assert calls == ["ended"] * has_begun


# What a process runs that is not this one: a fork of this one would hold all that the tests before have made.
FORKS = """
import os
import threading
import traceback
import numpy as np
import torch
from spacy_elmo import load_bilm
from spacy_elmo.allennlp import ElmoEmbedder
from spacy_elmo.bilm.parallel import alone, both, n_threads

def check_all():
    for ours, theirs in zip(bilm.embed(sentences), expected):
        assert np.abs(ours - theirs).max() < 1e-5
    for ours, theirs in zip(embedder.embed_batch(sentences), expected):
        assert np.abs(ours - theirs).max() < 1e-5
    bilm.embed(others), bilm.embed(others[:1]), bilm.embed_stateful(others)
    assert torch.get_num_threads() == 2
    born = []
    thread = threading.Thread(target=lambda: (bilm.embed(others), born.append(torch.get_num_threads())))
    thread.start()
    thread.join()
    assert born == [2]

def run_in_a_fork(check=check_all):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            check()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0

torch.set_num_threads(2)
bilm, embedder = load_bilm("en_elmo_sm"), ElmoEmbedder("en_elmo_sm")
# Words enough for torch to share out what is done with them, in products and in all else.
sentences = [[f"word{i}" for i in range(start, start + 60)] for start in range(0, 900, 60)]
others = [[f"other{i}" for i in range(start, start + 60)] for start in range(0, 900, 60)]
expected = bilm.embed(sentences)
embedder.embed_batch(sentences)
torch.randn(500, 500) @ torch.randn(500, 500)
torch.randn(2000, 2000).exp()

run_in_a_fork()
run_in_a_fork(lambda: (check_all(), run_in_a_fork()))
# While another thread is at it, in both ways.
begun, end = threading.Event(), threading.Event()
thread = threading.Thread(target=lambda: both(lambda: (begun.set(), end.wait()), lambda: None))
thread.start()
begun.wait()
run_in_a_fork()
end.set()
thread.join()
thread = threading.Thread(target=run_in_a_fork)
thread.start()
thread.join()
check_all()
"""

# A thread that is no daemon goes on when the main thread has ended.
AFTER_THE_MAIN_THREAD = """
import threading
import time
import torch
from tests.conftest import random_bilm

def embed_when_the_main_thread_has_ended():
    threading.main_thread().join()
    time.sleep(0.2)
    for n_threads in (2, 4):
        torch.set_num_threads(n_threads)
        bilm.embed([[f"{n_threads} word {i}" for i in range(50)], ["a"]])
    print("embedded", flush=True)

torch.set_num_threads(2)
bilm = random_bilm()
bilm.embed([["a", "word"]])
threading.Thread(target=embed_when_the_main_thread_has_ended).start()
"""


def output_of(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=2 * PATIENCE, cwd=REPOSITORY, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, which Windows has not")
def test_in_a_forked_process() -> None:
    output_of(FORKS)


def test_after_the_main_thread_has_ended() -> None:
    assert output_of(AFTER_THE_MAIN_THREAD) == "embedded\n"


def test_alone_has_one_of_torchs_threads_and_knows_the_callers_number() -> None:
    torch.set_num_threads(3)
    caller = threading.get_ident()
    found = alone(lambda: (threading.get_ident() != caller, torch.get_num_threads(), n_threads()))
    assert found == (True, 1, 3)
    assert (torch.get_num_threads(), n_threads()) == (3, 3)
    torch.set_num_threads(1)
    assert alone(threading.get_ident) == caller


def test_nobody_waits_for_another_caller_of_alone() -> None:
    torch.set_num_threads(2)
    meeting, seen = threading.Barrier(3, timeout=PATIENCE), list[int]()

    def call() -> None:
        torch.set_num_threads(2)
        alone(lambda: seen.append(meeting.wait()))

    threads = [in_a_thread(call) for _ in range(3)]
    for thread in threads:
        join(thread)
    assert sorted(seen) == [0, 1, 2]


def test_an_error_in_alone_is_raised() -> None:
    torch.set_num_threads(2)
    for _ in range(2):
        with pytest.raises(KeyError, match="lost"):
            alone(lambda: {}["lost"])

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from spacy_elmo.bilm.parallel import both
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
    """Each waits for the other to have begun, and sees half of the threads."""
    torch.set_num_threads(n_threads)
    meeting = threading.Barrier(2, timeout=PATIENCE)
    calls: dict[str, tuple[int, int]] = {}

    def call(name: str) -> None:
        meeting.wait()
        calls[name] = threading.get_ident(), torch.get_num_threads()

    for _ in range(3):
        both(lambda: call("first"), lambda: call("second"))
        assert calls["first"] == (threading.get_ident(), n_threads // 2)
        assert calls["second"][0] != threading.get_ident()
        assert calls["second"][1] == n_threads // 2
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


def test_other_threads_keep_their_setting() -> None:
    """Of those that were there before, and one that comes later."""
    torch.set_num_threads(4)
    begun, end = threading.Event(), threading.Event()
    seen: dict[str, int] = {}

    def earlier() -> None:
        torch.get_num_threads()
        begun.set()
        end.wait(PATIENCE)
        seen["earlier"] = torch.get_num_threads()

    def later() -> None:
        seen["later"] = torch.get_num_threads()

    threads = [in_a_thread(earlier)]
    begun.wait(PATIENCE)

    both(nothing, nothing)
    end.set()
    threads.append(in_a_thread(later))
    for thread in threads:
        join(thread)
    assert seen == {"earlier": 4, "later": 4}


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


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_neither_records_a_graph_where_the_caller_does_not(
    n_threads: int, mode: Callable[[], torch.no_grad | torch.inference_mode]
) -> None:
    torch.set_num_threads(n_threads)
    weight, products = torch.ones(3, requires_grad=True), list[torch.Tensor]()
    with mode():
        both(lambda: products.append(weight * 2), lambda: products.append(weight * 2))
    assert [product.requires_grad for product in products] == [False, False]
    assert torch.is_grad_enabled()


# What a process runs that is not this one: a fork of this one would hold all that the tests before have made. The biLM
# runs on one thread in a fork, as a worker of spaCy's does: torch's own threads do not come along, and it would wait.
FORK = """
import os
import threading
import torch
from spacy_elmo.bilm.parallel import both
from tests.conftest import random_bilm

def run_both():
    names = []
    both(lambda: names.append("first"), lambda: names.append("second"))
    assert sorted(names) == ["first", "second"]
    assert torch.get_num_threads() == 2

def run_in_a_fork(expected):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run_both()
            torch.set_num_threads(1)
            for ours, theirs in zip(bilm.embed([*sentences, ["new"]]), expected):
                assert (abs(ours - theirs) < 1e-5).all()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0

torch.set_num_threads(1)
bilm, sentences = random_bilm(), [[f"word{i}" for i in range(40)], ["a"]]
expected = bilm.embed(sentences)

# Before `both` has ever been used, after the biLM has used it, and while another thread is at it.
torch.set_num_threads(2)
run_in_a_fork(expected)
run_both()
bilm.embed([["other", "words"], *sentences])
run_in_a_fork(expected)
begun, end = threading.Event(), threading.Event()
def first():
    begun.set()
    end.wait()
thread = threading.Thread(target=lambda: both(first, lambda: None))
thread.start()
begun.wait()
run_in_a_fork(expected)
end.set()
thread.join()
run_both()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, which Windows has not")
def test_in_a_forked_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=PATIENCE, cwd=REPOSITORY, check=False
    )
    assert done.returncode == 0, done.stderr

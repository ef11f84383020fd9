"""The native kernels, each that this processor has, against float64 NumPy, and against themselves."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ctypes import Structure
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spacy_elmo import BiLM, BiLMConfig, BiLMState
from spacy_elmo.bilm.inference import native_loop
from spacy_elmo.bilm.inference.native_linear import NativeLinear
from spacy_elmo.bilm.inference.native_loop import NativeLoop
from spacy_elmo.bilm.native import NativeError, NativeKernel, explain, kernel_for, kernels, library
from spacy_elmo.bilm.native.library import VARIABLE, Batch, Direction
from spacy_elmo.bilm.packing import Packing
from tests.conftest import REPOSITORY, TINY, random_bilm

if not kernels():
    pytest.skip("needs the native kernels, which take a C++ compiler to build", allow_module_level=True)

Array = npt.NDArray[np.float64]

every_kernel = pytest.mark.parametrize("kernel", kernels(), ids=lambda kernel: f"{kernel.name}-{kernel.precision}")
float32_kernels = [kernel for kernel in kernels() if kernel.precision == "float32"]


@dataclass
class Case:
    """A batch of sentences, and the layers of a biLM with random weights."""

    config: BiLMConfig
    lengths: Sequence[int]
    seed: int

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.bilm = BiLM(self.config)
        with torch.no_grad():
            for parameter in self.bilm.parameters():
                parameter.normal_(0, 1.5 / max(1, parameter.shape[-1]) ** 0.5, generator=generator)
        self.words = torch.randn(7, self.config.projection_dim, generator=generator)
        self.tokens = torch.randint(0, 7, (sum(self.lengths),), generator=generator).numpy()
        shape = 2, self.config.n_layers, len(self.lengths)
        self.state = BiLMState(
            torch.randn(*shape, self.config.projection_dim, generator=generator),
            torch.randn(*shape, self.config.cell_dim, generator=generator),
        )

    def run(
        self,
        kernel: NativeKernel,
        *,
        n_threads: int = 1,
        chunk_rows: int = 4096,
        sequences: Sequence[int] | None = None,
    ) -> tuple[npt.NDArray[np.float32], BiLMState]:
        """Layers and state of all sequences, or of some."""
        chosen = list(range(len(self.lengths))) if sequences is None else list(sequences)
        ends = np.cumsum(self.lengths)
        tokens = np.concatenate([self.tokens[ends[i] - self.lengths[i] : ends[i]] for i in chosen])
        packing = Packing.of([self.lengths[i] for i in chosen])
        state = self.state.reorder(torch.tensor(chosen)[packing.order])
        layers = torch.full((self.config.n_layers + 1, len(tokens), self.config.width), torch.nan)
        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        try:
            loop = NativeLoop(self.config, self.bilm.stacks, kernel)
            loop.run(self.words, tokens, packing, state, layers, 1, chunk_rows)
        finally:
            torch.set_num_threads(before)
        return layers.numpy(), state.reorder(torch.from_numpy(np.argsort(packing.order)))

    def reference(self) -> tuple[Array, Array, Array]:
        """Layers, hidden and cell by the equations, in float64, one sequence after another."""
        hidden, cell = self.state.hidden.double().numpy().copy(), self.state.cell.double().numpy().copy()
        halves = []
        for direction, stack in enumerate(self.bilm.stacks):
            x = self.words.double().numpy()[self.tokens]
            layers = [x]
            for number, lstm in enumerate(stack):
                weight, bias, projection = (
                    tensor.detach().double().numpy() for tensor in (lstm.weight, lstm.gate_bias(), lstm.projection)
                )
                y = np.empty_like(x)
                for sequence, (end, length) in enumerate(zip(np.cumsum(self.lengths), self.lengths, strict=True)):
                    rows = range(end - length, end)
                    h, c = hidden[direction, number, sequence], cell[direction, number, sequence]
                    for row in rows if direction == 0 else reversed(rows):
                        i, j, f, o = np.split(weight @ np.concatenate([x[row], h]) + bias, 4)
                        c = sigmoid(f) * c + sigmoid(i) * np.tanh(j)
                        c = np.clip(c, -lstm.cell_clip, lstm.cell_clip)
                        h = projection @ (sigmoid(o) * np.tanh(c))
                        y[row] = h = np.clip(h, -lstm.projection_clip, lstm.projection_clip)
                    hidden[direction, number, sequence], cell[direction, number, sequence] = h, c
                x = y + x if number and self.config.skip_connections else y
                layers.append(x)
            halves.append(np.stack(layers))
        return np.concatenate(halves, axis=2), hidden, cell


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


clips = st.sampled_from([None, 0.4, 3.0])
configs = st.builds(
    lambda width, cell_dim, n_layers, clips, skip: BiLMConfig(
        **{
            **TINY.to_dict(),
            "projection_dim": width,
            "cell_dim": cell_dim,
            "n_layers": n_layers,
            "cell_clip": clips[0],
            "projection_clip": clips[1],
            "skip_connections": skip,
        }
    ),
    st.sampled_from([1, 6, 31, 64, 65, 130]),
    st.sampled_from([1, 10, 16, 33, 64, 100]),
    st.integers(1, 3),
    st.tuples(clips, clips),
    st.booleans(),
)
# From one sentence to more than a tile of any kernel holds.
lengths = st.lists(st.integers(1, 6), min_size=1, max_size=40)
cases = st.builds(Case, configs, lengths, st.integers(0, 2**31))


@every_kernel
@settings(max_examples=15, deadline=None)
@given(case=cases, n_threads=st.integers(1, 5), chunk_rows=st.sampled_from([1, 3, 20, 4096]))
def test_layers_and_state_are_those_of_float64(
    kernel: NativeKernel, case: Case, n_threads: int, chunk_rows: int
) -> None:
    layers, state = case.run(kernel, n_threads=n_threads, chunk_rows=chunk_rows)
    wanted = case.reference()
    # Of bfloat16 numbers near 1, some dozens of steps of rounding.
    tolerance = 1e-5 if kernel.precision == "float32" else 0.15
    for found, reference in zip((layers, state.hidden.numpy(), state.cell.numpy()), wanted, strict=True):
        np.testing.assert_allclose(found, reference, rtol=0, atol=tolerance)
    if kernel.precision == "bfloat16":
        assert np.abs(layers - wanted[0]).mean() < 2.0**-7


@every_kernel
@settings(max_examples=15, deadline=None)
@given(data=st.data(), case=cases, n_threads=st.integers(1, 5), chunk_rows=st.sampled_from([1, 3, 20]))
def test_neither_neighbours_nor_threads_nor_chunks_change_a_bit(
    kernel: NativeKernel, data: st.DataObject, case: Case, n_threads: int, chunk_rows: int
) -> None:
    layers, state = case.run(kernel, n_threads=n_threads, chunk_rows=chunk_rows)
    sequence = data.draw(st.integers(0, len(case.lengths) - 1))
    end = sum(case.lengths[: sequence + 1])
    alone, state_alone = case.run(kernel, sequences=[sequence])
    np.testing.assert_array_equal(layers[:, end - case.lengths[sequence] : end], alone)
    assert torch.equal(state.hidden[:, :, sequence], state_alone.hidden[:, :, 0])
    assert torch.equal(state.cell[:, :, sequence], state_alone.cell[:, :, 0])


def test_kernels_of_more_instructions_give_the_same_bits() -> None:
    """Where both multiply and add in one operation."""
    named = {kernel.name: kernel for kernel in float32_kernels}
    if "avx512" not in named:
        pytest.skip("needs AVX-512")
    case = Case(TINY, [5, 3, 9, 1], seed=0)
    np.testing.assert_array_equal(case.run(named["avx2"])[0], case.run(named["avx512"])[0])


@every_kernel
def test_extreme_numbers_and_those_that_are_none(kernel: NativeKernel) -> None:
    case = Case(BiLMConfig(**{**TINY.to_dict(), "cell_clip": None, "projection_clip": None}), [3, 2], seed=0)
    case.words *= 1e6
    layers, _ = case.run(kernel)
    assert np.isfinite(layers).all()
    case.words[:] = torch.nan
    layers, _ = case.run(kernel)
    assert np.isnan(layers).all()


@pytest.mark.parametrize("kernel", float32_kernels, ids=lambda kernel: kernel.name)
@settings(max_examples=15, deadline=None)
@given(
    n_rows=st.sampled_from([1, 2, 7, 64, 65, 150]),
    n_inputs=st.sampled_from([1, 5, 64, 200]),
    n_outputs=st.sampled_from([1, 63, 64, 100]),
    n_threads=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_a_linear_layer_is_that_of_float64_and_its_rows_do_not_depend_on_each_other(
    kernel: NativeKernel, n_rows: int, n_inputs: int, n_outputs: int, n_threads: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layer, x, before = nn.Linear(n_inputs, n_outputs), torch.randn(n_rows, n_inputs), torch.get_num_threads()
    compute = NativeLinear(layer, kernel)
    torch.set_num_threads(n_threads)
    try:
        found = compute(x)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found.double(), layer.double()(x.double()).detach(), rtol=0, atol=1e-5)
    assert torch.equal(torch.cat([compute(row[None]) for row in x]), found)


def test_a_sentence_has_the_same_bits_whatever_stands_beside_it() -> None:
    """Its words too, though they are computed with others."""
    sentences = [["Some", "words"], ["a", "sentence", "of", "others"], ["x"] * 9] * 12
    together = random_bilm().embed(sentences)
    for i in (0, 1, 2):
        np.testing.assert_array_equal(random_bilm().embed([sentences[i]])[0], together[i])


def test_calls_at_once_from_many_threads() -> None:
    case = Case(TINY, [4, 9, 2, 7] * 10, seed=0)
    kernel = kernels()[-1]
    wanted, _ = case.run(kernel)
    found: list[npt.NDArray[np.float32]] = []
    threads = [
        threading.Thread(target=lambda: found.extend(case.run(kernel, n_threads=3)[0] for _ in range(5)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    for layers in found:
        np.testing.assert_array_equal(layers, wanted)


THREADS = """
import os
import torch
from tests.conftest import random_bilm

def n_threads():
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(4)
bilm, sentences = random_bilm(), [[f"word{i}-{j}" for i in range(20)] for j in range(64)]
before = n_threads()
bilm.embed(sentences)
started = n_threads() - before
for n in (4, 2, 1, 3):
    torch.set_num_threads(n)
    bilm.embed(sentences)
    assert n_threads() - before == started, n
assert torch.get_num_threads() == 3
print(started)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux to count threads")
def test_threads_are_started_once_and_torchs_are_left_alone() -> None:
    """The kernel's three that help, and one that calls it. None of torch's: they wait for each other while they run."""
    environment = {**os.environ, VARIABLE: ""}
    done = subprocess.run(
        [sys.executable, "-c", THREADS], capture_output=True, text=True, cwd=REPOSITORY, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4\n"


def test_too_large_for_memory_is_an_error() -> None:
    numbers = np.zeros(8, dtype=np.int64)
    address = numbers.ctypes.data
    sizes = np.ones(1, dtype=np.int64)
    batch = Batch(
        n_layers=1, width=1, cell_dim=2**50, sizes=sizes.ctypes.data, n_steps=1, chunk_rows=1, n_groups=1, n_words=1
    )
    direction = Direction(None, address, address, address, address, address)
    with pytest.raises(MemoryError, match="batch"):
        kernels()[0].run(batch, [direction, direction], 1)


def test_the_best_kernel_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for nothing in ("", "1"):
        monkeypatch.setenv(VARIABLE, nothing)
        for precision in ("float32", "bfloat16"):
            assert kernel_for(precision) == [kernel for kernel in kernels() if kernel.precision == precision][-1]
            assert explain(precision) == f"{kernel_for(precision).name} (the best of what this processor has)"


@pytest.mark.parametrize("name", [kernel.name for kernel in kernels()])
def test_the_environment_names_the_instructions_that_may_be_used(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(VARIABLE, name)
    names = [kernel.name for kernel in kernels()]
    for precision in ("float32", "bfloat16"):
        kernel = kernel_for(precision)
        assert names.index(kernel.name) <= names.index(name)
        assert explain(precision) == f"{kernel.name} ({VARIABLE}={name})"
    assert name in {kernel_for("float32").name, kernel_for("bfloat16").name}


def test_the_environment_switches_the_kernels_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    monkeypatch.setattr(native_loop, "NativeLoop", None)
    assert kernel_for("float32") is None
    assert explain("float32") == f"PyTorch ({VARIABLE}=0)"
    assert random_bilm().embed([["a", "b"]])[0].shape == (3, 2, 12)


def test_instructions_that_are_not_there_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "avx3")
    with pytest.raises(NativeError, match=r"SPACY_ELMO_NATIVE is 'avx3', but must be 0 or one of .*plain"):
        random_bilm().embed([["a"]])


@contextmanager
def library_at(path: Path | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the library were there, or nowhere."""
    forget = (kernels.cache_clear, library._found.cache_clear)
    monkeypatch.setattr(library, "_path", lambda: path)
    monkeypatch.delenv(VARIABLE, raising=False)
    try:
        for cached in forget:
            cached()
        yield
    finally:
        monkeypatch.undo()
        for cached in forget:
            cached()


def test_without_the_library_torch_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    with library_at(None, monkeypatch):
        assert kernel_for("float32") is None
        assert explain("float32") == "PyTorch (the package was built without a C++ compiler)"
        assert random_bilm().embed([["a", "b"]])[0].shape == (3, 2, 12)
        monkeypatch.setenv(VARIABLE, "avx2")
        with pytest.raises(NativeError, match=r"without a C\+\+ compiler"):
            kernel_for("float32")


@pytest.mark.parametrize("age", [-60, 60])
def test_a_library_older_than_its_sources_is_not_loaded(
    age: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their structures need not be those of the library: calling it would write somewhere into memory."""
    built = library._path()
    assert built is not None
    copy = Path(shutil.copy(built, tmp_path))
    source = tmp_path / "layer.inc"
    source.touch()
    os.utime(source, (0, copy.stat().st_mtime + age))
    with library_at(copy, monkeypatch):
        if age < 0:
            assert kernel_for("float32") is not None
        else:
            assert kernel_for("float32") is None
            assert "older than its sources: pip install --editable ." in explain("float32")


@pytest.mark.parametrize("structs", [library.STRUCTS[::-1], (*library.STRUCTS[:-1], Batch)])
def test_a_library_of_other_structures_is_not_loaded(
    structs: tuple[type[Structure], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its time does not tell, as of one that was copied."""
    monkeypatch.setattr(library, "STRUCTS", structs)
    with library_at(library._path(), monkeypatch):
        assert kernel_for("float32") is None
        assert "older than its sources" in explain("float32")


def test_without_a_library_that_can_be_loaded_torch_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "_kernel.so"
    path.write_bytes(b"of another system")
    with library_at(path, monkeypatch):
        assert kernel_for("float32") is None
        assert explain("float32").startswith("PyTorch (the kernel cannot be loaded: ")


def test_weights_are_packed_of_float32_rows_alone() -> None:
    for weight in (np.ones((8, 4)), np.ones((4, 8), np.float32).T):
        with pytest.raises(TypeError, match="rows of float32 in one piece each"):
            kernels()[0].pack(weight, gates=False)

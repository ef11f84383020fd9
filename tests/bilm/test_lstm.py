"""Sizes: 5 sequences, packed, of which the first is alive longest."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from spacy_elmo.bilm.inference.lstm import InferenceLSTM
from spacy_elmo.bilm.lstm import ProjectedLSTM, run_side_by_side
from tests.reference.plain_lstm import plain_lstm

BATCH_SIZES = [5, 5, 3, 3, 2, 1, 1]
INPUT_DIM, CELL_DIM, PROJECTION_DIM = 4, 7, 3

State = tuple[Tensor, Tensor]


def random_lstm(
    cell_clip: float | None = None, projection_clip: float | None = None, dtype: torch.dtype = torch.float32
) -> ProjectedLSTM:
    torch.manual_seed(0)
    lstm = ProjectedLSTM(INPUT_DIM, CELL_DIM, PROJECTION_DIM, cell_clip, projection_clip).to(dtype)
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.normal_(0, 0.8)
    return lstm


def random_inputs(n_sequences: int = BATCH_SIZES[0], dtype: torch.dtype = torch.float32) -> tuple[Tensor, State]:
    torch.manual_seed(1)
    x = torch.randn(sum(BATCH_SIZES), INPUT_DIM, dtype=dtype)
    hidden = torch.randn(n_sequences, PROJECTION_DIM, dtype=dtype) / 2
    return x, (hidden, torch.randn(n_sequences, CELL_DIM, dtype=dtype) / 2)


def assert_close(found: Tensor, wanted: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


CLIPS = [(None, None), (0.7, None), (None, 0.5), (0.7, 0.5)]


@pytest.mark.parametrize(("cell_clip", "projection_clip"), CLIPS)
@pytest.mark.parametrize("n_sequences", [5, 6])
def test_inference_equals_forward(n_sequences: int, cell_clip: float | None, projection_clip: float | None) -> None:
    lstm = random_lstm(cell_clip, projection_clip)
    x, (hidden, cell) = random_inputs(n_sequences)
    wanted, (wanted_hidden, wanted_cell) = lstm(x, BATCH_SIZES, (hidden, cell))
    with torch.no_grad():
        found, (found_hidden, found_cell) = run_prepared(lstm, x, BATCH_SIZES, (hidden, cell))
    assert_close(found, wanted, 1e-6)
    assert_close(found_hidden, wanted_hidden, 1e-6)
    assert_close(found_cell, wanted_cell, 1e-6)
    # Each clip that is set is reached, and each that is not would have been.
    largest, largest_cell = wanted.abs().max(), wanted_cell[:5].abs().max()
    assert (largest == projection_clip) if projection_clip else (largest > 0.5)
    assert (largest_cell == cell_clip) if cell_clip else (largest_cell > 0.7)


def with_torch_weights(lstm: ProjectedLSTM) -> torch.nn.LSTM:
    """torch's LSTM, which has no clips, with the same weights: its gate order is i, f, j, o, its forget bias stored."""

    def reordered(rows: Tensor) -> Tensor:
        i, j, f, o = rows.chunk(4)
        return torch.cat([i, f, j, o])

    theirs = torch.nn.LSTM(INPUT_DIM, CELL_DIM, proj_size=PROJECTION_DIM).to(lstm.weight.dtype)
    bias = lstm.bias.detach().clone()
    bias[2 * CELL_DIM : 3 * CELL_DIM] += 1
    parameters = {
        "weight_ih_l0": reordered(lstm.weight.detach()[:, :INPUT_DIM]),
        "weight_hh_l0": reordered(lstm.weight.detach()[:, INPUT_DIM:]),
        "bias_ih_l0": reordered(bias),
        "bias_hh_l0": torch.zeros(4 * CELL_DIM),
        "weight_hr_l0": lstm.projection.detach(),
    }
    theirs.load_state_dict(parameters)
    return theirs


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_without_clips_it_is_torchs(dtype: torch.dtype, tolerance: float) -> None:
    lstm = random_lstm(dtype=dtype)
    x, (hidden, cell) = random_inputs(dtype=dtype)
    found, (found_hidden, found_cell) = lstm(x, BATCH_SIZES, (hidden, cell))
    packed = PackedSequence(x, torch.tensor(BATCH_SIZES))
    wanted, (wanted_hidden, wanted_cell) = with_torch_weights(lstm)(packed, (hidden[None], cell[None]))
    assert_close(found, wanted.data, tolerance)
    assert_close(found_hidden, wanted_hidden[0], tolerance)
    assert_close(found_cell, wanted_cell[0], tolerance)


def test_one_step_written_out() -> None:
    lstm = random_lstm(0.7, 0.5)
    x, (h, c) = random_inputs(1)
    found, (found_hidden, found_cell) = lstm(x[:1], [1], (h, c))
    gates = lstm.weight @ torch.cat([x[0], h[0]]) + lstm.bias
    i, j, f, o = gates[:7], gates[7:14], gates[14:21], gates[21:]
    cell = (1 / (1 + torch.exp(-f - 1)) * c[0] + 1 / (1 + torch.exp(-i)) * torch.tanh(j)).clamp(-0.7, 0.7)
    hidden = (lstm.projection @ (1 / (1 + torch.exp(-o)) * torch.tanh(cell))).clamp(-0.5, 0.5)
    assert_close(found_cell[0], cell, 1e-6)
    assert_close(found_hidden[0], hidden, 1e-6)
    assert torch.equal(found[0], found_hidden[0])


def run_forward(lstm: ProjectedLSTM, x: Tensor, batch_sizes: list[int], state: State) -> tuple[Tensor, State]:
    output, new_state = lstm(x, batch_sizes, state)
    return output, new_state


def run_prepared(lstm: ProjectedLSTM, x: Tensor, batch_sizes: list[int], state: State) -> tuple[Tensor, State]:
    state = (state[0].clone(), state[1].clone())
    prepared = InferenceLSTM(lstm, "float32")
    return prepared.run(prepared.input_gates(x), batch_sizes, state, n_rows=batch_sizes[0]), state


Run = Callable[[ProjectedLSTM, Tensor, list[int], State], tuple[Tensor, State]]
both_runs = pytest.mark.parametrize("run", [run_forward, run_prepared])


@both_runs
@torch.no_grad()
def test_each_sequence_runs_as_if_alone_and_its_state_comes_back_in_its_row(run: Run) -> None:
    lstm = random_lstm(0.7, 0.5)
    x, (hidden, cell) = random_inputs(6)
    output, (new_hidden, new_cell) = run(lstm, x, BATCH_SIZES, (hidden, cell))
    starts = [sum(BATCH_SIZES[:step]) for step in range(len(BATCH_SIZES))]
    for row in range(5):
        mine = [start + row for start, size in zip(starts, BATCH_SIZES, strict=True) if size > row]
        alone, (hidden_alone, cell_alone) = run(
            lstm, x[mine], [1] * len(mine), (hidden[row : row + 1], cell[row : row + 1])
        )
        assert_close(output[mine], alone, 1e-6)
        assert_close(new_hidden[row], hidden_alone[0], 1e-6)
        assert_close(new_cell[row], cell_alone[0], 1e-6)
        assert torch.equal(new_hidden[row], output[mine[-1]])
    # The sixth has no rows at all: its state stays.
    assert torch.equal(new_hidden[5], hidden[5])
    assert torch.equal(new_cell[5], cell[5])


@both_runs
@torch.no_grad()
def test_two_runs_that_hand_on_the_state_equal_one(run: Run) -> None:
    lstm = random_lstm(0.7, 0.5)
    x, state = random_inputs()
    wanted, wanted_state = run(lstm, x, BATCH_SIZES, state)
    for steps in range(1, len(BATCH_SIZES)):
        row = sum(BATCH_SIZES[:steps])
        first, between = run(lstm, x[:row], BATCH_SIZES[:steps], state)
        second, last = run(lstm, x[row:], BATCH_SIZES[steps:], between)
        assert_close(torch.cat([first, second]), wanted, 1e-6)
        assert_close(last[0], wanted_state[0], 1e-6)
        assert_close(last[1], wanted_state[1], 1e-6)


def test_forward_leaves_the_state_it_was_given() -> None:
    lstm = random_lstm()
    x, (hidden, cell) = random_inputs()
    kept = hidden.clone(), cell.clone()
    lstm(x, BATCH_SIZES, (hidden, cell))
    assert torch.equal(hidden, kept[0])
    assert torch.equal(cell, kept[1])


@pytest.mark.parametrize(("cell_clip", "projection_clip"), CLIPS)
def test_gradients(cell_clip: float | None, projection_clip: float | None) -> None:
    lstm = random_lstm(cell_clip, projection_clip, dtype=torch.float64)
    sizes = BATCH_SIZES[2:5]
    x, (hidden, cell) = random_inputs(4, dtype=torch.float64)
    names, parameters = zip(*lstm.named_parameters(), strict=True)

    def run(x: Tensor, hidden: Tensor, cell: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        named = dict(zip(names, parameters, strict=True))
        output, state = torch.func.functional_call(lstm, named, (x, sizes, (hidden, cell)))
        return output, *state

    inputs = [tensor.detach().clone().requires_grad_() for tensor in (x[: sum(sizes)], hidden, cell, *parameters)]
    output, _, new_cell = run(*inputs)
    for values, clip in ((output, projection_clip), (new_cell, cell_clip)):
        # Some values are clipped and some are not, so that both kinds of gradient are looked at.
        clipped = (values.abs() == clip).double().mean() if clip else torch.tensor(0.5)
        assert 0.05 < clipped < 0.95
    assert torch.autograd.gradcheck(run, inputs, eps=1e-6, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(("cell_clip", "projection_clip"), CLIPS)
def test_outputs_and_gradients_equal_plain_autograd(
    cell_clip: float | None, projection_clip: float | None, restarts: bool
) -> None:
    lstm = random_lstm(cell_clip, projection_clip, dtype=torch.float64)
    x, (hidden, cell) = random_inputs(6, dtype=torch.float64)
    starts = torch.rand(len(x)) < 0.3 if restarts else None
    found: list[torch.Tensor] = []
    wanted: list[torch.Tensor] = []
    for run, results in ((lstm, found), (partial(plain_lstm, lstm), wanted)):
        lstm.zero_grad()
        inputs = [tensor.clone().requires_grad_() for tensor in (x, hidden, cell)]
        output, (new_hidden, new_cell) = run(inputs[0], BATCH_SIZES, (inputs[1], inputs[2]), starts)
        # Each output weighs differently, so that a gradient that went to the wrong row shows.
        loss = sum((t * torch.linspace(-1, 2, t.numel()).view_as(t)).sum() for t in (output, new_hidden, new_cell))
        loss.backward()
        results += [output, new_hidden, new_cell, *(t.grad for t in inputs), *(p.grad for p in lstm.parameters())]
    for one, other in zip(found, wanted, strict=True):
        assert_close(one, other, 1e-12)


def test_a_start_forgets_what_was_before() -> None:
    lstm = random_lstm()
    x, (hidden, cell) = random_inputs(1)
    starts = torch.zeros(3, dtype=torch.bool)
    starts[1] = True
    output, _ = lstm(x[:3], [1, 1, 1], (hidden, cell), starts)
    alone, _ = lstm(x[1:3], [1, 1], (torch.zeros_like(hidden), torch.zeros_like(cell)))
    assert_close(output[1:], alone, 1e-7)


def test_bfloat16_products_are_near() -> None:
    lstm = random_lstm(0.7, 0.5)
    x, state = random_inputs()
    gradients = []
    for enabled in (False, True):
        lstm.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output, _ = lstm(x, BATCH_SIZES, state)
        assert output.dtype == torch.float32
        output.square().sum().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in lstm.parameters()]))
    exact, rounded = gradients
    error = (exact - rounded).norm() / exact.norm()
    assert 1e-4 < error < 3e-2


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_two_layers_side_by_side_are_each_of_them_alone(n_threads: int, bfloat16: bool) -> None:
    lstms = [random_lstm(0.7, 0.5), random_lstm(0.7, 0.5)]
    with torch.no_grad():
        lstms[1].weight.neg_()
    x, state = random_inputs()
    starts, xs = torch.rand(len(x)) < 0.3, [x.clone().requires_grad_() for _ in range(4)]
    threads = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            together, states = run_side_by_side(lstms, xs[:2], BATCH_SIZES, [state] * 2, starts)
            alone = [lstm(x, BATCH_SIZES, state, starts) for lstm, x in zip(lstms, xs[2:], strict=True)]
        gradients = []
        for outputs in (together, [output for output, _ in alone]):
            torch.autograd.backward(outputs, outputs)
            gradients.append([parameter.grad for lstm in lstms for parameter in lstm.parameters()])
            for lstm in lstms:
                lstm.zero_grad()
    finally:
        torch.set_num_threads(threads)
    for one, after, (wanted, wanted_after) in zip(together, states, alone, strict=True):
        assert torch.equal(one, wanted)
        assert all(map(torch.equal, after, wanted_after))
    for found, wanted in zip(
        [*gradients[0], xs[0].grad, xs[1].grad], [*gradients[1], xs[2].grad, xs[3].grad], strict=True
    ):
        assert torch.equal(found, wanted)


def parameter_gradients(lstm: ProjectedLSTM) -> list[Tensor]:
    return [parameter.grad for parameter in lstm.parameters()]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("forward", [False, True])
def test_gradients_do_not_depend_on_the_autocast_of_who_asks_for_them(forward: bool, n_threads: int) -> None:
    lstms = [random_lstm(0.7, 0.5), random_lstm(0.7, 0.5)]
    x, state = random_inputs()
    threads, gradients = torch.get_num_threads(), []
    torch.set_num_threads(n_threads)
    try:
        for backward in (False, True):
            for lstm in lstms:
                lstm.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=forward):
                outputs, _ = run_side_by_side(lstms, [x, x], BATCH_SIZES, [state] * 2)
            with torch.autocast("cpu", torch.bfloat16, enabled=backward):
                torch.autograd.backward(outputs, outputs)
            gradients.append([gradient for lstm in lstms for gradient in parameter_gradients(lstm)])
    finally:
        torch.set_num_threads(threads)
    for outside, within in zip(*gradients, strict=True):
        assert torch.equal(outside, within)


def test_the_gradient_of_a_bias_is_not_rounded_with_the_products() -> None:
    lstm = random_lstm()
    x, state = random_inputs()
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = lstm(x, BATCH_SIZES, state)
    output.square().sum().backward()
    assert not torch.equal(lstm.bias.grad, lstm.bias.grad.bfloat16().float())


def test_a_state_of_another_type_than_the_rows_is_read_as_what_it_is() -> None:
    lstm = random_lstm()
    x, (hidden, cell) = random_inputs()
    wanted, _ = lstm(x, BATCH_SIZES, (hidden, cell))
    found, _ = lstm(x, BATCH_SIZES, (hidden.double(), cell.double()))
    assert_close(found, wanted, 1e-6)


def test_no_steps_leave_the_state() -> None:
    lstm = random_lstm()
    x, (hidden, cell) = random_inputs()
    output, (new_hidden, new_cell) = lstm(x[:0].requires_grad_(), [], (hidden, cell))
    assert output.shape == (0, PROJECTION_DIM)
    assert torch.equal(new_hidden, hidden)
    assert torch.equal(new_cell, cell)
    (output.sum() + new_hidden.sum()).backward()
    for gradient in parameter_gradients(lstm):
        assert not gradient.any()


def test_a_frozen_parameter_has_no_gradient_computed() -> None:
    lstm = random_lstm()
    lstm.weight.requires_grad_(False)
    x, state = random_inputs()
    output, _ = lstm(x.requires_grad_(), BATCH_SIZES, state)
    computed = list[bool]()
    output.grad_fn.register_hook(lambda gradients, _: computed.extend(one is not None for one in gradients))
    output.sum().backward()
    # Of x, hidden, cell, weight, bias and projection.
    assert computed == [True, True, True, False, True, True]

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spacy_elmo import BiLMConfig
from spacy_elmo.bilm import BiLMState
from spacy_elmo.bilm.characters import boundary_ids, word_ids
from spacy_elmo.language import LanguageModel, Perplexity, score
from spacy_elmo.language.sampler import LogUniformSampler, Negatives
from spacy_elmo.pretraining.objective import Objective
from spacy_elmo.pretraining.randomness import dropout_factors
from spacy_elmo.pretraining.type_ids import type_ids
from spacy_elmo.pretraining.windows import Window, Windows
from tests.conftest import TINY
from tests.corpus.corpora import make_from
from tests.language.models import VOCABULARY, WORDS, random_language_model
from tests.reference.plain_lstm import plain_lstm

N_LANES, UNROLL = 3, 5
CONFIGS = {
    "skips": TINY,
    "one layer": BiLMConfig(**{**TINY.to_dict(), "n_layers": 1}),
    "three layers": BiLMConfig(**{**TINY.to_dict(), "n_layers": 3}),
    "no skips, tight clips": BiLMConfig(
        **{**TINY.to_dict(), "skip_connections": False, "cell_clip": 0.7, "projection_clip": 0.5}
    ),
}
EACH_CONFIG = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def double_objective(config: BiLMConfig = TINY) -> Objective:
    return Objective(random_language_model(config).double())


def random_window(
    n_lanes: int = 3, unroll: int = 5, seed: int = 0, n_classes: int = len(VOCABULARY), max_characters: int = 20
) -> Window:
    """Words, targets and starts of passages anywhere, as no text has them."""
    rng = np.random.default_rng(seed)
    shape = (2, unroll * n_lanes)
    return Window(
        ids=np.concatenate([boundary_ids(max_characters), word_ids(WORDS, max_characters)]),
        inputs=rng.integers(len(WORDS) + 2, size=shape),
        targets=rng.integers(n_classes, size=shape),
        starts=np.arange(shape[1]) % 7 == 4,
    )


def random_state(config: BiLMConfig, dtype: torch.dtype = torch.float64) -> BiLMState:
    torch.manual_seed(7)
    shape = (2, config.n_layers, N_LANES)
    hidden, cell = (torch.randn(*shape, dim, dtype=dtype) / 4 for dim in (config.projection_dim, config.cell_dim))
    return BiLMState(hidden, cell)


def random_keep(objective: Objective, probability: float = 0.4) -> Tensor:
    factors = dropout_factors(0, 0, range(N_LANES), UNROLL, objective.recurrence.masked_size, probability)
    return torch.from_numpy(factors).to(objective.model.softmax.bias.dtype)


def plain_outputs(
    model: LanguageModel, window: Window, state: BiLMState, keep: Tensor | None
) -> Iterator[tuple[Tensor, list[Tensor], list[Tensor]]]:
    """Of each direction: the output, and the new hidden and cell states of the layers."""
    config = model.bilm.config
    width, n_parts = config.projection_dim, config.n_layers + 1
    words = model.bilm.char_cnn(torch.from_numpy(window.ids))
    starts = torch.from_numpy(window.starts)
    layers = (model.bilm.forward_layers, model.bilm.backward_layers)
    for direction in range(2):
        # The factors of each layer's input, and last of the output.
        first = direction * n_parts
        factors = [
            1 if keep is None else keep[:, (first + k) * width : (first + k + 1) * width] for k in range(n_parts)
        ]
        x = words[torch.from_numpy(window.inputs[direction])]
        hidden, cell = [], []
        for k, lstm in enumerate(layers[direction]):
            x = x * factors[k]
            before = state.hidden[direction, k], state.cell[direction, k]
            y, (new_hidden, new_cell) = plain_lstm(lstm, x, [N_LANES] * UNROLL, before, starts)
            x = x + y if k > 0 and config.skip_connections else y
            hidden.append(new_hidden)
            cell.append(new_cell)
        yield x * factors[-1], hidden, cell


def plain_loss(
    model: LanguageModel, window: Window, state: BiLMState, negatives: Negatives | None, keep: Tensor | None
) -> tuple[Tensor, BiLMState]:
    outputs, hidden, cell = zip(*plain_outputs(model, window, state, keep), strict=True)
    targets = torch.from_numpy(window.targets)
    losses = []
    for direction in range(2):
        if negatives is None:
            logits = outputs[direction] @ model.softmax.weight.t() + model.softmax.bias
            losses.append(F.cross_entropy(logits, targets[direction]))
        else:
            losses.append(model.softmax(outputs[direction], targets[direction], negatives))
    new_hidden, new_cell = (torch.stack([torch.stack(part) for part in parts]) for parts in (hidden, cell))
    return (losses[0] + losses[1]) / 2, BiLMState(new_hidden, new_cell)


def gradients(model: LanguageModel, loss: Tensor) -> dict[str, Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


def assert_close(found: Tensor, wanted: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


@EACH_CONFIG
@pytest.mark.parametrize("dropout", [False, True], ids=["whole", "dropout"])
@pytest.mark.parametrize("sampled", [False, True], ids=["exact", "sampled"])
def test_loss_state_and_gradients_equal_the_plain_ones(config: BiLMConfig, dropout: bool, sampled: bool) -> None:
    objective, window = double_objective(config), random_window(N_LANES, UNROLL)
    assert window.starts[N_LANES:].any()
    assert not window.starts.all()
    keep = random_keep(objective) if dropout else None
    negatives = LogUniformSampler(len(VOCABULARY), 5).draw(np.random.default_rng(0)) if sampled else None
    loss, state = objective(window, random_state(config), negatives, keep)
    wanted, wanted_state = plain_loss(objective.model, window, random_state(config), negatives, keep)
    assert_close(loss, wanted)
    assert_close(state.hidden, wanted_state.hidden.detach())
    assert_close(state.cell, wanted_state.cell.detach())
    wanted_gradients = gradients(objective.model, wanted)
    for name, gradient in gradients(objective.model, loss).items():
        assert wanted_gradients[name].abs().max() > 1e-4, name
        assert_close(gradient, wanted_gradients[name])


def test_the_new_state_holds_no_graph_and_the_old_one_stays() -> None:
    objective, state = double_objective(), random_state(TINY)
    hidden, cell = state.hidden.clone(), state.cell.clone()
    _, new = objective(random_window(), state, None, None)
    assert not new.hidden.requires_grad
    assert not new.cell.requires_grad
    assert torch.equal(state.hidden, hidden)
    assert torch.equal(state.cell, cell)


def test_two_windows_are_one_long_window() -> None:
    """But for the gradient, which ends between them."""
    objective, state, long = double_objective(), random_state(TINY), random_window(N_LANES, 2 * UNROLL)
    wanted, wanted_state = objective(long, state, None, None)
    losses = []
    for columns in (slice(0, N_LANES * UNROLL), slice(N_LANES * UNROLL, None)):
        part = Window(long.ids, long.inputs[:, columns], long.targets[:, columns], long.starts[columns])
        loss, state = objective(part, state, None, None)
        losses.append(loss)
    assert_close((losses[0] + losses[1]) / 2, wanted)
    assert_close(state.hidden, wanted_state.hidden)
    assert_close(state.cell, wanted_state.cell)


def test_a_start_forgets_the_state() -> None:
    objective, window = double_objective(), random_window()
    window.starts[:] = False
    forgotten = random_state(TINY)
    forgotten.hidden[:, :, [0, 2]] = 0
    forgotten.cell[:, :, [0, 2]] = 0
    wanted, wanted_state = objective(window, forgotten, None, None)
    window.starts[[0, 2]] = True
    found, state = objective(window, random_state(TINY), None, None)
    assert_close(found, wanted)
    assert_close(state.hidden, wanted_state.hidden)
    assert_close(state.cell, wanted_state.cell)


def test_lanes_do_not_see_each_other() -> None:
    objective, window = double_objective(), random_window()
    _, before = objective(window, random_state(TINY), None, None)
    window.inputs[:, 1::N_LANES] = (window.inputs[:, 1::N_LANES] + 1) % len(window.ids)
    _, after = objective(window, random_state(TINY), None, None)
    assert torch.equal(before.hidden[:, :, [0, 2]], after.hidden[:, :, [0, 2]])
    assert not torch.equal(before.hidden[:, :, 1], after.hidden[:, :, 1])


def test_factors_of_one_are_no_dropout() -> None:
    objective, window = double_objective(), random_window()
    assert objective.recurrence.masked_size == 2 * 3 * TINY.projection_dim
    ones = torch.ones(N_LANES * UNROLL, objective.recurrence.masked_size).double()
    wanted, _ = objective(window, random_state(TINY), None, None)
    found, _ = objective(window, random_state(TINY), None, ones)
    assert torch.equal(found, wanted)


def test_an_output_that_is_all_dropped_predicts_by_the_bias_alone() -> None:
    objective, window = double_objective(), random_window()
    loss, _ = objective(
        window, random_state(TINY), None, torch.zeros(N_LANES * UNROLL, objective.recurrence.masked_size).double()
    )
    targets = torch.from_numpy(window.targets).flatten()
    assert_close(loss, -F.log_softmax(objective.model.softmax.bias, dim=0)[targets].mean())


def test_bfloat16_products_are_near() -> None:
    objective, window = Objective(random_language_model()), random_window()
    state = random_state(TINY, torch.float32)
    keep = random_keep(objective)
    wanted, _ = objective(window, state, None, keep)
    with torch.autocast("cpu", torch.bfloat16):
        found, new = objective(window, state, None, keep)
    assert found.dtype == new.hidden.dtype == new.cell.dtype == torch.float32
    assert found != wanted
    assert_close(found, wanted, 0.03)
    exact = gradients(objective.model, wanted)
    for name, gradient in gradients(objective.model, found).items():
        assert gradient.dtype == torch.float32
        similarity = F.cosine_similarity(gradient.flatten(), exact[name].flatten(), dim=0)
        assert similarity > 0.98, (name, similarity)


def test_a_few_steps_learn_a_window_by_heart() -> None:
    objective, window = Objective(random_language_model()), random_window()
    window.starts[:N_LANES] = True
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.03)
    state = BiLMState.zeros(TINY, N_LANES)
    losses = []
    for _ in range(60):
        loss, _ = objective(window, state, None, None)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 2
    assert losses[-1] < 0.1


def test_the_loss_of_training_is_that_of_the_scores(tmp_path: Path) -> None:
    """Where every passage is a sentence, training reads what scoring reads: one way of counting, two ways there."""
    lines = ["the cat sat on a mat", "a mat sat", "the ocelot", "cat cat cat 日本 cat"]
    corpus = make_from(tmp_path, lines, ["the cat"])
    vocabulary = corpus.vocabulary(2, None)
    assert 3 < len(vocabulary) < len(corpus.words)
    model = random_language_model(vocabulary=vocabulary)
    windows = Windows(
        corpus,
        corpus.classes(vocabulary),
        type_ids(corpus.words, model.bilm),
        seed=0,
        unroll=int(corpus.train.rows.sum()),
        n_lanes=1,
        lanes=range(1),
    )
    loss, _ = Objective(model)(windows.window(0, 0), BiLMState.zeros(TINY, 1), None, None)
    perplexity = Perplexity.of(score(model, [line.split() for line in lines]))
    assert math.exp(float(loss.detach())) == pytest.approx(perplexity.average, rel=1e-4)
    assert perplexity.n_unknown > 0

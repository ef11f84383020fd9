import torch

from spacy_elmo import BiLMConfig, BiLMState

CONFIG = BiLMConfig(projection_dim=3, cell_dim=4, n_layers=2)


def random_state(n_sequences: int) -> BiLMState:
    torch.manual_seed(0)
    return BiLMState(torch.randn(2, 2, n_sequences, 3), torch.randn(2, 2, n_sequences, 4))


def test_zeros() -> None:
    state = BiLMState.zeros(CONFIG, 5)
    assert state.n_sequences == 5
    assert torch.equal(state.hidden, torch.zeros(2, 2, 5, 3))
    assert torch.equal(state.cell, torch.zeros(2, 2, 5, 4))


def test_reorder_puts_the_named_sequence_in_each_place() -> None:
    state = random_state(3)
    order = [2, 0, 1]
    reordered = state.reorder(torch.tensor(order))
    for place, sequence in enumerate(order):
        assert torch.equal(reordered.hidden[:, :, place], state.hidden[:, :, sequence])
        assert torch.equal(reordered.cell[:, :, place], state.cell[:, :, sequence])


def test_reorder_is_undone_by_the_inverse_order() -> None:
    state = random_state(4)
    order = torch.tensor([3, 1, 0, 2])
    again = state.reorder(order).reorder(torch.argsort(order))
    assert torch.equal(again.hidden, state.hidden)
    assert torch.equal(again.cell, state.cell)


def test_reorder_gives_a_copy() -> None:
    state = random_state(2)
    kept = state.hidden.clone(), state.cell.clone()
    copy = state.reorder(torch.tensor([0, 1]))
    copy.hidden.zero_()
    copy.cell.zero_()
    assert torch.equal(state.hidden, kept[0])
    assert torch.equal(state.cell, kept[1])

"""`stateful=True`: what is remembered, for which rows, and how it is forgotten."""

import numpy as np
import pytest
import torch

from spacy_elmo.allennlp import Elmo, ElmoEmbedder, batch_to_ids

from .models import BATCHES, SmallModel
from .test_elmo import close


@pytest.mark.parametrize("requires_grad", [False, True])
def test_rows_go_on_from_the_batch_before(model: SmallModel, requires_grad: bool) -> None:
    """Rows beyond a batch wait with their states; new ones begin with zeros."""
    elmo = Elmo(*model.files, 1, dropout=0, requires_grad=requires_grad, stateful=True)
    states = [model.reference.zero_state() for _ in range(4)]
    for batch in BATCHES:
        part = states[: len(batch)]
        wanted = model.batch(batch, part).mean(axis=0)
        states[: len(batch)] = part
        (found,) = elmo(batch_to_ids(batch))["elmo_representations"]
        close(found, wanted)
    # The last batch is another without its past.
    fresh = model.batch(BATCHES[-1]).mean(axis=0)
    assert np.abs(found.detach().numpy() - fresh).max(axis=(1, 2)).min() > 1e-3


def test_gradients_end_at_the_batch(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1, dropout=0, requires_grad=True, stateful=True)
    for batch in BATCHES[:2]:
        elmo(batch_to_ids(batch))["elmo_representations"][0].sum().backward()
    assert not elmo._elmo_lstm._elmo_lstm.states._state.hidden.requires_grad


def test_states_are_forgotten(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1, dropout=0, stateful=True)
    ids = batch_to_ids(BATCHES[-1])
    first = elmo(ids)["elmo_representations"][0]
    second = elmo(ids)["elmo_representations"][0]
    assert not torch.allclose(first, second, atol=1e-3)
    elmo.reset_states()
    assert torch.equal(elmo(ids)["elmo_representations"][0], first)
    elmo.reset_states(torch.tensor([True, False, True, False]))
    partly = elmo(ids)["elmo_representations"][0]
    assert torch.equal(partly[::2], first[::2])
    assert torch.equal(partly[1::2], second[1::2])
    # By the way that AllenNLP's users know.
    elmo._elmo_lstm._elmo_lstm.reset_states()
    assert torch.equal(elmo(ids)["elmo_representations"][0], first)
    elmo._elmo_lstm._elmo_lstm.stateful = False
    assert torch.equal(elmo(ids)["elmo_representations"][0], first)


def test_a_mask_of_another_length_is_refused(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1, stateful=True)
    elmo.reset_states(torch.tensor([True]))
    elmo(batch_to_ids(BATCHES[0]))
    with pytest.raises(ValueError, match=r"shape \(1,\), but states of 2 rows"):
        elmo.reset_states(torch.tensor([True]))


def test_states_are_no_part_of_the_state_dict(model: SmallModel) -> None:
    elmo = Elmo(*model.files, 1, stateful=True)
    names = list(elmo.state_dict())
    elmo(batch_to_ids(BATCHES[0]))
    assert list(elmo.state_dict()) == names


def test_the_embedder_goes_on_too(model: SmallModel) -> None:
    embedder = ElmoEmbedder(*model.files, stateful=True)
    for _ in range(2):
        states = [model.reference.zero_state() for _ in range(4)]
        for batch in BATCHES:
            found = embedder.embed_batch(batch)
            for row, sentence in enumerate(batch):
                wanted, states[row] = model.reference.embed_stateful(sentence, states[row])
                np.testing.assert_allclose(found[row], wanted, rtol=0, atol=1e-5)
            # No model runs for a batch without words, and nothing changes.
            assert [array.shape for array in embedder.embed_batch([[]])] == [(3, 0, 12)]
        embedder.reset_states()

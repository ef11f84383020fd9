import pytest
import torch

from spacy_elmo import load_bilm
from spacy_elmo.bilm.device import usable
from spacy_elmo.errors import ArgumentError


def test_none_is_a_gpu_where_there_is_one() -> None:
    assert usable(None).type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("device", ["nosuch", "cuda:99"])
def test_a_device_that_is_not_here_is_named_before_anything_is_read(device: str) -> None:
    with pytest.raises(ArgumentError, match=f"device is '{device}', which cannot be used here"):
        load_bilm("en_elmo_sm", device)


def test_one_of_another_machine_needs_but_a_name_that_torch_knows() -> None:
    assert usable("cuda:99", here=False) == torch.device("cuda:99")
    with pytest.raises(ArgumentError, match="device is 'nosuch'"):
        usable("nosuch", here=False)

"""What is written into memory by its address is looked at before, since nobody looks at it later."""

import pytest
import torch
from torch import Tensor

from spacy_elmo.bilm.native import kernel_for
from spacy_elmo.bilm.native.library import VARIABLE
from spacy_elmo.bilm.native.tensors import address, kernel_of

FLOATS = torch.ones(4, 6)
OTHERS = {
    "type": FLOATS.double(),
    "strides": FLOATS.t(),
    "part of rows": FLOATS[:, :3],
    "device": FLOATS.to("meta"),
}


def test_the_address_of_what_fits() -> None:
    assert address(FLOATS, torch.float32) == FLOATS.data_ptr()
    assert address(FLOATS[2], torch.float32) == FLOATS.data_ptr() + 2 * 6 * 4
    assert address(FLOATS.long(), torch.int64)


@pytest.mark.parametrize("tensor", OTHERS.values(), ids=OTHERS.keys())
def test_what_does_not_fit_has_no_address(tensor: Tensor) -> None:
    with pytest.raises(TypeError, match=rf"contiguous torch\.float32 .* not {tensor.dtype} on {tensor.device}"):
        address(tensor, torch.float32)


def test_a_kernel_is_for_float32_in_the_processors_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernel_of(FLOATS, FLOATS.t()) == kernel_for("float32")
    for other in (FLOATS.double(), FLOATS.bfloat16(), FLOATS.to("meta")):
        assert kernel_of(FLOATS, other) is None
    monkeypatch.setenv(VARIABLE, "0")
    assert kernel_of(FLOATS) is None

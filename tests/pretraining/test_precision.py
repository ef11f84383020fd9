import pytest
import torch

from spacy_elmo.bilm.inference import processor
from spacy_elmo.bilm.inference.processor import Processor
from spacy_elmo.pretraining.precision import uses_bfloat16


@pytest.mark.parametrize(
    ("precision", "units", "wanted"),
    [
        ("float32", True, False),
        ("bfloat16", False, True),
        ("auto", True, True),
        ("auto", False, False),
    ],
)
def test_auto_is_bfloat16_where_the_processor_has_units_for_it(
    monkeypatch: pytest.MonkeyPatch, precision: str, units: bool, wanted: bool
) -> None:
    monkeypatch.setattr(processor, "here", lambda: Processor("", "", bfloat16=units, avx512=False, l2_bytes=2**19))
    assert uses_bfloat16(precision, torch.device("cpu")) is wanted

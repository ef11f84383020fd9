"""The same numbers on a GPU, where there is one."""

import numpy as np
import pytest
import spacy
import torch
from thinc.api import prefer_gpu, require_cpu

from spacy_elmo import load_bilm

from .conftest import random_bilm

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
SENTENCES = [["A", "sentence"], [], ["Another", ",", "longer", "one", "."], ["Word"]]


def test_bilm_on_a_gpu() -> None:
    bilm = random_bilm()
    on_cpu = bilm.embed(SENTENCES)
    bilm.to("cuda")
    for expected, found in zip(on_cpu, bilm.embed(SENTENCES), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_default_device_is_the_gpu(tiny_source: str) -> None:
    assert load_bilm(tiny_source).device.type == "cuda"
    assert load_bilm(tiny_source, device="cpu").device.type == "cpu"


def test_pipeline_moves_between_cpu_and_gpu(tiny_source: str) -> None:
    pytest.importorskip("cupy")
    text = "A sentence for both."

    def pipeline() -> spacy.Language:
        nlp = spacy.blank("en")
        nlp.add_pipe("elmo", config={"model": {"source": tiny_source}})
        return nlp

    nlp = pipeline()
    on_cpu = nlp(text)
    assert prefer_gpu()
    try:
        on_gpu = pipeline().from_bytes(nlp.to_bytes())
        doc = on_gpu(text)
        assert isinstance(doc.tensor, np.ndarray)
        np.testing.assert_allclose(doc.tensor, on_cpu.tensor, atol=1e-4)
        data = on_gpu.to_bytes()
    finally:
        require_cpu()
    np.testing.assert_allclose(pipeline().from_bytes(data)(text).tensor, on_cpu.tensor, atol=1e-6)

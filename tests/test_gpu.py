"""The same numbers on a GPU, where there is one."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from thinc.api import prefer_gpu, require_cpu

from spacy_elmo import BiLMState, LanguageModel, load_bilm
from spacy_elmo.bilm.characters import word_ids
from spacy_elmo.language.sampler import LogUniformSampler
from spacy_elmo.pretraining.objective import Objective
from spacy_elmo.pretraining.run import pretrain
from spacy_elmo.pretraining.windows import Window

from .conftest import REPOSITORY, TINY, random_bilm

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


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("dropout", [False, True])
def test_training_on_a_gpu(captured: bool, dropout: bool) -> None:
    """The loss, state and gradients of two steps, sampled and with restarts; the second goes on from the first."""
    rng = np.random.default_rng(0)
    rows, n_lanes, words = 12, 3, [f"word{i}" for i in range(20)]
    window = Window(
        ids=word_ids(words, TINY.max_characters),
        inputs=rng.integers(0, len(words), (2, rows)),
        targets=rng.integers(0, len(words) + 3, (2, rows)),
        starts=rng.random(rows) < 0.3,
    )
    vocabulary = ["<S>", "</S>", "<UNK>", *words]
    negatives = LogUniformSampler(len(vocabulary), 8).draw(rng)
    torch.manual_seed(0)
    on_cpu = Objective(LanguageModel(random_bilm(), vocabulary))
    on_gpu = deepcopy(on_cpu).to("cuda")
    if captured:
        on_gpu.recurrence.capture(n_lanes, rows // n_lanes, dropout)
    wanted_state, state = BiLMState.zeros(TINY, n_lanes), BiLMState.zeros(TINY, n_lanes, on_gpu.model.bilm.device)
    for _ in range(2):
        keep = None
        if dropout:
            keep = torch.from_numpy(rng.integers(0, 2, (rows, on_cpu.recurrence.masked_size)).astype("float32"))
        wanted, wanted_state = on_cpu(window, wanted_state, negatives, keep)
        found, state = on_gpu(window, state, negatives, None if keep is None else keep.to("cuda"))
        torch.testing.assert_close(found.cpu(), wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(state.hidden.cpu(), wanted_state.hidden, atol=1e-5, rtol=0)
        torch.testing.assert_close(state.cell.cpu(), wanted_state.cell, atol=1e-5, rtol=0)
        wanted.backward()
        found.backward()
        for (name, one), other in zip(on_cpu.named_parameters(), on_gpu.parameters(), strict=True):
            assert one.grad is not None
            assert other.grad is not None
            torch.testing.assert_close(other.grad.cpu(), one.grad, atol=1e-4, rtol=0, msg=name)
            one.grad = other.grad = None


def test_a_run_on_a_gpu_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The cat sat on the mat . The dog saw it .\n" * 60, "utf8")
    overrides = {"paths.train": str(text), "training.checkpoints.every_steps": 10, "training.precision": "bfloat16"}
    config = REPOSITORY / "configs" / "pretrain_tiny.cfg"
    model = pretrain(config, tmp_path / "out", {**overrides, "training.max_steps": 20})
    before = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").unlink()
    pretrain(config, tmp_path / "out", {**overrides, "training.max_steps": 20})
    assert (model / "model.safetensors").read_bytes() == before

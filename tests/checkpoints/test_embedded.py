"""The models that come with the package, against the files they were made from."""

import numpy as np
import torch

from spacy_elmo import load_bilm
from tests.conftest import shared

SENTENCES = [
    ["The", "river", "bank", "was", "flooded", "."],
    ["She", "opened", "an", "account", "at", "the", "bank", "."],
    ["naïve"],
]


def test_parameters_are_the_originals_in_float16() -> None:
    original = load_bilm(shared("models", "en_elmo_sm"), device="cpu")
    embedded = load_bilm("en_elmo_sm", device="cpu")
    assert embedded.config == original.config
    found, wanted = embedded.state_dict(), original.state_dict()
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        # 11 significant bits; below 6e-5, where float16 has fewer, an absolute error of half its smallest step.
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=3e-8)


def test_vectors_are_the_originals_but_for_rounding() -> None:
    original = load_bilm(shared("models", "en_elmo_sm"), device="cpu").embed(SENTENCES)
    embedded = load_bilm("en_elmo_sm", device="cpu").embed(SENTENCES)
    for found, wanted in zip(embedded, original, strict=True):
        errors = np.linalg.norm(found - wanted, axis=2) / np.linalg.norm(wanted, axis=2)
        assert errors.max() < 2e-3
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-2)

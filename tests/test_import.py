"""What is loaded when, each in a fresh interpreter."""

import json
import subprocess
import sys

import pytest


def modules_after(code: str) -> set[str]:
    """The modules that an interpreter has loaded when it has run the code."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


HEAVY = {"torch", "spacy", "thinc", "h5py", "numpy", "safetensors", "transformers", "spacy_transformers"}


def test_importing_the_package_loads_nothing_heavy() -> None:
    modules = modules_after("import spacy_elmo; assert spacy_elmo.__version__")
    assert "spacy_elmo" in modules
    assert not modules & HEAVY


def test_an_embedded_model_works_without_spacy_and_h5py() -> None:
    code = """
import spacy_elmo
from spacy_elmo import BiLM, BiLMConfig, BiLMState, CheckpointError, load_bilm, save_bilm
assert BiLM.__module__ == "spacy_elmo.bilm.model"
assert issubclass(CheckpointError, ValueError)
(array,) = load_bilm("en_elmo_sm", device="cpu").embed([["A", "river", "bank"]])
assert array.shape == (3, 3, 256)
"""
    modules = modules_after(code)
    assert {"torch", "spacy_elmo.checkpoints"} <= modules
    assert not modules & {"spacy", "thinc", "h5py"}


def test_all_names_are_there() -> None:
    import spacy_elmo

    assert all(hasattr(spacy_elmo, name) for name in spacy_elmo.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    import spacy_elmo

    with pytest.raises(AttributeError, match="'spacy_elmo' has no attribute 'Elmo'"):
        spacy_elmo.Elmo  # noqa: B018


# When it makes a pipeline, spaCy loads the factories of every plugin, those of spacy-transformers with them; and Thinc
# tries to import h5py. So what our own code needs shows only where spacy-transformers is not known as a plugin, and
# none of these modules can be imported.
WITHOUT_OPTIONAL_MODULES = """
import sys
for name in ("spacy_transformers", "transformers", "h5py"):
    sys.modules[name] = None
from importlib.metadata import EntryPoints, distributions
import catalogue
catalogue.AVAILABLE_ENTRY_POINTS = EntryPoints(
    point
    for distribution in distributions()
    if distribution.metadata["Name"].replace("_", "-") != "spacy-transformers"
    for point in distribution.entry_points
)
"""


def test_a_pipeline_runs_without_transformers_and_h5py() -> None:
    code = """
import spacy
nlp = spacy.blank("en")
nlp.add_pipe("elmo")
doc = nlp("A river bank.")
assert doc.tensor.shape == (4, 256) and abs(doc.tensor).max() > 0.1
"""
    modules = modules_after(WITHOUT_OPTIONAL_MODULES + code)
    assert {"spacy_elmo.pipeline", "spacy_elmo.bilm.inference.engine"} <= modules
    assert not any(name.startswith(("spacy_transformers.", "transformers.", "h5py.")) for name in modules)


def test_a_pipeline_starts_without_torchs_compiler() -> None:
    """Which takes longer to load than all the rest."""
    code = """
import tempfile
import spacy
nlp = spacy.blank("en")
nlp.add_pipe("elmo")
assert nlp("A river bank.").tensor.shape == (4, 256)
with tempfile.TemporaryDirectory() as directory:
    nlp.to_disk(directory)
    nlp = spacy.load(directory)
assert list(nlp.pipe(["A river bank."]))[0].tensor.shape == (4, 256)
"""
    modules = modules_after(WITHOUT_OPTIONAL_MODULES + code)
    assert "torch" in modules
    assert not modules & {"torch._dynamo", "torch._inductor", "sympy"}

"""What a visitor of the repository reads first, and what the tools around it are told."""

import re
import sys
from pathlib import Path

import pytest
import srsly

from spacy_elmo.about import __version__

from .conftest import REPOSITORY

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

README = (REPOSITORY / "README.md").read_text("utf8")
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf8"))
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


def test_the_readme_is_read_in_two_minutes() -> None:
    assert len(README.splitlines()) <= 120


def test_the_readme_states_the_package_s_python() -> None:
    (stated,) = re.findall(r"Python (\d\.\d+) or later", README)
    assert PYPROJECT["project"]["requires-python"] == f">={stated}"


def test_pre_commit_has_the_ruff_that_is_pinned() -> None:
    repos = srsly.read_yaml(REPOSITORY / ".pre-commit-config.yaml")["repos"]
    (rev,) = [repo["rev"] for repo in repos if repo["repo"].endswith("/ruff-pre-commit")]
    assert f"ruff=={rev.removeprefix('v')}" in PYPROJECT["project"]["optional-dependencies"]["dev"]


def test_the_citation_is_of_this_version() -> None:
    assert srsly.read_yaml(REPOSITORY / "CITATION.cff")["version"] == __version__


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_files_that_a_workflow_names_exist(path: Path) -> None:
    named = re.findall(r"\btests/[\w/.]+", path.read_text("utf8"))
    for name in named:
        assert (REPOSITORY / name).exists(), name


def test_the_quick_tests_run_on_every_declared_python() -> None:
    workflow = srsly.read_yaml(REPOSITORY / ".github" / "workflows" / "tests.yml")
    pythons = workflow["jobs"]["quick"]["strategy"]["matrix"]["python"]
    assert f">={pythons[0]}" == PYPROJECT["project"]["requires-python"]
    classifiers = [f"Programming Language :: Python :: {python}" for python in pythons]
    assert set(classifiers) <= set(PYPROJECT["project"]["classifiers"])


def test_universe_s_entry_runs() -> None:
    """The example that spaCy's universe would show."""
    (entry,) = srsly.read_json(REPOSITORY / "universe.json")["resources"]
    exec("\n".join(entry["code_example"]), {})
    assert {"id", "title", "slogan", "description", "pip", "category", "tags"} <= set(entry)

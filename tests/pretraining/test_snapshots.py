import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spacy_elmo.pretraining.errors import RunError
from spacy_elmo.pretraining.snapshots import FACTS_FILE, TENSORS_FILE, Snapshots
from tests.corpus.corpora import contents
from tests.disk.full import full_disk


def tensors_of(step: int, size: int = 50) -> dict[str, Tensor]:
    return {"model.weight": torch.full((size,), float(step)), "state": torch.arange(6).reshape(2, 3).float()}


def facts_of(step: int) -> dict[str, Any]:
    return {"run_state": {"step": step, "best": float("inf")}, "name": "日本"}


def write(snapshots: Snapshots, *steps: int) -> None:
    for step in steps:
        snapshots.write(step, tensors_of(step), facts_of(step))


def assert_whole(snapshots: Snapshots, *steps: int) -> None:
    """Those of these steps are there and right, and nothing else is."""
    assert snapshots.steps() == list(steps)
    assert len(list(snapshots.directory.iterdir())) == len(steps)
    for step in steps:
        tensors, facts = snapshots.read(step)
        assert facts == facts_of(step)
        assert tensors.keys() == tensors_of(step).keys()
        assert all(torch.equal(tensors[name], tensor) for name, tensor in tensors_of(step).items())


def test_before_the_first_there_are_none(tmp_path: Path) -> None:
    assert Snapshots(tmp_path / "not" / "there", 2).steps() == []


def test_what_is_written_is_read_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = {
        "odd numbers": torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e-45]),
        "transposed": torch.randn(4, 3).t(),
        "part": torch.randn(2, 5, 3)[:, 1:3],
        "parameter": torch.nn.Parameter(torch.randn(3)),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "double": torch.randn(2).double(),
    }
    snapshots = Snapshots(tmp_path / "new" / "checkpoints", 2)
    snapshots.write(12, tensors, facts_of(12))
    found, facts = snapshots.read(12)
    assert facts == facts_of(12)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].numpy().tobytes() == tensor.detach().contiguous().numpy().tobytes(), name


@pytest.mark.parametrize(("keep", "kept"), [(1, [1000]), (2, [9, 1000]), (9, [1, 2, 9, 1000])])
def test_the_newest_are_kept(tmp_path: Path, keep: int, kept: list[int]) -> None:
    snapshots = Snapshots(tmp_path, keep)
    write(snapshots, 1, 2, 9, 1000)
    assert_whole(snapshots, *kept)


def test_a_step_is_written_once(tmp_path: Path) -> None:
    """A run that comes by its last snapshot again leaves it alone."""
    snapshots = Snapshots(tmp_path, 2)
    write(snapshots, 5)
    before = contents(tmp_path / "step-000000005")
    snapshots.write(5, {"other": torch.zeros(1)}, {})
    assert contents(tmp_path / "step-000000005") == before


def test_what_a_killed_run_was_writing_is_no_snapshot_and_goes(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, 2)
    write(snapshots, 3)
    for step in (4, 7):
        unfinished = tmp_path / f".step-{step:09}.0123abcd.new"
        unfinished.mkdir()
        (unfinished / TENSORS_FILE).write_bytes(b"half")
    assert snapshots.steps() == [3]
    write(snapshots, 4)
    assert_whole(snapshots, 3, 4)


def damage_nothing_written(path: Path) -> None:
    shutil.rmtree(path)


def damage_no_tensors(path: Path) -> None:
    (path / TENSORS_FILE).unlink()


def damage_half_of_the_tensors(path: Path) -> None:
    file = path / TENSORS_FILE
    file.write_bytes(file.read_bytes()[:-20])


def damage_tensors_of_zeros(path: Path) -> None:
    file = path / TENSORS_FILE
    file.write_bytes(bytes(file.stat().st_size))


def damage_no_facts(path: Path) -> None:
    (path / FACTS_FILE).unlink()


def damage_half_of_the_facts(path: Path) -> None:
    file = path / FACTS_FILE
    file.write_text(file.read_text("utf8")[:-10], encoding="utf8")


def damage_facts_that_are_not_text(path: Path) -> None:
    (path / FACTS_FILE).write_bytes(b"\xff\x00")


def damage_facts_that_say_nothing(path: Path) -> None:
    (path / FACTS_FILE).write_text("{}", encoding="utf8")


def damage_facts_that_are_a_list(path: Path) -> None:
    (path / FACTS_FILE).write_text("[]", encoding="utf8")


def damage_facts_nested_without_end(path: Path) -> None:
    (path / FACTS_FILE).write_text("[" * 100_000, encoding="utf8")


def damage_one_digit_of_the_facts(path: Path) -> None:
    file = path / FACTS_FILE
    file.write_text(file.read_text("utf8").replace('"step": 2', '"step": 3'), encoding="utf8")


def damage_facts_of_another_snapshot(path: Path) -> None:
    shutil.copy(path.with_name("step-000000001") / FACTS_FILE, path)


DAMAGES = [damage for name, damage in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_snapshot_is_named_with_what_to_do(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    snapshots = Snapshots(tmp_path, 2)
    write(snapshots, 1, 2)
    damage(tmp_path / "step-000000002")
    with pytest.raises(RunError, match="is damaged") as error:
        snapshots.read(2)
    assert str(tmp_path / "step-000000002") in str(error.value)
    assert "Remove that directory to go on from the one before it" in str(error.value)
    assert snapshots.read(1)[1] == facts_of(1)


@pytest.mark.parametrize("name", [TENSORS_FILE, FACTS_FILE])
def test_no_bit_flips_unseen(tmp_path: Path, name: str) -> None:
    """Whatever is read is what was written. White space between the facts may differ."""
    snapshots = Snapshots(tmp_path, 2)
    write(snapshots, 2)
    file = tmp_path / "step-000000002" / name
    whole = file.read_bytes()
    messages = []
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        try:
            tensors, facts = snapshots.read(2)
        except RunError as error:
            messages.append(str(error))
        else:
            assert name == FACTS_FILE
            assert facts == facts_of(2)
            assert all(torch.equal(tensors[key], tensor) for key, tensor in tensors_of(2).items())
    assert len(messages) > len(whole) / 6
    assert all(str(file) in message and "is damaged. Remove that directory" in message for message in messages)


@pytest.mark.parametrize("n_bytes", [0, 40, 300])
def test_a_full_disk_leaves_the_snapshots_before(tmp_path: Path, n_bytes: int) -> None:
    snapshots = Snapshots(tmp_path / "checkpoints", 2)
    write(snapshots, 1, 2)
    with full_disk(n_bytes), pytest.raises(RunError, match="Could not write the checkpoint of step 3") as error:
        write(snapshots, 3)
    assert f"The last good one is {tmp_path / 'checkpoints' / 'step-000000002'}." in str(error.value)
    assert snapshots.steps() == [1, 2]
    write(snapshots, 3)
    assert_whole(snapshots, 2, 3)


def test_a_disk_too_full_for_the_facts_alone(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, 2)
    with full_disk(2000), pytest.raises(RunError, match="There is none before it"):
        snapshots.write(3, tensors_of(3), {"long": "x" * 3000})
    assert snapshots.steps() == []
    write(snapshots, 3)
    assert_whole(snapshots, 3)


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints"
    path.write_text("mine", encoding="utf8")
    with pytest.raises(RunError, match="Could not write the checkpoint of step 3") as error:
        write(Snapshots(path, 2), 3)
    assert str(path) in str(error.value)
    assert path.read_text("utf8") == "mine"


def test_facts_are_json_for_people(tmp_path: Path) -> None:
    write(Snapshots(tmp_path, 1), 3)
    text = (tmp_path / "step-000000003" / FACTS_FILE).read_text("utf8")
    assert json.loads(text)["facts"] == facts_of(3)
    assert len(text.splitlines()) > 3

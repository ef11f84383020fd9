from collections.abc import Iterator
from pathlib import Path

import pytest

from spacy_elmo.bilm.inference import processor

CPU_INFO = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\nflags\t\t: fpu\n\nvendor_id\t: other\n"


@pytest.fixture(autouse=True)
def _asked_afresh() -> Iterator[None]:
    processor.here.cache_clear()
    yield
    processor.here.cache_clear()


def test_what_linux_says_of_the_first_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPU_INFO)
    (tmp_path / "size").write_text("1280K\n")
    monkeypatch.setattr(processor, "_CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor, "_L2_SIZE", tmp_path / "size")
    found = processor.here()
    assert (found.vendor, found.model, found.l2_bytes) == ("AuthenticAMD", "AMD EPYC", 1280 * 2**10)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("flags : fpu avx512_bf16 avx512f", True),
        ("flags : amx_bf16", True),
        ("Features : fp asimd bf16", True),
        ("flags : avx512f", False),
        ("model name : bf16", False),
    ],
)
def test_units_for_bfloat16(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, wanted: bool) -> None:
    (tmp_path / "cpuinfo").write_text(line + "\n")
    monkeypatch.setattr(processor, "_CPU_INFO", tmp_path / "cpuinfo")
    assert processor.here().bfloat16 is wanted


@pytest.mark.parametrize("size", [None, "", "large", "K", "2M\n"])
def test_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: str | None) -> None:
    if size is not None:
        (tmp_path / "size").write_text(size)
    monkeypatch.setattr(processor, "_CPU_INFO", tmp_path / "nothing")
    monkeypatch.setattr(processor, "_L2_SIZE", tmp_path / "size")
    found = processor.here()
    assert (found.vendor, found.model, found.l2_bytes) == ("", "", processor.L2_BYTES)

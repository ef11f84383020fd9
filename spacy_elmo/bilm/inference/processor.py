"""What is known of the processor at hand, for rules that choose by it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

# Of a processor that does not tell: what most have at least.
L2_BYTES = 512 * 2**10

# As Linux names them, on x86 and on ARM.
_BFLOAT16 = {"amx_bf16", "avx512_bf16", "bf16"}

_L2_SIZE = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Processor:
    """A kind of processor.

    Attributes:
        vendor: As it names itself, such as "GenuineIntel" or "AuthenticAMD"; empty where the system does not say.
        model: Its name, likewise.
        bfloat16: Whether it has units for products of bfloat16 numbers, as far as the system says.
        avx512: Whether torch computes with AVX-512.
        l2_bytes: Size of a core's second-level cache.
    """

    vendor: str
    model: str
    bfloat16: bool
    avx512: bool
    l2_bytes: int


@cache
def here() -> Processor:
    """The one that runs this process."""
    avx512 = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    facts = dict(_facts_of(_read(_CPU_INFO)))
    bfloat16 = bool(_BFLOAT16 & set(f"{facts.get('flags', '')} {facts.get('Features', '')}".split()))
    return Processor(facts.get("vendor_id", ""), facts.get("model name", ""), bfloat16, avx512, _bytes(_read(_L2_SIZE)))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf8")
    except OSError:  # no Linux, or one that does not say
        return ""


def _facts_of(cpu_info: str) -> list[tuple[str, str]]:
    pairs = (line.partition(":") for line in cpu_info.partition("\n\n")[0].splitlines())
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _bytes(size: str) -> int:
    """Of a text such as "2048K"."""
    number, unit = size.strip()[:-1], size.strip()[-1:]
    return int(number) * 2**10 if number.isdigit() and unit == "K" else L2_BYTES

"""The memory of this process, as Linux counts it."""

from pathlib import Path


def memory(field: str) -> int:
    """A line of /proc/self/status, in bytes: "VmRSS" for what is taken now, "VmHWM" for its peak."""
    lines = Path("/proc/self/status").read_text("utf8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def reset_peak() -> None:
    """Have the peak of this process's memory counted from now on."""
    Path("/proc/self/clear_refs").write_text("5", "utf8")

"""Make the training configs in `configs/` anew: each by the command that its own comment says.

    python -m experiments.configs

To be run when `spacy_elmo/recipes/` has changed: what is chosen there stands in all of them.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

CONFIGS = Path(__file__).parent.parent / "configs"
MADE_BY = re.compile(r"^# Made by: python (-m spacy elmo init-config .*)$", re.MULTILINE)


def command_of(config: Path) -> list[str] | None:
    """The words after `python` of the command that made a config; None for one that was written by hand."""
    found = MADE_BY.search(config.read_text("utf8"))
    return shlex.split(found[1]) if found else None


def main() -> None:
    for config in sorted(CONFIGS.glob("*.cfg")):
        if command := command_of(config):
            subprocess.run([sys.executable, *command, "--force"], check=True, cwd=CONFIGS.parent)


if __name__ == "__main__":
    main()

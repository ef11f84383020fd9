"""What pyproject.toml cannot say: the configs lie beside the package here, and in it where it is installed."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONFIGS = Path("configs")


class BuildWithConfigs(build_py):
    """Copies the configs into the package."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "spacy_elmo", CONFIGS)
            self.mkpath(str(target))
            for config in sorted(CONFIGS.glob("*.cfg")):
                self.copy_file(str(config), str(target))


setup(cmdclass={"build_py": BuildWithConfigs})

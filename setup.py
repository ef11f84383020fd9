"""What pyproject.toml cannot say.

The configs lie beside the package here, and in it where it is installed. And there is a library in C++, which is built
where there is a compiler for it, GCC or Clang, and done without elsewhere. It uses nothing of Python's, so one build
serves all versions; it is called an extension so that it is built and installed like one.
"""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

CONFIGS = Path("configs")
NATIVE = Path("spacy_elmo/bilm/native")


class BuildWithConfigs(build_py):
    """Copies the configs into the package."""

    def run(self) -> None:
        """Build as setuptools does, then copy."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "spacy_elmo", CONFIGS)
            self.mkpath(str(target))
            for config in sorted(CONFIGS.glob("*.cfg")):
                self.copy_file(str(config), str(target))


kernel = Extension(
    "spacy_elmo.bilm.native._kernel",
    sources=sorted(str(path) for path in NATIVE.glob("*.cpp")),
    depends=sorted(str(path) for pattern in ("*.hpp", "*.inc") for path in NATIVE.glob(pattern)),
    language="c++",
    extra_compile_args=["-std=gnu++17", "-O3", "-g0", "-fvisibility=hidden", "-pthread"],
    extra_link_args=["-pthread"],
    py_limited_api=True,
    optional=True,
)

setup(
    cmdclass={"build_py": BuildWithConfigs},
    ext_modules=[kernel],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)

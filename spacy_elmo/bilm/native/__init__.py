"""The layers of a biLM in C++, where the package was built with a compiler.

`layer.inc` is the computation, compiled once for each set of instructions (`plain.cpp` to `amx.cpp`); `pool.cpp` are
its threads; `api.cpp` is what Python calls, in `library`, which finds the library and chooses what suits the processor.
"""

from .library import NativeError, NativeKernel, explain, kernel_for, kernels

__all__ = ["NativeError", "NativeKernel", "explain", "kernel_for", "kernels"]

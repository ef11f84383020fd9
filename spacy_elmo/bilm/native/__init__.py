"""What costs most in C++, where the package was built with a compiler.

`layer.inc` are a biLM's layers in inference, `training.inc` what training computes beside products of torch's. Both are
compiled once for each set of instructions (`plain.cpp` to `amx.cpp`). `pool.cpp` are the library's threads; `api.cpp`
is what Python calls, in `library`, which finds the library and chooses what suits the processor; `tensors` gives the
addresses of what it computes with.
"""

from .library import NativeError, NativeKernel, explain, kernel_for, kernels

__all__ = ["NativeError", "NativeKernel", "explain", "kernel_for", "kernels"]

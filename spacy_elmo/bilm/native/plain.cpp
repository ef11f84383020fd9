// With what every processor of an architecture has: SSE2 on x86-64, NEON on ARM. The measure of the other kernels.
#include "target.hpp"

#define LANES 4
#ifdef __aarch64__
#define ROWS 6
#define COLUMNS 16
#else
#define ROWS 4
#define COLUMNS 8
#endif

namespace {
#include "layer.inc"
#include "training.inc"

bool always() { return true; }
}  // namespace

const Kernel plain_kernels[2] = {
    float32_kernel("plain", always),
    kernel<Multiply<uint16_t>>("plain", "bfloat16", always),
};

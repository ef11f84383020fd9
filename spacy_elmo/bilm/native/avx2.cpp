// AVX2 with fused multiplication and addition: Intel since Haswell (2013), AMD since Zen (2017).
#include "target.hpp"

#ifdef X86
#define LANES 8
#define ROWS 6
#define COLUMNS 16
BEGIN_TARGET("avx2,fma")
namespace {
#include "layer.inc"
#include "training.inc"
}
END_TARGET

const Kernel avx2_kernels[2] = {
    float32_kernel("avx2", has_avx2),
    kernel<Multiply<uint16_t>>("avx2", "bfloat16", has_avx2),
};
#else
const Kernel avx2_kernels[2] = {};
#endif

// AVX-512: Intel's servers since Skylake (2017), AMD since Zen 4 (2022).
#include "target.hpp"

#ifdef X86
#define LANES 16
#define ROWS 6
#define COLUMNS 64
BEGIN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
namespace {
#include "layer.inc"
#include "training.inc"
}
END_TARGET

const Kernel avx512_kernels[2] = {
    float32_kernel("avx512", has_avx512),
    kernel<Multiply<uint16_t>>("avx512", "bfloat16", has_avx512),
};
#else
const Kernel avx512_kernels[2] = {};
#endif

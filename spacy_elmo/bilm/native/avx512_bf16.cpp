// AVX-512 with products of bfloat16 pairs: AMD since Zen 4, Intel's Cooper Lake and since Sapphire Rapids.
#include "target.hpp"

#if defined(X86) && __has_include(<avx512bf16intrin.h>)
#define LANES 16
#define ROWS 6
#define COLUMNS 64
BEGIN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")
namespace {
#include "layer.inc"
#include "pairs.inc"

struct MultiplyPairs : Pairs {
    static constexpr int64_t TILE_ROWS = ROWS;

    static void begin() {}
    static void end() {}

    template <int N = ROWS>
    static void multiply(
        int64_t rows, const uint16_t* x, int64_t stride, const uint16_t* panel, int64_t n_inputs, float* sums
    ) {
        if constexpr (N > 1) {
            if (rows < N) return multiply<N - 1>(rows, x, stride, panel, n_inputs, sums);
        }
        __m512 sum[N][4] = {};
        for (int64_t k = 0; k < n_inputs; k += 2) {
            const uint16_t* weights = panel + k / TILE_INPUTS * 4 * TILE + k % TILE_INPUTS * TILE_OUTPUTS;
            __m512i weight[4];
#pragma GCC unroll 4
            for (int c = 0; c < 4; c++) weight[c] = _mm512_loadu_si512(weights + c * TILE);
#pragma GCC unroll 8
            for (int r = 0; r < N; r++) {
                const __m512i pair = _mm512_set1_epi32(load<int32_t>(x + r * stride + k));
#pragma GCC unroll 4
                for (int c = 0; c < 4; c++) sum[r][c] = _mm512_dpbf16_ps(sum[r][c], (__m512bh)pair, (__m512bh)weight[c]);
            }
        }
        for (int r = 0; r < N; r++) {
            for (int c = 0; c < 4; c++) _mm512_storeu_ps(sums + r * PANEL + c * TILE_OUTPUTS, sum[r][c]);
        }
    }
};
}  // namespace
END_TARGET

const Kernel avx512_bf16_kernel = kernel<MultiplyPairs>("avx512_bf16", "bfloat16", has_avx512_bf16);
#else
const Kernel avx512_bf16_kernel = {};
#endif

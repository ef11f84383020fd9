// AMX: Intel's servers since Sapphire Rapids (2023) multiply whole tiles of bfloat16 numbers.
#include "target.hpp"

#if defined(X86) && defined(__linux__) && __has_include(<amxbf16intrin.h>)
#define LANES 16
#define ROWS 6
#define COLUMNS 64
BEGIN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,amx-tile,amx-bf16")
namespace {
#include "layer.inc"
#include "pairs.inc"

struct MultiplyTiles : Pairs {
    static constexpr int64_t TILE_ROWS = 16;

    // Each of the eight tiles has 16 rows of 64 bytes.
    static void begin() {
        struct {
            uint8_t palette = 1, start = 0, reserved[14] = {};
            uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } config;
        memory_is_written();
        _tile_loadconfig(&config);
    }
    static void end() { _tile_release(); }

    // GCC does not know that loading a tile reads memory: without this, it might be written only after that.
    static void memory_is_written() { asm volatile("" ::: "memory"); }

    // All 16 rows are computed, and those behind the last one forgotten: reading the weights takes longer.
    static void multiply(
        int64_t, const uint16_t* x, int64_t stride, const uint16_t* panel, int64_t n_inputs, float* sums
    ) {
        memory_is_written();
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (int64_t k = 0; k < n_inputs; k += TILE_INPUTS, panel += 4 * TILE) {
            _tile_loadd(4, x + k, stride * 2);
            _tile_loadd(5, panel, 64);
            _tile_dpbf16ps(0, 4, 5);
            _tile_loadd(6, panel + TILE, 64);
            _tile_dpbf16ps(1, 4, 6);
            _tile_loadd(5, panel + 2 * TILE, 64);
            _tile_dpbf16ps(2, 4, 5);
            _tile_loadd(6, panel + 3 * TILE, 64);
            _tile_dpbf16ps(3, 4, 6);
        }
        _tile_stored(0, sums, 4 * PANEL);
        _tile_stored(1, sums + TILE_OUTPUTS, 4 * PANEL);
        _tile_stored(2, sums + 2 * TILE_OUTPUTS, 4 * PANEL);
        _tile_stored(3, sums + 3 * TILE_OUTPUTS, 4 * PANEL);
    }
};
}  // namespace
END_TARGET

const Kernel amx_kernel = kernel<MultiplyTiles>("amx", "bfloat16", has_amx);
#else
const Kernel amx_kernel = {};
#endif

// What Python calls, by ctypes: no part of Python's or torch's own interface, so that one build serves all versions.
#include <atomic>

#include "kernel.hpp"

#define PUBLIC extern "C" __attribute__((visibility("default")))

namespace {
// The later ones are faster.
const Kernel* const KERNELS[] = {
    &plain_kernels[0], &plain_kernels[1],   &avx2_kernels[0], &avx2_kernels[1],
    &avx512_kernels[0], &avx512_kernels[1], &avx512_bf16_kernel, &amx_kernel,
};

struct Call {
    const Kernel* kernel;
    const Batch* batch;
    const Direction* directions;
    std::atomic<bool> enough_memory{true};
};

void run_one(void* context, int64_t task) {
    Call& call = *static_cast<Call*>(context);
    if (!call.kernel->run(*call.batch, call.directions[task % 2], task / 2)) call.enough_memory = false;
}

// Rows of a linear layer that are worth a thread.
constexpr int64_t BLOCK_ROWS = 64;

struct LinearCall {
    const Kernel* kernel;
    const Linear* linear;
    int64_t n_rows;
};

void multiply_block(void* context, int64_t block) {
    const LinearCall& call = *static_cast<LinearCall*>(context);
    const int64_t first = block * BLOCK_ROWS, rows = call.n_rows - first;
    call.kernel->multiply_add(*call.linear, first, rows < BLOCK_ROWS ? rows : BLOCK_ROWS);
}

// Rows of a step in training that are worth a thread.
constexpr int64_t STEP_ROWS = 32;

struct CellsCall {
    void (*function)(const Cells&, int64_t);
    const Cells* cells;
    int64_t n_rows;
};

void run_rows(void* context, int64_t block) {
    const CellsCall& call = *static_cast<CellsCall*>(context);
    for (int64_t row = block * STEP_ROWS; row < call.n_rows && row < (block + 1) * STEP_ROWS; row++) {
        call.function(*call.cells, row);
    }
}
}  // namespace

// Of the structs that Python mirrors, in the order of kernel.hpp.
PUBLIC const int64_t* elmo_sizes() {
    static const int64_t sizes[] = {
        sizeof(Layer), sizeof(Batch), sizeof(Direction), sizeof(Linear), sizeof(Cells), sizeof(Scores), sizeof(Convolution),
    };
    return sizes;
}

PUBLIC int64_t elmo_n_kernels() { return sizeof KERNELS / sizeof *KERNELS; }

PUBLIC const char* elmo_kernel_name(int64_t kernel) { return KERNELS[kernel]->name; }

PUBLIC const char* elmo_kernel_precision(int64_t kernel) { return KERNELS[kernel]->precision; }

PUBLIC bool elmo_kernel_available(int64_t kernel) {
    return KERNELS[kernel]->available && KERNELS[kernel]->available();
}

PUBLIC int64_t elmo_packed_bytes(int64_t kernel, bool gates, int64_t n_outputs, int64_t n_inputs) {
    // Each of the four gates is padded by itself.
    return gates ? 4 * KERNELS[kernel]->packed_bytes(n_outputs / 4, n_inputs)
                 : KERNELS[kernel]->packed_bytes(n_outputs, n_inputs);
}

PUBLIC void elmo_pack(
    int64_t kernel, const float* weight, int64_t n_outputs, int64_t n_inputs, int64_t stride, bool gates, char* packed
) {
    KERNELS[kernel]->pack(weight, n_outputs, n_inputs, stride, gates, packed);
}

// Both directions of a batch. False where there is not enough memory.
PUBLIC bool elmo_run(int64_t kernel, const Batch* batch, const Direction* directions, int64_t n_threads) {
    Call call{KERNELS[kernel], batch, directions};
    run_tasks(run_one, &call, 2 * batch->n_groups, n_threads);
    return call.enough_memory;
}

PUBLIC void elmo_multiply_add(int64_t kernel, const Linear* linear, int64_t n_rows, int64_t n_threads) {
    LinearCall call{KERNELS[kernel], linear, n_rows};
    run_tasks(multiply_block, &call, (n_rows + BLOCK_ROWS - 1) / BLOCK_ROWS, n_threads);
}

PUBLIC void elmo_cells(int64_t kernel, bool backward, const Cells* cells, int64_t n_rows, int64_t n_threads) {
    const Kernel& chosen = *KERNELS[kernel];
    CellsCall call{backward ? chosen.cells_backward : chosen.cells_forward, cells, n_rows};
    run_tasks(run_rows, &call, (n_rows + STEP_ROWS - 1) / STEP_ROWS, n_threads);
}

PUBLIC void elmo_scores(int64_t kernel, const Scores* scores, int64_t n_rows) {
    for (int64_t row = 0; row < n_rows; row++) KERNELS[kernel]->scores(*scores, row);
}

PUBLIC void elmo_convolve(int64_t kernel, bool backward, const Convolution* convolution, int64_t n_words) {
    const auto run = backward ? KERNELS[kernel]->convolve_backward : KERNELS[kernel]->convolve;
    for (int64_t word = 0; word < n_words; word++) run(*convolution, word);
}

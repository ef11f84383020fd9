// What the parts of the library know of each other, and Python of it (native/library.py mirrors the structs).
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

// Numbers that are computed together: a panel of a weight is this many of its outputs. Every width is padded to it.
constexpr int64_t PANEL = 64;

constexpr int64_t padded(int64_t n) { return (n + PANEL - 1) / PANEL * PANEL; }

// A layer of one direction, its weights as `Kernel::pack` lays them out.
struct Layer {
    const char* input;       // (4 * cell_dim, width), gates
    const char* state;       // (4 * cell_dim, width), gates
    const char* projection;  // (width, cell_dim)
    const float* bias;       // (4 * cell_dim,) in the order of the gates: i, j, f, o
};

// Sequences packed as `packing.py` says, and what both directions have in common.
struct Batch {
    int64_t n_layers, width, cell_dim;
    int64_t skip_connections;
    float cell_clip, projection_clip;
    const float* words;  // (n_words, width)
    int64_t n_words;
    const int64_t* sizes;  // (n_steps,), sequences alive at each step, never increasing
    int64_t n_steps;
    int64_t output_layer_stride, output_row_stride;  // in numbers
    int64_t chunk_rows;                              // that go through all layers together
    int64_t n_groups;                                // that the sequences are dealt out to, one by one
    // (n_layers + 1,): which layers are added up in the only one of the output; null where the output has them all.
    const uint8_t* summed;
};

struct Direction {
    const Layer* layers;
    const int64_t* types;   // the row of `words` of each packed row
    const int64_t* places;  // its row in the output
    float* hidden;          // (n_layers, sizes[0], width): the state before, and then after
    float* cell;            // (n_layers, sizes[0], cell_dim)
    float* output;          // (n_layers + 1 or 1, ..., width), strided
};

// A linear layer of the word encoder, its weight as `Kernel::pack` lays it out.
struct Linear {
    const float* x;  // (n_rows, n_inputs)
    const char* weight;
    const float* bias;  // (n_outputs,)
    float* y;           // (n_rows, n_outputs)
    int64_t n_inputs, n_outputs;
};

// A step of a layer in training, all (n_rows, cell_dim), or four times as wide for gates: i, j, f, o.
struct Cells {
    void* products;     // forward: the gates' arguments without the bias; backward: the gradient of `exposed`
    const float* bias;  // (4 * cell_dim,), or null for none
    float* gates;
    const float* before;  // the cells of the step before
    float* cells;         // after this one
    float* squashed;  // tanh of these
    void* exposed;    // what the output gate lets through
    void* d_gates;
    float* d_cells;     // backward: the gradient of the cells after, and then before
    const float* keep;  // (n_rows,) 0 where a sequence starts anew, else 1; or null
    int64_t cell_dim;
    float clip;
    int64_t is_half;  // whether what void* points to, which is factors and products, is bfloat16; else float32
};

// Rows of scores in training: the softmax of a row's own class and of all others, and what goes back.
struct Scores {
    void* logits;    // (n_rows, n_classes): products, without the bias; and then their gradient. bfloat16, or float32
    int64_t is_half;
    const float* bias;         // (n_classes,)
    const int64_t* hits;       // (n_rows,) the class that is left out of the row's sum, -1 for none
    const float* true_logits;  // (n_rows,)
    float* d_true;             // (n_rows,)
    float* losses;             // (n_rows,)
    float* d_bias;             // (n_classes,), to which it is added
    float* memory;             // (padded(n_classes),)
    int64_t n_classes;
};

// The filters of one width over the characters of words.
struct Convolution {
    const int64_t* ids;      // (n_words, max_characters)
    const int64_t* lengths;  // (n_words,) characters before the padding
    const float* embedding;  // (n_characters, dim)
    const float* weight;     // forward: [panel][width * dim][PANEL], backward: (count, width * dim)
    const float* bias;       // (count,)
    float* maxima;           // (n_words, n_filters), this convolution's from `first_filter` on; backward: their gradient
    int32_t* places;         // the same: the windows they come from
    float* d_embedding;      // backward adds to these three
    float* d_weight;         // (count, width * dim)
    float* d_bias;
    float* characters;    // memory for those of a word, (max_characters, dim)
    float* d_characters;  // the same, backward
    int64_t max_characters, dim, width, count, n_filters, first_filter;
};

// One way to compute, for one kind of processor.
struct Kernel {
    const char* name;
    const char* precision;
    bool (*available)();
    // Of a weight (n_outputs, n_inputs) of which the rows lie `stride` apart. Where it has gates, (4 * cell_dim,
    // n_inputs), a panel is the four gates of 16 cells.
    int64_t (*packed_bytes)(int64_t n_outputs, int64_t n_inputs);
    void (*pack)(const float* weight, int64_t n_outputs, int64_t n_inputs, int64_t stride, bool gates, char* packed);
    // The sequences of one group in one direction. False where there is no memory.
    bool (*run)(const Batch& batch, const Direction& direction, int64_t group);
    // The float32 kernels alone have these: some rows of a linear layer, and a row of a step in training.
    void (*multiply_add)(const Linear& linear, int64_t first_row, int64_t n_rows);
    void (*cells_forward)(const Cells& cells, int64_t row);
    void (*cells_backward)(const Cells& cells, int64_t row);
    void (*scores)(const Scores& scores, int64_t row);
    void (*convolve)(const Convolution& convolution, int64_t word);
    void (*convolve_backward)(const Convolution& convolution, int64_t word);
};

// Each file of kernels gives its own; where the compiler does not know the instructions, none is available.
extern const Kernel plain_kernels[2], avx2_kernels[2], avx512_kernels[2], avx512_bf16_kernel, amx_kernel;

// What cpu.cpp finds out about the processor.
bool has_avx2();
bool has_avx512();
bool has_avx512_bf16();
bool has_amx();

// Calls task(context, i) for each i below n_tasks on up to n_threads threads, of which the caller is one.
void run_tasks(void (*task)(void*, int64_t), void* context, int64_t n_tasks, int64_t n_threads);

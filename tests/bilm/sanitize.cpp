// Runs every kernel that the processor has on random batches, several at once, for the sanitizers: see .ci/sanitize. All
// memory is as large as it has to be and no larger. Numbers are compared between kernels only to be sure that all ran;
// that they are right, test_native.py holds.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "../../spacy_elmo/bilm/native/kernel.hpp"

extern "C" {
int64_t elmo_n_kernels();
const char* elmo_kernel_name(int64_t kernel);
bool elmo_kernel_available(int64_t kernel);
int64_t elmo_packed_bytes(int64_t kernel, bool gates, int64_t n_outputs, int64_t n_inputs);
void elmo_pack(int64_t kernel, const float*, int64_t n_outputs, int64_t n_inputs, int64_t stride, bool gates, char*);
bool elmo_run(int64_t kernel, const Batch*, const Direction*, int64_t n_threads);
void elmo_multiply_add(int64_t kernel, const Linear*, int64_t n_rows, int64_t n_threads);
void elmo_cells(int64_t kernel, bool backward, const Cells*, int64_t n_rows, int64_t n_threads);
void elmo_scores(int64_t kernel, const Scores*, int64_t n_rows);
void elmo_convolve(int64_t kernel, bool backward, const Convolution*, int64_t n_words);
}

namespace {
using Numbers = std::vector<float>;

struct Free {
    void operator()(char* memory) const { std::free(memory); }
};
using Packed = std::unique_ptr<char, Free>;

struct Random {
    std::mt19937 engine;

    int64_t upto(int64_t n) { return std::uniform_int_distribution<int64_t>(1, n)(engine); }
    Numbers numbers(int64_t n) {
        std::normal_distribution<float> normal(0, 0.3f);
        Numbers found(n);
        for (float& x : found) x = normal(engine);
        return found;
    }
};

Packed pack(int64_t kernel, const Numbers& weight, int64_t n_outputs, int64_t n_inputs, bool gates) {
    Packed packed(static_cast<char*>(std::aligned_alloc(64, elmo_packed_bytes(kernel, gates, n_outputs, n_inputs))));
    elmo_pack(kernel, weight.data(), n_outputs, n_inputs, n_inputs, gates, packed.get());
    return packed;
}

// The sum of all numbers of a random batch's layers.
double run(int64_t kernel, unsigned seed) {
    Random random{std::mt19937(seed)};
    const int64_t n_layers = random.upto(3), width = random.upto(140), cell_dim = random.upto(70), n_words = 5;
    std::vector<int64_t> sizes(random.upto(7));
    for (int64_t& size : sizes) size = random.upto(40);
    std::sort(sizes.rbegin(), sizes.rend());
    const int64_t n_rows = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
    std::vector<int64_t> types(n_rows), places(n_rows);
    for (int64_t& type : types) type = random.upto(n_words) - 1;
    std::iota(places.begin(), places.end(), 0);
    const Numbers words = random.numbers(n_words * width);
    Numbers output((n_layers + 1) * n_rows * 2 * width);
    std::vector<uint8_t> summed(n_layers + 1, 1);
    summed[0] = seed % 3 == 0;
    const Batch batch{n_layers, width, cell_dim, 1, 3.0f, 3.0f, words.data(), n_words, sizes.data(),
                      static_cast<int64_t>(sizes.size()), n_rows * 2 * width, 2 * width, random.upto(50), random.upto(4),
                      seed % 2 ? summed.data() : nullptr};
    std::vector<Packed> packed;
    Numbers bias = random.numbers(4 * cell_dim), hidden[2], cell[2];
    std::vector<Layer> layers[2];
    std::vector<Direction> directions;
    for (int i = 0; i < 2; i++) {
        for (int64_t layer = 0; layer < n_layers; layer++) {
            packed.push_back(pack(kernel, random.numbers(4 * cell_dim * width), 4 * cell_dim, width, true));
            packed.push_back(pack(kernel, random.numbers(4 * cell_dim * width), 4 * cell_dim, width, true));
            packed.push_back(pack(kernel, random.numbers(width * cell_dim), width, cell_dim, false));
            const auto last = packed.end();
            layers[i].push_back({last[-3].get(), last[-2].get(), last[-1].get(), bias.data()});
        }
        hidden[i] = random.numbers(n_layers * sizes[0] * width);
        cell[i] = random.numbers(n_layers * sizes[0] * cell_dim);
        directions.push_back({layers[i].data(), types.data(), places.data(), hidden[i].data(), cell[i].data(),
                              output.data() + i * width});
    }
    if (!elmo_run(kernel, &batch, directions.data(), random.upto(4))) std::abort();
    return std::accumulate(output.begin(), output.end(), 0.0);
}

void multiply_add(int64_t kernel, unsigned seed) {
    Random random{std::mt19937(seed)};
    const int64_t n_rows = random.upto(150), n_inputs = random.upto(300), n_outputs = random.upto(140);
    const Packed weight = pack(kernel, random.numbers(n_inputs * n_outputs), n_outputs, n_inputs, false);
    const Numbers x = random.numbers(n_rows * n_inputs), bias = random.numbers(n_outputs);
    Numbers y(n_rows * n_outputs);
    const Linear linear{x.data(), weight.get(), bias.data(), y.data(), n_inputs, n_outputs};
    elmo_multiply_add(kernel, &linear, n_rows, random.upto(4));
}

void cells(int64_t kernel, unsigned seed) {
    Random random{std::mt19937(seed)};
    const int64_t n_rows = random.upto(100), cell_dim = random.upto(70), n = n_rows * cell_dim;
    const bool is_half = seed % 3 == 0;
    Numbers gates(4 * n), before = random.numbers(n), state(n), squashed(n), d_cells = random.numbers(n), keep(n_rows, 1.0f),
            bias = random.numbers(4 * cell_dim);
    std::vector<char> products(n * (is_half ? 8 : 16)), exposed(n * (is_half ? 2 : 4)), d_gates(n * (is_half ? 8 : 16));
    const Cells all{products.data(), bias.data(), gates.data(), before.data(), state.data(), squashed.data(), exposed.data(),
                    d_gates.data(), d_cells.data(), seed % 2 ? keep.data() : nullptr, cell_dim, 3.0f, is_half};
    for (bool backward : {false, true}) elmo_cells(kernel, backward, &all, n_rows, random.upto(4));
}

void scores(int64_t kernel, unsigned seed) {
    Random random{std::mt19937(seed)};
    const int64_t n_rows = random.upto(5), n_classes = random.upto(200), is_half = seed % 2;
    std::vector<uint16_t> halves(n_rows * n_classes);
    Numbers logits = random.numbers(is_half ? 0 : n_rows * n_classes), bias = random.numbers(n_classes),
            own = random.numbers(n_rows), d_true(n_rows), losses(n_rows), d_bias(n_classes), memory(padded(n_classes));
    std::vector<int64_t> hits(n_rows);
    for (int64_t& hit : hits) hit = random.upto(n_classes + 1) - 2;
    void* products = is_half ? static_cast<void*>(halves.data()) : logits.data();
    const Scores all{products,      is_half,       bias.data(),   hits.data(),   own.data(),
                     d_true.data(), losses.data(), d_bias.data(), memory.data(), n_classes};
    elmo_scores(kernel, &all, n_rows);
}

void convolve(int64_t kernel, unsigned seed) {
    Random random{std::mt19937(seed)};
    const int64_t width = random.upto(7), max_characters = width + random.upto(9), dim = random.upto(20);
    const int64_t n_words = random.upto(6), count = random.upto(140), n_inputs = width * dim, n_characters = 9;
    std::vector<int64_t> ids(n_words * max_characters), lengths(n_words);
    for (int64_t& id : ids) id = random.upto(n_characters) - 1;
    for (int64_t& length : lengths) length = random.upto(max_characters + 1) - 1;
    const Numbers embedding = random.numbers(n_characters * dim), panels = random.numbers(padded(count) * n_inputs),
                  weight = random.numbers(count * n_inputs), bias = random.numbers(count);
    Numbers maxima(n_words * count), d_embedding(n_characters * dim), d_weight(count * n_inputs), d_bias(count),
        memory(max_characters * dim), d_memory(max_characters * dim);
    std::vector<int32_t> places(n_words * count);
    for (bool backward : {false, true}) {
        const Convolution all{ids.data(),
                              lengths.data(),
                              embedding.data(),
                              (backward ? weight : panels).data(),
                              bias.data(),
                              maxima.data(),
                              places.data(),
                              d_embedding.data(),
                              d_weight.data(),
                              d_bias.data(),
                              memory.data(),
                              d_memory.data(),
                              max_characters,
                              dim,
                              width,
                              count,
                              count,
                              0};
        elmo_convolve(kernel, backward, &all, n_words);
    }
}

void run_all(unsigned first_seed) {
    for (unsigned seed = first_seed; seed < first_seed + 12; seed++) {
        const double wanted = run(0, seed);
        for (int64_t kernel = 0; kernel < elmo_n_kernels(); kernel++) {
            if (!elmo_kernel_available(kernel)) continue;
            if (std::abs(run(kernel, seed) - wanted) > 0.05 * std::abs(wanted) + 20) {
                std::printf("%s differs with seed %u\n", elmo_kernel_name(kernel), seed);
                std::exit(1);
            }
            if (kernel % 2 || kernel >= 6) continue;
            for (auto part : {multiply_add, cells, scores, convolve}) part(kernel, seed);  // float32 alone has them
        }
    }
}
}  // namespace

int main() {
    std::vector<std::thread> callers;
    for (unsigned i = 0; i < 3; i++) callers.emplace_back(run_all, 100 * i);
    for (std::thread& caller : callers) caller.join();
    for (int64_t kernel = 0; kernel < elmo_n_kernels(); kernel++) {
        if (elmo_kernel_available(kernel)) std::printf("%s ", elmo_kernel_name(kernel));
    }
    std::puts("ran");
}

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

void run_all(unsigned first_seed) {
    for (unsigned seed = first_seed; seed < first_seed + 12; seed++) {
        const double wanted = run(0, seed);
        for (int64_t kernel = 0; kernel < elmo_n_kernels(); kernel++) {
            if (!elmo_kernel_available(kernel)) continue;
            if (std::abs(run(kernel, seed) - wanted) > 0.05 * std::abs(wanted) + 20) {
                std::printf("%s differs with seed %u\n", elmo_kernel_name(kernel), seed);
                std::exit(1);
            }
            if (kernel % 2 == 0 && kernel < 6) multiply_add(kernel, seed);  // those of float32
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

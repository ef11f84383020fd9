// What the processor can do, and what the system lets it.
#include "kernel.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {
// A bit of what `cpuid` says under leaf 7: register 0 to 3 is eax to edx.
bool leaf_7(unsigned subleaf, int number, int bit) {
    unsigned registers[4];
    if (!__get_cpuid_count(7, subleaf, &registers[0], &registers[1], &registers[2], &registers[3])) return false;
    return registers[number] >> bit & 1;
}

// Programs have to ask for the memory of tiles: ARCH_REQ_XCOMP_PERM for XFEATURE_XTILEDATA, since Linux 5.16.
bool tiles_permitted() {
#ifdef __linux__
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
    return false;
#endif
}
}  // namespace

// Also that the system saves the registers.
bool has_avx2() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512_bf16() { return has_avx512() && leaf_7(1, 0, 5); }

bool has_amx() {
    static const bool found = has_avx512() && leaf_7(0, 3, 22) && leaf_7(0, 3, 24) && tiles_permitted();
    return found;
}
#endif

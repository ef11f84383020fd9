// Compiles what stands between BEGIN_TARGET("...") and END_TARGET for a processor that has more than the compiler may
// take for granted. Standard headers come before it: what they define may run on any processor.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "kernel.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define X86 1
#include <immintrin.h>
#endif

#define TARGET_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define BEGIN_TARGET(features) TARGET_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define END_TARGET TARGET_PRAGMA(clang attribute pop)
#else
#define BEGIN_TARGET(features) TARGET_PRAGMA(GCC push_options) TARGET_PRAGMA(GCC target(features))
#define END_TARGET TARGET_PRAGMA(GCC pop_options)
#endif

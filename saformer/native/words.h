/* A bit for each element, whether it is not zero: sixteen to a word, in the order of their memory, with WORDS_BEHIND
   words behind. */

#ifndef NATIVE_WORDS_H
#define NATIVE_WORDS_H

#include "threads.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

/* Of the first n elements, up to sixteen. */
static inline uint32_t bits_of(const float *restrict x, i64 n) {
    const bits *restrict b = (const bits *)x;
    if (n >= 16) {
#if defined(__AVX512F__)
        return _mm512_test_epi32_mask(_mm512_loadu_si512(x), _mm512_set1_epi32(0x7fffffff));
#elif defined(__AVX2__)
        uint32_t zeros = 0;
        for (int half = 0; half < 2; half++) {
            const __m256i size = _mm256_slli_epi32(_mm256_loadu_si256((const __m256i *)(x + 8 * half)), 1);
            const __m256i zero = _mm256_cmpeq_epi32(size, _mm256_setzero_si256());
            zeros |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(zero)) << 8 * half;
        }
        return ~zeros & 0xffff;
#else
        n = 16;
#endif
    }
    uint32_t here = 0;
    for (int j = 0; j < n; j++) here |= (uint32_t)((b[j] & 0x7fffffffu) != 0) << j;
    return here;
}

/* Of n elements. */
static inline void pack(const float *restrict x, uint16_t *restrict words, i64 n) {
    for (i64 at = 0; at < n; at += 16) words[at / 16] = (uint16_t)bits_of(x + at, n - at);
}

#endif

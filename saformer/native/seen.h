/* Looks at elements: how many are not zero or one, the largest, and whether they are whole numbers. */

#ifndef NATIVE_SEEN_H
#define NATIVE_SEEN_H

#include "threads.h"

/* What a look at elements shows. */
typedef struct {
    float scale;
    i64 ones, sum;
    int low, high, whole;
    bits most;
} Seen;

enum { PIECE = 4096 };
static const bits ONE = 0x3f800000u;
static const float MOST_WHOLE = 262144.0f;

/* Looks at up to PIECE elements; returns how many are not zero. */
static inline int look_at(Seen *seen, const float *restrict x, i64 n) {
    const bits *restrict b = (const bits *)x;
    bits most = 0;
    int some = 0, ones = 0;
    for (i64 i = 0; i < n; i++) {
        const bits size = b[i] & 0x7fffffffu;
        most = size > most ? size : most;
        some += size != 0;
        ones += b[i] == ONE;
    }
    seen->ones += ones;
    seen->most = most > seen->most ? most : seen->most;
    if (some == ones && seen->scale == 1.0f) { /* zeros and ones, as spikes are */
        seen->high = ones && seen->high < 1 ? 1 : seen->high;
        seen->sum += ones;
        return some;
    }
    const union { uint32_t i; float f; } largest = {most};
    /* Beyond 2^18, and NaN: C does not say what a cast of these gives. */
    if (!seen->whole || !(largest.f * seen->scale <= MOST_WHOLE)) {
        seen->whole = 0;
        return some;
    }
    int wrong = 0, low = 0, high = 0, sum = 0;
    for (i64 i = 0; i < n; i++) {
        const float value = x[i] * seen->scale;
        const int k = (int)value;
        wrong |= (float)k != value;
        low = k < low ? k : low;
        high = k > high ? k : high;
        sum += k < 0 ? -k : k;
    }
    seen->whole = !wrong;
    seen->low = low < seen->low ? low : seen->low;
    seen->high = high > seen->high ? high : seen->high;
    seen->sum += sum;
    return some;
}

static inline void join(Seen *all, const Seen *more) {
    all->ones += more->ones;
    all->sum += more->sum;
    all->whole &= more->whole;
    all->low = more->low < all->low ? more->low : all->low;
    all->high = more->high > all->high ? more->high : all->high;
    all->most = more->most > all->most ? more->most : all->most;
}

/* What was seen, as five numbers; returns the largest magnitude. */
static inline float shown(const Seen *all, i64 *found) {
    const i64 values[5] = {all->ones, all->whole, all->low, all->high, all->sum};
    for (int i = 0; i < 5; i++) found[i] = values[i];
    const union { uint32_t i; float f; } largest = {all->most};
    return largest.f;
}

#endif

/* Counts of what float32 tensors hold; native.py compiles and calls them. Every function allocates nothing. */

#include <stdint.h>

typedef int64_t i64;
typedef uint32_t __attribute__((may_alias)) bits;

/* Nonzeros of each row; returns how many elements are one. */
i64 count(const float *x, i64 rows, i64 width, i64 *nonzero) {
    i64 all = 0;
    for (i64 r = 0; r < rows; r++, x += width) {
        i64 found = 0;
        for (i64 start = 0; start < width; start += 4096) {
            const i64 n = width - start < 4096 ? width - start : 4096;
            int some = 0, ones = 0;
            for (i64 i = 0; i < n; i++) {
                some += x[start + i] != 0.0f;
                ones += x[start + i] == 1.0f;
            }
            found += some;
            all += ones;
        }
        nonzero[r] = found;
    }
    return all;
}

/* Whether all elements are whole numbers within 2^18: then found = {smallest, largest, sum of magnitudes}. */
int whole(const float *x, i64 n, i64 *found) {
    const bits *b = (const bits *)x;
    int low = 0, high = 0;
    i64 sum = 0;
    for (i64 start = 0; start < n; start += 4096) {
        const i64 m = n - start < 4096 ? n - start : 4096;
        int wrong = 0, part = 0;
        /* Beyond 2^18, and NaN: C does not say what a cast of these gives. */
        for (i64 i = 0; i < m; i++) wrong |= (b[start + i] & 0x7fffffffu) > 0x48800000u;
        if (wrong) return 0;
        for (i64 i = 0; i < m; i++) {
            const float value = x[start + i];
            const int k = (int)value;
            const int size = k < 0 ? -k : k;
            wrong |= (float)k != value;
            low = k < low ? k : low;
            high = k > high ? k : high;
            part += size & 0x7ffff;
        }
        if (wrong) return 0;
        sum += part;
    }
    found[0] = low;
    found[1] = high;
    found[2] = sum;
    return 1;
}

/* The largest magnitude, infinity or NaN if there is one; `zeros` gets how many elements are zero. */
float extent(const float *x, i64 n, i64 *zeros) {
    const bits *b = (const bits *)x;
    bits most = 0;
    i64 all = 0;
    for (i64 start = 0; start < n; start += 4096) {
        const i64 m = n - start < 4096 ? n - start : 4096;
        int none = 0;
        for (i64 i = 0; i < m; i++) {
            const bits size = b[start + i] & 0x7fffffffu;
            most = size > most ? size : most;
            none += size == 0;
        }
        all += none;
    }
    *zeros = all;
    const union { uint32_t i; float f; } largest = {most};
    return largest.f;
}

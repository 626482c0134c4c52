/* What float32 tensors hold, counted and measured; passes.py compiles and calls it. */

#include "threads.h"

typedef struct {
    const float *x;
    i64 width, stride, *nonzero;
    i64 from, to; /* pieces: of up to PIECE elements, so many to a chunk that they hold it */
    float scale;
    i64 ones, sum;
    int low, high, whole;
    bits most;
} Look;

enum { PIECE = 4096 };
static const bits ONE = 0x3f800000u;
static const float MOST_WHOLE = 262144.0f;

static void *look_at(void *argument) {
    Look *a = argument;
    const i64 each = (a->width + PIECE - 1) / PIECE;
    for (i64 piece = a->from; piece < a->to; piece++) {
        const i64 chunk = piece / each, start = piece % each * PIECE;
        const i64 n = a->width - start < PIECE ? a->width - start : PIECE;
        const float *restrict x = a->x + chunk * a->stride + start;
        const bits *restrict b = (const bits *)x;
        bits most = 0;
        int some = 0, ones = 0;
        for (i64 i = 0; i < n; i++) {
            const bits size = b[i] & 0x7fffffffu;
            most = size > most ? size : most;
            some += size != 0;
            ones += b[i] == ONE;
        }
        __atomic_fetch_add(&a->nonzero[chunk], some, __ATOMIC_RELAXED);
        a->ones += ones;
        a->most = most > a->most ? most : a->most;
        const union { uint32_t i; float f; } largest = {most};
        /* Beyond 2^18, and NaN: C does not say what a cast of these gives. */
        if (!a->whole || !(largest.f * a->scale <= MOST_WHOLE)) {
            a->whole = 0;
            continue;
        }
        int wrong = 0, low = 0, high = 0, sum = 0;
        for (i64 i = 0; i < n; i++) {
            const float value = x[i] * a->scale;
            const int k = (int)value;
            wrong |= (float)k != value;
            low = k < low ? k : low;
            high = k > high ? k : high;
            sum += k < 0 ? -k : k;
        }
        a->whole = !wrong;
        a->low = low < a->low ? low : a->low;
        a->high = high > a->high ? high : a->high;
        a->sum += sum;
    }
    return 0;
}

/* Nonzeros of each chunk of `width` elements, which begin `stride` elements apart, added to `nonzero`; `found` gets how
   many elements are one, whether all times `scale` are whole numbers within 2^18, and of these the smallest and the largest
   beside zero and the sum of magnitudes. Returns the largest magnitude, infinity or NaN if there is one. */
float look(const float *x, i64 chunks, i64 width, i64 stride, float scale, i64 *nonzero, i64 *found, int threads) {
    const i64 pieces = chunks * ((width + PIECE - 1) / PIECE);
    Look parts[MOST_THREADS];
    threads = fewest(threads, pieces);
    for (int i = 0; i < threads; i++)
        parts[i] = (Look){.x = x, .width = width, .stride = stride, .scale = scale, .nonzero = nonzero, .whole = 1,
                          .from = pieces * i / threads, .to = pieces * (i + 1) / threads};
    side_by_side(look_at, parts, sizeof(Look), threads);
    Look all = parts[0];
    for (int i = 1; i < threads; i++) {
        all.ones += parts[i].ones;
        all.sum += parts[i].sum;
        all.whole &= parts[i].whole;
        all.low = parts[i].low < all.low ? parts[i].low : all.low;
        all.high = parts[i].high > all.high ? parts[i].high : all.high;
        all.most = parts[i].most > all.most ? parts[i].most : all.most;
    }
    const i64 values[5] = {all.ones, all.whole, all.low, all.high, all.sum};
    for (int i = 0; i < 5; i++) found[i] = values[i];
    const union { uint32_t i; float f; } largest = {all.most};
    return largest.f;
}

typedef struct {
    const float *x;
    i64 stride, outer, n, inner, *nonzero;
} Along;

static int count_along(const void *job, i64 from, i64 to) {
    const Along *a = job;
    int found[BLOCK] __attribute__((aligned(64)));
    for (i64 o = from; o < to; o++) {
        const bits *b = (const bits *)a->x + o / a->outer * a->stride + o % a->outer * a->n * a->inner;
        i64 *result = a->nonzero + o * a->inner;
        if (a->inner == 1) {
            int some = 0;
            for (i64 i = 0; i < a->n; i++) some += (b[i] & 0x7fffffffu) != 0;
            *result = some;
            continue;
        }
        for (i64 start = 0; start < a->inner; start += BLOCK) {
            const i64 m = a->inner - start < BLOCK ? a->inner - start : BLOCK;
            for (i64 j = 0; j < m; j++) found[j] = 0;
            for (i64 i = 0; i < a->n; i++) {
                const bits *restrict line = b + i * a->inner + start;
                for (i64 j = 0; j < m; j++) found[j] += (line[j] & 0x7fffffffu) != 0;
            }
            for (i64 j = 0; j < m; j++) result[start + j] = found[j];
        }
    }
    return 0;
}

/* Nonzeros of blocks x outer x n x inner along n, blocks x outer x inner; blocks begin `stride` elements apart. */
void along(const float *x, i64 blocks, i64 outer, i64 n, i64 inner, i64 stride, i64 *nonzero, int threads) {
    const Along whole = {.x = x, .stride = stride, .outer = outer, .n = n, .inner = inner, .nonzero = nonzero};
    run(count_along, &whole, blocks * outer, threads);
}

typedef struct {
    const float *x;
    const int32_t *weight;
    i64 lines, width, *sums;
} Weighted;

static int sum_weights(const void *job, i64 from, i64 to) {
    const Weighted *a = job;
    for (i64 r = from; r < to; r++) {
        const bits *b = (const bits *)a->x + r * a->lines * a->width;
        i64 all = 0;
        for (i64 line = 0; line < a->lines; line++, b += a->width)
            for (i64 start = 0; start < a->width; start += PIECE) {
                const i64 n = a->width - start < PIECE ? a->width - start : PIECE;
                const int32_t *restrict weight = a->weight + start;
                int sum = 0;
                for (i64 i = 0; i < n; i++) sum += (b[start + i] & 0x7fffffffu) ? weight[i] : 0;
                all += sum;
            }
        a->sums[r] = all;
    }
    return 0;
}

/* Of rows x lines x width, for each row the sum of the weights where it is nonzero: `width` of them, up to 2^18. */
void weighted(const float *x, i64 rows, i64 lines, i64 width, const int32_t *weight, i64 *sums, int threads) {
    const Weighted whole = {.x = x, .weight = weight, .lines = lines, .width = width, .sums = sums};
    run(sum_weights, &whole, rows, threads);
}

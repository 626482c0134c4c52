/* Passes over float32 tensors that PyTorch's operators make several of; native.py compiles and calls them.

   Every function works on what it is given and allocates nothing. Roundings are those of the operators: no multiplication
   is fused with an addition (-ffp-contract=off). */

#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t i64;
typedef uint32_t __attribute__((may_alias)) bits;

enum { BLOCK = 256, MOST_THREADS = 64 };

static int not_finite(const float *x, i64 n) {
    const bits *b = (const bits *)x;
    int found = 0;
    for (i64 i = 0; i < n; i++) found |= (b[i] & 0x7f800000u) == 0x7f800000u;
    return found;
}

/* ---- the LIF neuron of Eqs. 1-3 ---------------------------------------------------------------------------------- */

typedef struct {
    const float *x, *gradient;
    float *out;
    i64 steps, neurons, segment;
    float tau, inverse, threshold, reset, alpha;
    int exact; /* times 1/tau is the same number as division by tau */
    i64 *counts;
    i64 from, to; /* segments */
    int bad;
} Lif;

static inline void charge(const Lif *a, const float *restrict x, float *restrict u, i64 n, int first) {
    const float tau = a->tau, inverse = a->inverse, rest = a->reset;
    if (first && a->exact)
        for (i64 j = 0; j < n; j++) u[j] = (x[j] + rest) * inverse;
    else if (first)
        for (i64 j = 0; j < n; j++) u[j] = (x[j] + rest) / tau;
    else if (a->exact)
        for (i64 j = 0; j < n; j++) u[j] = u[j] + ((rest - u[j]) + x[j]) * inverse;
    else
        for (i64 j = 0; j < n; j++) u[j] = u[j] + ((rest - u[j]) + x[j]) / tau;
}

static void *forward(void *argument) {
    Lif *a = argument;
    const float threshold = a->threshold, reset = a->reset;
    const i64 images = a->neurons / a->segment;
    float u[BLOCK] __attribute__((aligned(64)));
    for (i64 s = a->from; s < a->to; s++) {
        for (i64 start = 0; start < a->segment; start += BLOCK) {
            const i64 n = a->segment - start < BLOCK ? a->segment - start : BLOCK;
            const i64 at = s * a->segment + start;
            for (i64 t = 0; t < a->steps; t++) {
                const float *restrict x = a->x + t * a->neurons + at;
                float *restrict spikes = a->out + t * a->neurons + at;
                int fired = 0;
                a->bad |= not_finite(x, n);
                charge(a, x, u, n, t == 0);
                for (i64 j = 0; j < n; j++) {
                    const int fires = u[j] >= threshold;
                    spikes[j] = fires ? 1.0f : 0.0f;
                    u[j] = fires ? reset : u[j];
                    fired += fires;
                }
                a->counts[t * images + s] += fired;
            }
        }
    }
    return 0;
}

/* exp for -87 <= x <= 88, within two units in the last place: 2^k times a polynomial (Cephes). */
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float k = rintf(x * 1.44269504088896341f);
    const float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const union { int32_t i; float f; } power = {((int32_t)k + 127) << 23};
    return p * power.f;
}

enum { MOST_STEPS = 64, NARROW = 64 };

static void *backward(void *argument) {
    Lif *a = argument;
    const float threshold = a->threshold, reset = a->reset, alpha = a->alpha;
    const float carried = 1.0f - (a->exact ? a->inverse : 1.0f / a->tau), gain = alpha / a->tau;
    float charged[MOST_STEPS][NARROW] __attribute__((aligned(64)));
    float u[NARROW] __attribute__((aligned(64)));
    const i64 first = a->from * a->segment, last = a->to * a->segment < a->neurons ? a->to * a->segment : a->neurons;
    for (i64 at = first; at < last; at += NARROW) {
        const i64 n = last - at < NARROW ? last - at : NARROW;
        for (i64 t = 0; t < a->steps; t++) {
            charge(a, a->x + t * a->neurons + at, u, n, t == 0);
            for (i64 j = 0; j < n; j++) {
                charged[t][j] = u[j];
                u[j] = u[j] >= threshold ? reset : u[j];
            }
        }
        for (i64 t = a->steps - 1; t >= 0; t--) {
            const float *restrict gradient = a->gradient + t * a->neurons + at;
            float *restrict result = a->out + t * a->neurons + at;
            for (i64 j = 0; j < n; j++) {
                const float s = 1.0f / (1.0f + exponential(alpha * (threshold - charged[t][j])));
                u[j] = t == a->steps - 1 || charged[t][j] >= threshold ? 0.0f : u[j] * carried;
                u[j] += gradient[j] * s * (1.0f - s) * gain;
                result[j] = u[j];
            }
        }
    }
    return 0;
}

static int fewest(int threads, i64 parts) {
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    return parts < threads ? (int)(parts < 1 ? 1 : parts) : threads;
}

/* Does the work of each part, of `size` bytes, on a thread of its own. */
static void side_by_side(void *(*work)(void *), void *parts, size_t size, int threads) {
    pthread_t ids[MOST_THREADS];
    int started[MOST_THREADS] = {0};
    for (int i = threads - 1; i >= 0; i--) {
        void *part = (char *)parts + i * size;
        started[i] = i > 0 && pthread_create(&ids[i], 0, work, part) == 0;
        if (!started[i]) work(part);
    }
    for (int i = 0; i < threads; i++)
        if (started[i]) pthread_join(ids[i], 0);
}

/* Runs one part of the segments on each thread; the parts' counts do not overlap. */
static int run(void *(*work)(void *), const Lif *whole, i64 segments, int threads) {
    Lif parts[MOST_THREADS];
    int bad = 0;
    threads = fewest(threads, segments);
    for (int i = 0; i < threads; i++) {
        parts[i] = *whole;
        parts[i].from = segments * i / threads;
        parts[i].to = segments * (i + 1) / threads;
    }
    side_by_side(work, parts, sizeof(Lif), threads);
    for (int i = 0; i < threads; i++) bad |= parts[i].bad;
    return bad;
}

/* Spikes of T x neurons currents. `counts` (T x segments, zeros) gets the spikes of each segment of a step; returns whether
   a current is infinite or NaN. */
int lif_forward(const float *x, float *spikes, i64 steps, i64 segments, i64 segment, float tau, float threshold,
                float reset, int exact, i64 *counts, int threads) {
    const Lif whole = {.x = x, .out = spikes, .steps = steps, .neurons = segments * segment, .segment = segment,
                       .tau = tau, .inverse = 1.0f / tau, .threshold = threshold, .reset = reset, .exact = exact,
                       .counts = counts};
    return run(forward, &whole, segments, threads);
}

/* Gradient by the current, T x neurons with T <= 64, of that by the spikes; spikes in the reset are detached. */
void lif_backward(const float *gradient, const float *x, float *result, i64 steps, i64 neurons, float tau,
                  float threshold, float reset, float alpha, int exact, int threads) {
    const i64 segment = 4096;
    const Lif whole = {.x = x, .gradient = gradient, .out = result, .steps = steps, .neurons = neurons,
                       .segment = segment, .tau = tau, .inverse = 1.0f / tau, .threshold = threshold, .reset = reset,
                       .alpha = alpha, .exact = exact};
    run(backward, &whole, (neurons + segment - 1) / segment, threads);
}

/* ---- counts ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const float *x;
    i64 width, stride, *nonzero;
    i64 from, to; /* pieces: of up to PIECE elements, so many to a chunk that they hold it */
    i64 ones, sum;
    int low, high, whole;
    bits most;
} Look;

enum { PIECE = 4096 };
static const bits ONE = 0x3f800000u, MOST_WHOLE = 0x48800000u; /* 2^18 */

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
        /* Beyond 2^18, and NaN: C does not say what a cast of these gives. */
        if (!a->whole || most > MOST_WHOLE) {
            a->whole = 0;
            continue;
        }
        int wrong = 0, low = 0, high = 0, sum = 0;
        for (i64 i = 0; i < n; i++) {
            const int k = (int)x[i];
            wrong |= (float)k != x[i];
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
   many elements are one, whether all are whole numbers within 2^18, and of these the smallest and the largest beside zero
   and the sum of magnitudes. Returns the largest magnitude, infinity or NaN if there is one. */
float look(const float *x, i64 chunks, i64 width, i64 stride, i64 *nonzero, i64 *found, int threads) {
    const i64 pieces = chunks * ((width + PIECE - 1) / PIECE);
    Look parts[MOST_THREADS];
    threads = fewest(threads, pieces);
    for (int i = 0; i < threads; i++)
        parts[i] = (Look){.x = x, .width = width, .stride = stride, .nonzero = nonzero, .whole = 1,
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
    i64 n, inner, *nonzero;
    i64 from, to; /* of the outer ones */
} Along;

static void *count_along(void *argument) {
    const Along *a = argument;
    int found[BLOCK] __attribute__((aligned(64)));
    for (i64 o = a->from; o < a->to; o++) {
        const bits *b = (const bits *)a->x + o * a->n * a->inner;
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

/* Nonzeros of outer x n x inner along n, outer x inner. */
void along(const float *x, i64 outer, i64 n, i64 inner, i64 *nonzero, int threads) {
    Along parts[MOST_THREADS];
    threads = fewest(threads, outer);
    for (int i = 0; i < threads; i++)
        parts[i] = (Along){.x = x, .n = n, .inner = inner, .nonzero = nonzero,
                           .from = outer * i / threads, .to = outer * (i + 1) / threads};
    side_by_side(count_along, parts, sizeof(Along), threads);
}

typedef struct {
    const float *x;
    const int32_t *weight;
    i64 lines, width, *sums;
    i64 from, to; /* rows */
} Weighted;

static void *sum_weights(void *argument) {
    const Weighted *a = argument;
    for (i64 r = a->from; r < a->to; r++) {
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
    Weighted parts[MOST_THREADS];
    threads = fewest(threads, rows);
    for (int i = 0; i < threads; i++)
        parts[i] = (Weighted){.x = x, .weight = weight, .lines = lines, .width = width, .sums = sums,
                              .from = rows * i / threads, .to = rows * (i + 1) / threads};
    side_by_side(sum_weights, parts, sizeof(Weighted), threads);
}

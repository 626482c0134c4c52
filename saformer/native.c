/* Passes over float32 tensors that PyTorch's operators make several of; native.py compiles and calls them.

   Every function works on what it is given and allocates nothing. Roundings are those of the operators: no multiplication
   is fused with an addition (-ffp-contract=off). */

#include <math.h>
#include <pthread.h>
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

/* Runs one part of the segments on each thread; the parts' counts do not overlap. */
static int run(void *(*work)(void *), const Lif *whole, i64 segments, int threads) {
    Lif parts[MOST_THREADS];
    pthread_t ids[MOST_THREADS];
    int started[MOST_THREADS] = {0}, bad = 0;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (threads > segments) threads = (int)segments;
    for (int i = threads - 1; i >= 0; i--) {
        parts[i] = *whole;
        parts[i].from = segments * i / threads;
        parts[i].to = segments * (i + 1) / threads;
        started[i] = i > 0 && pthread_create(&ids[i], 0, work, &parts[i]) == 0;
        if (!started[i]) work(&parts[i]);
    }
    for (int i = 0; i < threads; i++) {
        if (started[i]) pthread_join(ids[i], 0);
        bad |= parts[i].bad;
    }
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

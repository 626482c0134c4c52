/* The arithmetic of the LIF neuron of Eqs. 1-3 on neurons side by side, as the passes share it. */

#ifndef NATIVE_LIF_H
#define NATIVE_LIF_H

#include "threads.h"

typedef struct {
    float tau, inverse, threshold, reset, alpha;
    int exact; /* times 1/tau is the same number as division by tau */
} Neuron;

static inline Neuron neuron(float tau, float threshold, float reset, float alpha, int exact) {
    return (Neuron){.tau = tau, .inverse = 1.0f / tau, .threshold = threshold, .reset = reset, .alpha = alpha,
                    .exact = exact};
}

static inline void charge(const Neuron *a, const float *restrict x, float *restrict u, i64 n, int first) {
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

enum { LANES = 64 }; /* neurons whose membranes of all steps the passes backwards keep */

/* The membranes charged by a step's currents, kept in `charged`, and reset in `u`: a step of the passes backwards. */
static inline void charge_again(const Neuron *a, const float *restrict x, float *restrict charged, float *restrict u,
                                i64 n, int first) {
    charge(a, x, u, n, first);
    for (i64 j = 0; j < n; j++) {
        charged[j] = u[j];
        u[j] = u[j] >= a->threshold ? a->reset : u[j];
    }
}

enum { ONCE = 1, TWICE, EACH = 4 }; /* product and sum are rounded once, or each; every element has numbers of its own */

/* A step of neurons side by side: spikes of currents, or of what a factor and a summand make them, which may lie where the
   spikes go; `u` are the membranes before and after. Returns how many fire, and in `most` the largest magnitude of a
   current as bits: those of infinity and NaN are the largest. All flags are constants where it is called. */
static inline __attribute__((always_inline)) int step(const Neuron *a, const float *x, float *spikes, float *restrict u,
                                                      const float *slope, const float *shift, i64 n, int affine,
                                                      int first, int exact, int32_t *most) {
    const float tau = a->tau, inverse = a->inverse, threshold = a->threshold, reset = a->reset;
    const int each = affine & EACH, rounded = affine & ~EACH;
    int32_t largest = *most;
    int fired = 0;
    SIDE_BY_SIDE
    for (i64 j = 0; j < n; j++) {
        const float by = rounded ? slope[each ? j : 0] : 1.0f, more = rounded ? shift[each ? j : 0] : 0.0f;
        const union { float f; int32_t i; } current = {
            rounded == ONCE ? __builtin_fmaf(x[j], by, more) : rounded == TWICE ? x[j] * by + more : x[j]};
        const int32_t magnitude = current.i & 0x7fffffff;
        largest = magnitude > largest ? magnitude : largest;
        const float added = first ? current.f + reset : (reset - u[j]) + current.f;
        const float part = exact ? added * inverse : added / tau;
        const float charged = first ? part : u[j] + part;
        const int fires = charged >= threshold;
        spikes[j] = fires ? 1.0f : 0.0f;
        u[j] = fires ? reset : charged;
        fired += fires;
    }
    *most = largest;
    return fired;
}

#define STEP(affine)                                                                                                   \
    (first ? exact ? step(a, x, spikes, u, slope, shift, n, affine, 1, 1, most)                                        \
                   : step(a, x, spikes, u, slope, shift, n, affine, 1, 0, most)                                        \
     : exact ? step(a, x, spikes, u, slope, shift, n, affine, 0, 1, most)                                              \
             : step(a, x, spikes, u, slope, shift, n, affine, 0, 0, most))

static inline int any_step(const Neuron *a, const float *x, float *spikes, float *restrict u, const float *slope,
                           const float *shift, i64 n, int affine, int first, int32_t *most) {
    const int exact = a->exact;
    switch (affine) {
        case ONCE: return STEP(ONCE);
        case TWICE: return STEP(TWICE);
        case ONCE | EACH: return STEP(ONCE | EACH);
        case TWICE | EACH: return STEP(TWICE | EACH);
        default: return STEP(0);
    }
}

/* exp for -87 <= x <= 88, within two units in the last place: 2^k times a polynomial (Cephes). */
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float k = rintf(x * 1.44269504088896341f);
    const float r = __builtin_fmaf(k, 2.12194440e-4f, x - k * 0.693359375f);
    float p = 1.9875691500e-4f;
    p = __builtin_fmaf(p, r, 1.3981999507e-3f);
    p = __builtin_fmaf(p, r, 8.3334519073e-3f);
    p = __builtin_fmaf(p, r, 4.1665795894e-2f);
    p = __builtin_fmaf(p, r, 1.6666665459e-1f);
    p = __builtin_fmaf(p, r, 5.0000001201e-1f);
    p = __builtin_fmaf(p * r, r, r + 1.0f);
    const union { int32_t i; float f; } power = {((int32_t)k + 127) << 23};
    return p * power.f;
}

/* A step backwards: makes of `u`, the gradient by the current of step t+1 (or zeros), that of step t, with the membranes
   charged at t and the gradient by its spikes; spikes in the reset are detached. */
static inline void descend(const Neuron *a, const float *restrict charged, const float *restrict gradient,
                           float *restrict u, i64 n) {
    const float threshold = a->threshold, alpha = a->alpha;
    const float carried = 1.0f - (a->exact ? a->inverse : 1.0f / a->tau), gain = alpha / a->tau;
    for (i64 j = 0; j < n; j++) {
        const float s = 1.0f / (1.0f + exponential(alpha * (threshold - charged[j])));
        const float later = u[j] * carried;
        u[j] = (charged[j] >= threshold ? 0.0f : later) + gradient[j] * s * (1.0f - s) * gain;
    }
}

#endif

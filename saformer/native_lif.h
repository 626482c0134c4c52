/* The arithmetic of the LIF neuron of Eqs. 1-3 on neurons side by side, as the passes share it. */

#ifndef NATIVE_LIF_H
#define NATIVE_LIF_H

#include "native.h"

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

/* Spikes of charged membranes, which are reset; returns how many fire. */
static inline int fire(const Neuron *a, float *restrict u, float *spikes, i64 n) {
    const float threshold = a->threshold, reset = a->reset;
    int fired = 0;
    for (i64 j = 0; j < n; j++) {
        const int fires = u[j] >= threshold;
        spikes[j] = fires ? 1.0f : 0.0f;
        u[j] = fires ? reset : u[j];
        fired += fires;
    }
    return fired;
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

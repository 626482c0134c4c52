/* The LIF neuron of Eqs. 1-3 in one pass over float32 tensors; passes.py compiles and calls it.

   Every function works on what it is given and allocates nothing. Roundings are those of the operators: no multiplication
   is fused with an addition (-ffp-contract=off). */

#include "lif.h"
#include "words.h"

Parallel torch_parallel;

/* Work is shared out by PyTorch's threads from now on. */
void use_threads_of(Parallel parallel) { torch_parallel = parallel; }

/* Currents are slope[c] x + shift[c] of what is given. Channels are `inner` elements long, or, with inner 1, side by side. */
typedef struct {
    const float *slope, *shift;
    i64 channels, inner;
    int fused; /* one rounding for product and sum */
} Affine;

typedef struct {
    const float *x, *gradient;
    Affine norm; /* no slope: currents are given */
    float *out;
    i64 steps, neurons, segment;
    Neuron neuron;
    i64 *counts; /* T x segments; those of the threads do not overlap */
    uint16_t *words; /* not null: a bit for each spike; lengths of runs are multiples of 16 then */
} Lif;

static int forward(const void *job, i64 from, i64 to) {
    const Lif *a = job;
    int32_t most = 0;
    const i64 images = a->neurons / a->segment;
    /* Of one channel, or of all channels at one place. */
    const i64 length = !a->norm.slope ? a->segment : a->norm.inner > 1 ? a->norm.inner : a->norm.channels;
    const i64 runs = a->segment / length;
    const int one = a->norm.inner > 1;
    const int affine = !a->norm.slope ? 0 : (a->norm.fused ? ONCE : TWICE) | (one ? 0 : EACH);
    float u[BLOCK] __attribute__((aligned(64)));
    for (i64 run = from * runs; run < to * runs; run++) {
        const i64 s = run / runs;
        for (i64 start = 0; start < length; start += BLOCK) {
            const i64 n = length - start < BLOCK ? length - start : BLOCK;
            const i64 at = run * length + start, channel = !affine ? 0 : one ? run % a->norm.channels : start;
            for (i64 t = 0; t < a->steps; t++) {
                const i64 here = t * a->neurons + at;
                a->counts[t * images + s] +=
                    any_step(&a->neuron, a->x + here, a->out + here, u, a->norm.slope + channel,
                             a->norm.shift + channel, n, affine, t == 0, &most);
                if (a->words) pack(a->out + here, a->words + here / 16, n);
            }
        }
    }
    return most >= 0x7f800000;
}

static int backward(const void *job, i64 from, i64 to) {
    const Lif *a = job;
    float charged[MOST_STEPS][LANES] __attribute__((aligned(64)));
    float u[LANES] __attribute__((aligned(64)));
    const i64 first = from * a->segment, last = to * a->segment < a->neurons ? to * a->segment : a->neurons;
    for (i64 at = first; at < last; at += LANES) {
        const i64 n = last - at < LANES ? last - at : LANES;
        for (i64 t = 0; t < a->steps; t++)
            charge_again(&a->neuron, a->x + t * a->neurons + at, charged[t], u, n, t == 0);
        for (i64 j = 0; j < n; j++) u[j] = 0.0f;
        for (i64 t = a->steps - 1; t >= 0; t--) {
            float *restrict result = a->out + t * a->neurons + at;
            descend(&a->neuron, charged[t], a->gradient + t * a->neurons + at, u, n);
            for (i64 j = 0; j < n; j++) result[j] = u[j];
        }
    }
    return 0;
}

/* Spikes of T x neurons currents, or, with `slope`, of what these become by it; `spikes` may be `x`. `counts` (T x
   segments, zeros) gets the spikes of each segment of a step, `words`, unless null, a bit for each; then the channels, or
   a segment's neurons, that lie side by side are multiples of 16. Returns whether a current is infinite or NaN. */
int lif_forward(const float *x, float *spikes, uint16_t *words, i64 steps, i64 segments, i64 segment, const float *slope,
                const float *shift, i64 channels, i64 inner, int fused, float tau, float threshold, float reset,
                int exact, i64 *counts, int threads) {
    const Affine norm = {.slope = slope, .shift = shift, .channels = channels, .inner = inner, .fused = fused};
    const Lif whole = {.x = x, .norm = norm, .out = spikes, .steps = steps, .neurons = segments * segment,
                       .segment = segment, .neuron = neuron(tau, threshold, reset, 0.0f, exact), .counts = counts,
                       .words = words};
    return run(forward, &whole, segments, threads);
}

/* Gradient by the current, T x neurons with T <= MOST_STEPS, of that by the spikes; spikes in the reset are detached. */
void lif_backward(const float *gradient, const float *x, float *result, i64 steps, i64 neurons, float tau,
                  float threshold, float reset, float alpha, int exact, int threads) {
    const i64 segment = 4096;
    const Lif whole = {.x = x, .gradient = gradient, .out = result, .steps = steps, .neurons = neurons,
                       .segment = segment, .neuron = neuron(tau, threshold, reset, alpha, exact)};
    run(backward, &whole, (neurons + segment - 1) / segment, threads);
}

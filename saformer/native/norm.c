/* BatchNorm in training, alone or with the LIF neurons behind it, forwards and backwards; passes.py compiles and calls it.

   Where elements of a channel lie side by side, a thread takes a channel from its statistics to its spikes, while it is in
   the cache. Where channels do, rows are shared out in PIECES, whatever the number of threads. So the order of every sum
   is always the same. Sums are of float32 in float64; what becomes of them is rounded as PyTorch's BatchNorm does. */

#include "lif.h"

typedef struct {
    const float *x, *gradient;
    float *out;
    i64 steps, rows, channels, inner; /* rows of one step; elements of a channel that lie side by side */
    const float *weight, *bias;       /* one number for each channel, or null */
    float *mean, *inverse;
    float *running_mean, *running_var; /* or null */
    float momentum;
    double eps;
    int fused; /* product and sum are rounded once, not each */
    int fires; /* neurons read what is normalised; else it is the result, and there is one step */
    Neuron neuron;
    float *by_weight, *by_bias;
    /* Scratch: what normalises each channel; what its gradient is lowered by; sums of each piece and channel, two kinds. */
    float *slope, *shift, *average, *projected;
    double *sums;
} Norm;

/* For each element of a strip, the numbers of its channel. */
typedef struct {
    const float *mean, *slope, *shift, *average, *projected;
} Lanes;

static inline i64 shorter(i64 left) { return left < LANES ? left : LANES; }

/* ---- numbers of a channel ---------------------------------------------------------------------------------------- */

static i64 elements(const Norm *a) { return a->steps * a->rows * a->inner; }

static void set_line(const Norm *a, i64 c) {
    const float bias = a->bias ? a->bias[c] : 0.0f, slope = a->inverse[c] * (a->weight ? a->weight[c] : 1.0f);
    a->slope[c] = slope;
    a->shift[c] = a->fused ? __builtin_fmaf(-a->mean[c], slope, bias) : bias - a->mean[c] * slope;
}

/* From the mean, which is there, and the sum of squared distances from it. */
static void settle(const Norm *a, i64 c, double sum) {
    const float n = (float)elements(a), squares = (float)sum, momentum = a->momentum, kept = 1.0f - momentum;
    a->inverse[c] = (float)(1.0 / sqrt((double)(squares / n) + a->eps));
    if (a->running_mean) a->running_mean[c] = momentum * a->mean[c] + kept * a->running_mean[c];
    if (a->running_var) {
        const float old = kept * a->running_var[c], unbiased = squares / (n - 1.0f);
        a->running_var[c] = a->fused ? __builtin_fmaf(momentum, unbiased, old) : momentum * unbiased + old;
    }
    set_line(a, c);
}

/* From the sums of the gradient by what is normalised, and of its products with the distances from the mean. */
static void settle_gradient(const Norm *a, i64 c, double sum, double product) {
    const double n = (double)elements(a), inverse = a->inverse[c];
    a->by_weight[c] = (float)(product * inverse);
    a->by_bias[c] = (float)sum;
    a->average[c] = (float)(sum / n);
    a->projected[c] = (float)(product * inverse * inverse / n);
}

/* ---- strips: up to LANES elements side by side ------------------------------------------------------------------- */

static inline void normalise(const Norm *a, Lanes with, const float *restrict x, float *restrict y, i64 n) {
    if (a->fused)
        for (i64 j = 0; j < n; j++) y[j] = __builtin_fmaf(x[j], with.slope[j], with.shift[j]);
    else
        for (i64 j = 0; j < n; j++) y[j] = x[j] * with.slope[j] + with.shift[j];
}

/* What is normalised, or the spikes of all steps. */
static inline void fire_strip(const Norm *a, Lanes with, i64 at, i64 n) {
    if (!a->fires) {
        normalise(a, with, a->x + at, a->out + at, n);
        return;
    }
    float u[LANES] __attribute__((aligned(64)));
    int32_t most = 0;
    const int affine = (a->fused ? ONCE : TWICE) | EACH;
    for (i64 t = 0; t < a->steps; t++) {
        const i64 here = at + t * a->rows * a->channels * a->inner;
        any_step(&a->neuron, a->x + here, a->out + here, u, with.slope, with.shift, n, affine, t == 0, &most);
    }
}

static inline void add_gradient(const float *restrict gradient, const float *restrict x, const float *restrict mean,
                                double *restrict sums, double *restrict products, i64 n) {
    for (i64 j = 0; j < n; j++) {
        sums[j] += gradient[j];
        products[j] += gradient[j] * (x[j] - mean[j]);
    }
}

/* Gradients by what is normalised, and their products with the distances from the mean, are added to the sums. Behind
   neurons those of all steps go to `out`. */
static inline void through_strip(const Norm *a, Lanes with, i64 at, i64 n, double *restrict sums,
                                 double *restrict products) {
    if (!a->fires) {
        add_gradient(a->gradient + at, a->x + at, with.mean, sums, products, n);
        return;
    }
    float charged[MOST_STEPS][LANES] __attribute__((aligned(64)));
    float u[LANES] __attribute__((aligned(64))), currents[LANES] __attribute__((aligned(64)));
    float sum[LANES] __attribute__((aligned(64))), product[LANES] __attribute__((aligned(64)));
    const float *restrict mean = with.mean;
    const i64 step = a->rows * a->channels * a->inner;
    for (i64 t = 0; t < a->steps; t++) {
        normalise(a, with, a->x + at + t * step, currents, n);
        charge_again(&a->neuron, currents, charged[t], u, n, t == 0);
    }
    for (i64 j = 0; j < n; j++) u[j] = sum[j] = product[j] = 0.0f;
    for (i64 t = a->steps - 1; t >= 0; t--) {
        const float *restrict x = a->x + at + t * step;
        float *restrict out = a->out + at + t * step;
        descend(&a->neuron, charged[t], a->gradient + at + t * step, u, n);
        for (i64 j = 0; j < n; j++) {
            out[j] = u[j];
            sum[j] += u[j];
            product[j] += u[j] * (x[j] - mean[j]);
        }
    }
    for (i64 j = 0; j < n; j++) {
        sums[j] += sum[j];
        products[j] += product[j];
    }
}

/* From the gradient by what is normalised to that by what BatchNorm reads, of one step. */
static inline void lower_strip(const Norm *a, Lanes with, i64 at, i64 n) {
    const float *restrict x = a->x + at, *gradient = (a->fires ? a->out : a->gradient) + at;
    float *out = a->out + at;
    for (i64 j = 0; j < n; j++)
        out[j] = (gradient[j] - with.average[j] - (x[j] - with.mean[j]) * with.projected[j]) * with.slope[j];
}

/* ---- elements of a channel side by side: channel by channel ------------------------------------------------------ */

/* Elements, or the squares of their distances from the mean. */
static inline void add(const float *restrict x, int squared, float mean, double *restrict sums, i64 n) {
    for (i64 j = 0; j < n; j++) {
        const float off = x[j] - mean;
        sums[j] += squared ? off * off : x[j];
    }
}

static inline i64 start_of(const Norm *a, i64 row, i64 c) { return (row * a->channels + c) * a->inner; }

static double total(const double *lanes) {
    double sum = 0.0;
    for (i64 j = 0; j < LANES; j++) sum += lanes[j];
    return sum;
}

static inline double sum_of(const Norm *a, i64 c, int squared) {
    double sums[LANES] = {0};
    const float mean = squared ? a->mean[c] : 0.0f;
    for (i64 row = 0; row < a->steps * a->rows; row++) {
        const float *x = a->x + start_of(a, row, c);
        i64 i = 0;
        for (; i + LANES <= a->inner; i += LANES) add(x + i, squared, mean, sums, LANES);
        add(x + i, squared, mean, sums, a->inner - i);
    }
    return total(sums);
}

/* Every lane is of the same channel. */
static Lanes spread(const Norm *a, i64 c, float lanes[5][LANES]) {
    const float *numbers[] = {a->mean, a->slope, a->shift, a->average, a->projected};
    for (int i = 0; i < 5; i++)
        for (i64 j = 0; j < LANES; j++) lanes[i][j] = numbers[i] ? numbers[i][c] : 0.0f;
    return (Lanes){lanes[0], lanes[1], lanes[2], lanes[3], lanes[4]};
}

static int forward_channels(const void *job, i64 from, i64 to) {
    const Norm *a = job;
    float lanes[5][LANES] __attribute__((aligned(64)));
    for (i64 c = from; c < to; c++) {
        a->mean[c] = (float)(sum_of(a, c, 0) / (double)elements(a));
        settle(a, c, sum_of(a, c, 1));
        const Lanes with = spread(a, c, lanes);
        for (i64 row = 0; row < a->rows; row++)
            for (i64 i = 0; i < a->inner; i += LANES) fire_strip(a, with, start_of(a, row, c) + i, shorter(a->inner - i));
    }
    return 0;
}

static int backward_channels(const void *job, i64 from, i64 to) {
    const Norm *a = job;
    float lanes[5][LANES] __attribute__((aligned(64)));
    for (i64 c = from; c < to; c++) {
        double sums[LANES] = {0}, products[LANES] = {0};
        set_line(a, c);
        Lanes with = spread(a, c, lanes);
        for (i64 row = 0; row < a->rows; row++)
            for (i64 i = 0; i < a->inner; i += LANES)
                through_strip(a, with, start_of(a, row, c) + i, shorter(a->inner - i), sums, products);
        settle_gradient(a, c, total(sums), total(products));
        with = spread(a, c, lanes);
        for (i64 row = 0; row < a->steps * a->rows; row++)
            for (i64 i = 0; i < a->inner; i += LANES) lower_strip(a, with, start_of(a, row, c) + i, shorter(a->inner - i));
    }
    return 0;
}

/* ---- channels side by side: rows, in pieces ---------------------------------------------------------------------- */

static inline Lanes lanes_from(const Norm *a, i64 c) {
    return (Lanes){a->mean + c, a->slope + c, a->shift + c, a->average + c, a->projected + c};
}

static double *sums_of(const Norm *a, i64 piece, int second) { return a->sums + (2 * piece + second) * a->channels; }

static double all_pieces(const Norm *a, i64 c, int second) {
    double sum = 0.0;
    for (i64 piece = 0; piece < PIECES; piece++) sum += sums_of(a, piece, second)[c];
    return sum;
}

static inline i64 first_row(const Norm *a, i64 piece) { return a->rows * piece / PIECES; }

static inline void add_both(const float *restrict x, const float *restrict from, double *restrict sums,
                            double *restrict squares, i64 n) {
    for (i64 j = 0; j < n; j++) {
        const double off = (double)x[j] - from[j];
        sums[j] += off;
        squares[j] += off * off;
    }
}

/* Sums of distances from the first row, which are of the order of the deviation, and of their squares. */
static int measure_rows(const void *job, i64 from, i64 to) {
    const Norm *a = job;
    for (i64 piece = from; piece < to; piece++) {
        double *sums = sums_of(a, piece, 0), *squares = sums_of(a, piece, 1);
        for (i64 c = 0; c < a->channels; c++) sums[c] = squares[c] = 0.0;
        for (i64 t = 0; t < a->steps; t++)
            for (i64 row = first_row(a, piece); row < first_row(a, piece + 1); row++)
                add_both(a->x + (t * a->rows + row) * a->channels, a->x, sums, squares, a->channels);
    }
    return 0;
}

static int fire_rows(const void *job, i64 from, i64 to) {
    const Norm *a = job;
    for (i64 row = first_row(a, from); row < first_row(a, to); row++)
        for (i64 c = 0; c < a->channels; c += LANES)
            fire_strip(a, lanes_from(a, c), row * a->channels + c, shorter(a->channels - c));
    return 0;
}

static int through_rows(const void *job, i64 from, i64 to) {
    const Norm *a = job;
    for (i64 piece = from; piece < to; piece++) {
        double *sums = sums_of(a, piece, 0), *products = sums_of(a, piece, 1);
        for (i64 c = 0; c < a->channels; c++) sums[c] = products[c] = 0.0;
        for (i64 row = first_row(a, piece); row < first_row(a, piece + 1); row++)
            for (i64 c = 0; c < a->channels; c += LANES)
                through_strip(a, lanes_from(a, c), row * a->channels + c, shorter(a->channels - c), sums + c,
                              products + c);
    }
    return 0;
}

static int lower_rows(const void *job, i64 from, i64 to) {
    const Norm *a = job;
    for (i64 t = 0; t < a->steps; t++)
        for (i64 row = first_row(a, from); row < first_row(a, to); row++)
            for (i64 c = 0; c < a->channels; c += LANES)
                lower_strip(a, lanes_from(a, c), (t * a->rows + row) * a->channels + c, shorter(a->channels - c));
    return 0;
}

static void forward_rows(const Norm *a, int threads) {
    const double n = (double)elements(a);
    run(measure_rows, a, PIECES, threads);
    for (i64 c = 0; c < a->channels; c++) {
        const double sum = all_pieces(a, c, 0);
        a->mean[c] = (float)(a->x[c] + sum / n);
        settle(a, c, all_pieces(a, c, 1) - sum * sum / n);
    }
    run(fire_rows, a, PIECES, threads);
}

static void backward_rows(const Norm *a, int threads) {
    for (i64 c = 0; c < a->channels; c++) set_line(a, c);
    run(through_rows, a, PIECES, threads);
    for (i64 c = 0; c < a->channels; c++) settle_gradient(a, c, all_pieces(a, c, 0), all_pieces(a, c, 1));
    run(lower_rows, a, PIECES, threads);
}

/* ---- what is called ---------------------------------------------------------------------------------------------- */

/* Steps x rows x channels x inner, normalised by their own statistics, or the spikes of it, T <= MOST_STEPS. `mean` and
   `inverse` (1 / sqrt(variance + eps)) get these; the running statistics follow them, unless null. Scratch is
   2 (PIECES + 1) numbers for each channel. */
void norm_forward(const float *x, float *result, i64 steps, i64 rows, i64 channels, i64 inner, const float *weight,
                      const float *bias, float *mean, float *inverse, int fused, double *scratch, float *running_mean,
                      float *running_var, double momentum, double eps, int fires, float tau, float threshold,
                      float reset, int exact, int threads) {
    float *numbers = (float *)(scratch + 2 * PIECES * channels);
    const Norm whole = {.x = x, .out = result, .steps = steps, .rows = rows, .channels = channels, .inner = inner,
                        .weight = weight, .bias = bias, .mean = mean, .inverse = inverse, .fused = fused,
                        .running_mean = running_mean, .running_var = running_var, .momentum = (float)momentum,
                        .eps = eps, .fires = fires, .neuron = neuron(tau, threshold, reset, 0.0f, exact), .sums = scratch,
                        .slope = numbers, .shift = numbers + channels};
    if (inner > 1)
        run(forward_channels, &whole, channels, threads);
    else
        forward_rows(&whole, threads);
}

/* Gradients by `x`, which go to `result`, and by weight and bias, of that by what came out. */
void norm_backward(const float *gradient, const float *x, float *result, i64 steps, i64 rows, i64 channels,
                       i64 inner, const float *weight, const float *bias, float *mean, float *inverse, int fused,
                       double *scratch, float *by_weight, float *by_bias, int fires, float tau, float threshold,
                       float reset, float alpha, int exact, int threads) {
    float *numbers = (float *)(scratch + 2 * PIECES * channels);
    const Norm whole = {.x = x, .gradient = gradient, .out = result, .steps = steps, .rows = rows,
                        .channels = channels, .inner = inner, .weight = weight, .bias = bias, .mean = mean,
                        .inverse = inverse, .fused = fused, .by_weight = by_weight, .by_bias = by_bias,
                        .fires = fires, .neuron = neuron(tau, threshold, reset, alpha, exact), .sums = scratch, .slope = numbers,
                        .shift = numbers + channels, .average = numbers + 2 * channels,
                        .projected = numbers + 3 * channels};
    if (inner > 1)
        run(backward_channels, &whole, channels, threads);
    else
        backward_rows(&whole, threads);
}

/* Pools over square windows of planes, forwards and backwards; passes.py compiles and calls them. */

#include "seen.h"

typedef struct {
    const float *x, *gradient;
    float *out;
    uint8_t *places; /* of the maxima in their windows, row by row */
    i64 height, width, rows, columns, kernel, stride, padding;
    i64 each, *nonzero; /* planes of a chunk; not null: what is pooled is looked at, chunk by chunk */
} Pool;

/* The larger of two, NaN if one is. */
static inline float larger(float a, float b) { return a < b || b != b ? b : a; }

/* Whether some zeros are negative. */
static inline int has_negative_zeros(const float *x, i64 n) {
    const bits *restrict b = (const bits *)x;
    int some = 0;
    for (i64 i = 0; i < n; i++) some |= b[i] == 0x80000000u;
    return some;
}

/* Maxima of the windows of one plane, down first, then along lines. */
static inline void pool_plane(const Pool *a, const float *restrict x, float *restrict padded, float *restrict most,
                              float *restrict out) {
    const i64 width = a->width, length = width + 2 * a->padding;
    float *restrict inner = padded + a->padding;
    for (i64 row = 0; row < a->rows; row++, out += a->columns) {
        i64 top = row * a->stride - a->padding, bottom = top + a->kernel;
        top = top < 0 ? 0 : top;
        bottom = bottom > a->height ? a->height : bottom;
        for (i64 j = 0; j < width; j++) inner[j] = x[top * width + j];
        for (i64 y = top + 1; y < bottom; y++)
            for (i64 j = 0; j < width; j++) inner[j] = larger(inner[j], x[y * width + j]);
        for (i64 j = 0; j < length; j++) most[j] = padded[j];
        for (i64 i = 1; i < a->kernel; i++)
            for (i64 j = 0; j < length - i; j++) most[j] = larger(most[j], padded[j + i]);
        for (i64 j = 0; j < a->columns; j++) out[j] = most[j * a->stride];
    }
}

/* The same, row by row: of equal maxima the first one, as in PyTorch. These are zeros that differ in sign. */
static void pool_in_order(const Pool *a, const float *x, float *out) {
    for (i64 row = 0; row < a->rows; row++)
        for (i64 column = 0; column < a->columns; column++) {
            const i64 top = row * a->stride - a->padding, left = column * a->stride - a->padding;
            float most = -INFINITY;
            for (i64 y = top < 0 ? 0 : top; y < top + a->kernel && y < a->height; y++)
                for (i64 j = left < 0 ? 0 : left; j < left + a->kernel && j < a->width; j++)
                    most = larger(most, x[y * a->width + j]);
            out[row * a->columns + column] = most;
        }
}

typedef struct {
    const Pool *pool;
    i64 from, to;
    Seen seen;
} Pooled;

static void *pool(void *argument) {
    Pooled *part = argument;
    const Pool *a = part->pool;
    float padded[WIDEST] __attribute__((aligned(64))), most[WIDEST] __attribute__((aligned(64)));
    const i64 size = a->height * a->width;
    for (i64 j = 0; j < a->width + 2 * a->padding; j++) padded[j] = -INFINITY;
    for (i64 plane = part->from; plane < part->to; plane++) {
        const float *x = a->x + plane * size;
        float *out = a->out + plane * a->rows * a->columns;
        if (a->nonzero) {
            int some = 0;
            for (i64 at = 0; at < size; at += PIECE)
                some += look_at(&part->seen, x + at, size - at < PIECE ? size - at : PIECE);
            __atomic_fetch_add(&a->nonzero[plane / a->each], some, __ATOMIC_RELAXED);
        }
        if (has_negative_zeros(x, size)) pool_in_order(a, x, out);
        else pool_plane(a, x, padded, most, out);
    }
    return 0;
}

/* The same, and where the maxima are: of equal ones the first, row by row. */
static int pool_with_places(const void *job, i64 from, i64 to) {
    const Pool *a = job;
    float padded[WIDEST] __attribute__((aligned(64))), most[WIDEST] __attribute__((aligned(64)));
    int32_t lines[WIDEST] __attribute__((aligned(64))), places[WIDEST] __attribute__((aligned(64)));
    const i64 width = a->width, length = width + 2 * a->padding;
    const int32_t kernel = (int32_t)a->kernel;
    float *restrict inner = padded + a->padding;
    int32_t *restrict line = lines + a->padding;
    for (i64 j = 0; j < length; j++) {
        padded[j] = -INFINITY;
        lines[j] = kernel * kernel; /* behind all places */
    }
    for (i64 plane = from; plane < to; plane++) {
        const float *x = a->x + plane * a->height * width;
        for (i64 row = 0; row < a->rows; row++) {
            float *restrict out = a->out + (plane * a->rows + row) * a->columns;
            uint8_t *restrict at = a->places + (plane * a->rows + row) * a->columns;
            const i64 start = row * a->stride - a->padding, end = start + a->kernel;
            const i64 top = start < 0 ? 0 : start, bottom = end > a->height ? a->height : end;
            for (i64 j = 0; j < width; j++) {
                inner[j] = x[top * width + j];
                line[j] = (int32_t)(top - start) * kernel;
            }
            for (i64 y = top + 1; y < bottom; y++) {
                const int32_t this = (int32_t)(y - start) * kernel;
                for (i64 j = 0; j < width; j++) {
                    const float value = x[y * width + j];
                    const int better = (value > inner[j]) | (value != value);
                    inner[j] = better ? value : inner[j];
                    line[j] = better ? this : line[j];
                }
            }
            for (i64 j = 0; j < length; j++) {
                most[j] = padded[j];
                places[j] = lines[j];
            }
            for (int32_t i = 1; i < kernel; i++)
                for (i64 j = 0; j < length - i; j++) {
                    const float value = padded[j + i];
                    const int32_t place = lines[j + i] + i;
                    const int better = (value > most[j]) | (value != value) | ((value == most[j]) & (place < places[j]));
                    most[j] = better ? value : most[j];
                    places[j] = better ? place : places[j];
                }
            for (i64 j = 0; j < a->columns; j++) {
                out[j] = most[j * a->stride];
                at[j] = (uint8_t)places[j * a->stride];
            }
        }
    }
    return 0;
}

static int unpool(const void *job, i64 from, i64 to) {
    const Pool *a = job;
    i64 within[UINT8_MAX + 1]; /* a plane, where a place in a window is */
    for (i64 place = 0; place < a->kernel * a->kernel; place++)
        within[place] = place / a->kernel * a->width + place % a->kernel;
    for (i64 plane = from; plane < to; plane++) {
        float *out = a->out + plane * a->height * a->width;
        const float *gradient = a->gradient + plane * a->rows * a->columns;
        const uint8_t *places = a->places + plane * a->rows * a->columns;
        for (i64 i = 0; i < a->height * a->width; i++) out[i] = 0.0f;
        for (i64 row = 0; row < a->rows; row++)
            for (i64 column = 0; column < a->columns; column++) {
                const i64 i = row * a->columns + column;
                const i64 window = (row * a->stride - a->padding) * a->width + column * a->stride - a->padding;
                out[window + within[places[i]]] += gradient[i];
            }
    }
    return 0;
}

/* Maxima over windows of planes up to WIDEST wide, padding included; 2 padding <= kernel. Unless `places` is null it gets
   the place of each in its window, kernel <= 15. Unless `nonzero` is null what is pooled is looked at, too, `each` planes a
   chunk, as `look` does with scale 1. */
float max_pool(const float *x, float *out, uint8_t *places, i64 planes, i64 height, i64 width, i64 rows, i64 columns,
               i64 kernel, i64 stride, i64 padding, i64 each, i64 *nonzero, i64 *found, int threads) {
    const Pool whole = {.x = x, .out = out, .places = places, .height = height, .width = width, .rows = rows,
                        .columns = columns, .kernel = kernel, .stride = stride, .padding = padding,
                        .each = each, .nonzero = nonzero};
    if (places) {
        run(pool_with_places, &whole, planes, threads);
        return 0.0f;
    }
    Pooled parts[MOST_THREADS];
    threads = fewest(threads, planes);
    for (int i = 0; i < threads; i++)
        parts[i] = (Pooled){.pool = &whole, .from = planes * i / threads, .to = planes * (i + 1) / threads,
                            .seen = {.scale = 1.0f, .whole = 1}};
    side_by_side(pool, parts, sizeof(Pooled), threads);
    for (int i = 1; i < threads; i++) join(&parts[0].seen, &parts[i].seen);
    return shown(&parts[0].seen, found);
}

/* The gradient of that by its input. */
void max_pool_backward(const float *gradient, float *out, uint8_t *places, i64 planes, i64 height, i64 width, i64 rows,
                       i64 columns, i64 kernel, i64 stride, i64 padding, int threads) {
    const Pool whole = {.gradient = gradient, .out = out, .places = places, .height = height, .width = width,
                        .rows = rows, .columns = columns, .kernel = kernel, .stride = stride, .padding = padding};
    run(unpool, &whole, planes, threads);
}

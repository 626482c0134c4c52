/* Linear layers and convolutions behind spikes in training, forwards and by weight; products.py calls them.

   A row of numbers is added for each element that is not zero, in registers: ACROSS numbers of one result at a time. */

#include <string.h>

#include "threads.h"
#include "words.h"

#if defined(__AVX512F__)
typedef __m512 Vector;
enum { WIDE = 16 };
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#define ALL _mm512_set1_ps
#define GROW _mm512_fmadd_ps
#define VECTORS 1
#elif defined(__AVX2__) && defined(__FMA__)
typedef __m256 Vector;
enum { WIDE = 8 };
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#define ALL _mm256_set1_ps
#define GROW _mm256_fmadd_ps
#define VECTORS 1
#endif

#ifdef VECTORS

/* Rows that run together; pixels that do; bytes of rows to be added that stay near; events that are worth taking sums into
   registers and back. */
enum { ACROSS = 64, REGISTERS = ACROSS / WIDE, ROWS = 128, PIXELS = 256, NEAR = 1 << 15, WORTH = 24 };

/* Whether rows can be added up in registers. */
int vector_unit(void) { return 1; }

/* Elements that are not zero: where the row of each is, and what it is multiplied by. */
typedef struct {
    int32_t *at;
    float *by;
} Events;

static inline i64 tiles_of(i64 n) { return (n + ACROSS - 1) / ACROSS; }

/* From this share on dense products take less time. */
static const double MOST = 0.45;

static Events events_at(char *scratch, i64 most) { return (Events){(int32_t *)scratch, (float *)(scratch + most * 4)}; }

/* The share of them in a sample. */
static double density_of(const float *x, i64 n) {
    const i64 pieces = n < 256 * 64 ? 1 : 64, size = pieces == 1 ? n : 256;
    i64 some = 0;
    for (i64 i = 0; i < pieces; i++) {
        const bits *b = (const bits *)(x + n / pieces * i);
        for (i64 j = 0; j < size; j++) some += (b[j] & 0x7fffffffu) != 0;
    }
    return (double)some / (double)(pieces * size);
}

/* Terms of a sum that are added while the rows of all of them are near, of `terms`, where so many make an event. */
static i64 terms_near(i64 terms, double density) {
    const double worth = density > 0 ? WORTH / density : (double)terms, near = NEAR / (ACROSS * 4);
    const double most = worth > near ? worth : near;
    return most < (double)terms ? (i64)most : terms;
}

static int all_finite(const float *x, i64 n) {
    const bits *restrict b = (const bits *)x;
    int bad = 0;
    for (i64 i = 0; i < n; i++) bad |= (b[i] & 0x7f800000u) == 0x7f800000u;
    return !bad;
}

static inline __attribute__((always_inline)) void add_rows(Vector *sums, const float *rows, const int32_t *at,
                                                           const float *by, i64 n) {
    for (i64 e = 0; e < n; e++) {
        const float *row = rows + at[e];
        const Vector factor = ALL(by[e]);
        for (int j = 0; j < REGISTERS; j++) sums[j] = GROW(factor, LOAD(row + j * WIDE), sums[j]);
    }
}

static inline __attribute__((always_inline)) void take_sums(Vector *sums, const float *from) {
    for (int j = 0; j < REGISTERS; j++) sums[j] = LOAD(from + j * WIDE);
}

static inline __attribute__((always_inline)) void give_sums(const Vector *sums, float *to) {
    for (int j = 0; j < REGISTERS; j++) STORE(to + j * WIDE, sums[j]);
}

/* ---- linear layers ------------------------------------------------------------------------------------------------ */

typedef struct {
    const float *x, *weight, *bias; /* rows x inner, columns x inner, columns or null */
    float *out;                     /* rows x columns */
    i64 rows, inner, columns;
    float *packed;    /* tiles x inner x ACROSS: of the weight; tiles x ACROSS: of the bias */
    char *own;        /* lists of each block of rows that runs */
    i64 near, pieces; /* terms that are added while their rows are near; parts of the sums */
    i64 scratch;
    int threads;
} Linear;

static int pack_weight(const void *job, i64 from, i64 to) {
    const Linear *a = job;
    int bad = 0;
    for (i64 tile = from; tile < to; tile++) {
        float *out = a->packed + tile * a->inner * ACROSS;
        const i64 here = least(a->columns - tile * ACROSS, ACROSS);
        for (i64 k = 0; k < a->inner; k += 16)
            for (i64 j = 0; j < ACROSS; j++) {
                const float *row = a->weight + (tile * ACROSS + j) * a->inner;
                for (i64 i = k; i < least(k + 16, a->inner); i++) out[i * ACROSS + j] = j < here ? row[i] : 0.0f;
            }
        for (i64 j = 0; j < here; j++) bad |= !all_finite(a->weight + (tile * ACROSS + j) * a->inner, a->inner);
        float *bias = a->packed + tiles_of(a->columns) * a->inner * ACROSS + tile * ACROSS;
        for (i64 j = 0; j < ACROSS; j++) bias[j] = a->bias && j < here ? a->bias[tile * ACROSS + j] : 0.0f;
    }
    return bad;
}

static int linear_rows(const void *job, i64 from, i64 to) {
    const Linear *a = job;
    const i64 blocks = (a->rows + ROWS - 1) / ROWS;
    for (i64 id = from; id < to; id++) {
        i64 *starts = (i64 *)(a->own + id * a->scratch); /* row by row, piece by piece */
        float *sums = (float *)(starts + ROWS * a->pieces + 1);
        const Events list = events_at((char *)(sums + ROWS * ACROSS), ROWS * a->inner);
        for (i64 block = id; block < blocks; block += a->threads) { /* later steps hold more spikes */
            const i64 first = block * ROWS, count = least(a->rows - first, ROWS);
            i64 n = 0;
            for (i64 i = 0; i < count; i++) {
                const float *x = a->x + (first + i) * a->inner;
                for (i64 piece = 0; piece < a->pieces; piece++) {
                    const i64 end = least((piece + 1) * a->near, a->inner);
                    starts[i * a->pieces + piece] = n;
                    for (i64 k = piece * a->near; k < end; k += 16)
                        for (uint32_t here = bits_of(x + k, end - k); here; here &= here - 1) {
                            const i64 one = k + __builtin_ctz(here);
                            list.at[n] = (int32_t)(one * ACROSS);
                            list.by[n++] = x[one];
                        }
                }
            }
            starts[count * a->pieces] = n;
            for (i64 tile = 0; tile < tiles_of(a->columns); tile++) {
                const float *rows = a->packed + tile * a->inner * ACROSS;
                const float *bias = a->packed + tiles_of(a->columns) * a->inner * ACROSS + tile * ACROSS;
                const i64 wide = least(a->columns - tile * ACROSS, ACROSS);
                for (i64 piece = 0; piece < a->pieces; piece++)
                    for (i64 i = 0; i < count; i++) {
                        const i64 *at = starts + i * a->pieces + piece;
                        Vector here[REGISTERS];
                        take_sums(here, piece ? sums + i * ACROSS : bias);
                        add_rows(here, rows, list.at + at[0], list.by + at[0], at[1] - at[0]);
                        give_sums(here, sums + i * ACROSS);
                    }
                for (i64 i = 0; i < count; i++)
                    memcpy(a->out + (first + i) * a->columns + tile * ACROSS, sums + i * ACROSS, wide * 4);
            }
        }
    }
    return 0;
}

static Linear linear(i64 rows, i64 inner, i64 columns, int threads) {
    Linear a = {.rows = rows, .inner = inner, .columns = columns, .threads = fewest(threads, (rows + ROWS - 1) / ROWS)};
    a.scratch = (ROWS * inner / (NEAR / (ACROSS * 4)) + ROWS + 1) * sizeof(i64) + ROWS * ACROSS * 4;
    a.scratch = (a.scratch + ROWS * inner * 8 + 63) / 64 * 64;
    return a;
}

/* Bytes of scratch that the next function takes. */
i64 linear_scratch(i64 rows, i64 inner, i64 columns, int threads) {
    const Linear a = linear(rows, inner, columns, threads);
    return tiles_of(columns) * (inner + 1) * ACROSS * 4 + a.threads * a.scratch;
}

/* x, rows x inner, by the weight, columns x inner, and a bias or null. Returns whether there is no result, since too few
   elements are zero or a weight is infinite or NaN. */
int linear_of(const float *x, const float *weight, const float *bias, float *out, i64 rows, i64 inner, i64 columns,
              char *scratch, int threads) {
    Linear a = linear(rows, inner, columns, threads);
    const double density = density_of(x, rows * inner);
    if (density > MOST) return 1;
    a.near = terms_near(inner, density), a.pieces = (inner + a.near - 1) / a.near;
    a.x = x, a.weight = weight, a.bias = bias, a.out = out, a.packed = (float *)scratch;
    a.own = scratch + tiles_of(columns) * (inner + 1) * ACROSS * 4;
    return run(pack_weight, &a, tiles_of(columns), threads) || run(linear_rows, &a, a.threads, a.threads);
}

typedef struct {
    const float *gradient, *x; /* rows x columns, rows x inner */
    float *out;                /* columns x inner */
    i64 rows, inner, columns;
    i64 blocks, block, chunks; /* of rows; bytes of the list of one; parts of `inner` that are added up apart */
    char *lists, *own;
    i64 scratch;
} LinearByWeight;

/* Of a block: where the list of each of `inner` begins and ends, then the lists. */
static i64 *starts_of(const LinearByWeight *a, i64 block) { return (i64 *)(a->lists + block * a->block); }

static Events list_of(const LinearByWeight *a, i64 block) {
    return events_at((char *)(starts_of(a, block) + a->inner + 1), ROWS * a->inner);
}

static int list_columns(const void *job, i64 from, i64 to) {
    const LinearByWeight *a = job;
    for (i64 block = from; block < to; block++) {
        const i64 first = block * ROWS, count = least(a->rows - first, ROWS);
        const Events list = list_of(a, block);
        i64 *starts = starts_of(a, block), n = 0;
        memset(starts, 0, (a->inner + 1) * sizeof *starts);
        for (i64 i = 0; i < count; i++) {
            const bits *restrict x = (const bits *)(a->x + (first + i) * a->inner);
            for (i64 k = 0; k < a->inner; k++) starts[k] += (x[k] & 0x7fffffffu) != 0;
        }
        for (i64 k = 0; k <= a->inner; k++) {
            const i64 here = starts[k];
            starts[k] = n;
            n += here;
        }
        for (i64 i = 0; i < count; i++) {
            const float *x = a->x + (first + i) * a->inner;
            for (i64 k = 0; k < a->inner; k += 16)
                for (uint32_t here = bits_of(x + k, a->inner - k); here; here &= here - 1) {
                    const i64 one = k + __builtin_ctz(here), e = starts[one]++;
                    list.at[e] = (int32_t)(i * ACROSS);
                    list.by[e] = x[one];
                }
        }
        memmove(starts + 1, starts, a->inner * sizeof *starts); /* each now stands where the next one begins */
        starts[0] = 0;
    }
    return 0;
}

static int add_gradients(const void *job, i64 from, i64 to) {
    const LinearByWeight *a = job;
    for (i64 task = from; task < to; task++) {
        const i64 tile = task / a->chunks, chunk = task % a->chunks, wide = least(a->columns - tile * ACROSS, ACROSS);
        const i64 first = a->inner * chunk / a->chunks, last = a->inner * (chunk + 1) / a->chunks;
        float *sums = (float *)(a->own + task * a->scratch), *rows = sums + (last - first) * ACROSS;
        memset(sums, 0, (last - first) * ACROSS * 4);
        if (wide < ACROSS) memset(rows, 0, ROWS * ACROSS * 4);
        for (i64 block = 0; block < a->blocks; block++) {
            const i64 start = block * ROWS, count = least(a->rows - start, ROWS);
            for (i64 i = 0; i < count; i++)
                memcpy(rows + i * ACROSS, a->gradient + (start + i) * a->columns + tile * ACROSS, wide * 4);
            if (!all_finite(rows, count * ACROSS)) return 1;
            const Events list = list_of(a, block);
            const i64 *starts = starts_of(a, block);
            for (i64 k = first; k < last; k++) {
                Vector here[REGISTERS];
                if (starts[k] == starts[k + 1]) continue;
                take_sums(here, sums + (k - first) * ACROSS);
                add_rows(here, rows, list.at + starts[k], list.by + starts[k], starts[k + 1] - starts[k]);
                give_sums(here, sums + (k - first) * ACROSS);
            }
        }
        for (i64 j = 0; j < wide; j++) {
            float *out = a->out + (tile * ACROSS + j) * a->inner;
            for (i64 k = first; k < last; k++) out[k] = sums[(k - first) * ACROSS + j];
        }
    }
    return 0;
}

static LinearByWeight linear_by(i64 rows, i64 inner, i64 columns, int threads) {
    LinearByWeight a = {.rows = rows, .inner = inner, .columns = columns};
    a.blocks = (rows + ROWS - 1) / ROWS;
    a.block = ((inner + 1) * sizeof(i64) + ROWS * inner * 8 + 63) / 64 * 64;
    a.chunks = least((threads + tiles_of(columns) - 1) / tiles_of(columns), inner);
    a.scratch = ((inner + a.chunks - 1) / a.chunks + ROWS) * ACROSS * 4;
    return a;
}

/* Bytes of scratch that the next function takes. */
i64 linear_by_weight_scratch(i64 rows, i64 inner, i64 columns, int threads) {
    const LinearByWeight a = linear_by(rows, inner, columns, threads);
    return a.blocks * a.block + tiles_of(columns) * a.chunks * a.scratch;
}

/* The gradient by the weight, columns x inner: that by what came out, rows x columns, times x, rows x inner. Returns as
   `linear_of` does. */
int linear_by_weight(const float *gradient, const float *x, float *out, i64 rows, i64 inner, i64 columns, char *scratch,
                     int threads) {
    LinearByWeight a = linear_by(rows, inner, columns, threads);
    if (density_of(x, rows * inner) > MOST) return 1;
    a.gradient = gradient, a.x = x, a.out = out, a.lists = scratch, a.own = scratch + a.blocks * a.block;
    return run(list_columns, &a, a.blocks, threads) || run(add_gradients, &a, tiles_of(columns) * a.chunks, threads);
}

/* ---- convolutions that keep the size of images --------------------------------------------------------------------- */

typedef struct {
    const float *x, *weight, *bias, *gradient; /* images x inner x plane; columns x inner x taps; columns; as the result */
    float *out;                                /* images x columns x plane; or as the weight */
    i64 images, inner, columns, height, width, kernel;
    float *packed; /* tiles x taps x inner x ACROSS: of the weight; tiles x ACROSS: of the bias */
    char *lists, *own;
    i64 list, scratch, chunks; /* bytes of one image, of one thread or task; parts of `inner` that are added up apart */
    i64 group, near;           /* images whose pixels run together; taps that are added while their rows are near */
    int threads;
} Windows;

static i64 taps_of(const Windows *a) { return a->kernel * a->kernel; }
static i64 plane_of(const Windows *a) { return a->height * a->width; }

static int pack_windows(const void *job, i64 from, i64 to) {
    const Windows *a = job;
    const i64 taps = taps_of(a);
    int bad = 0;
    for (i64 tile = from; tile < to; tile++) {
        float *out = a->packed + tile * taps * a->inner * ACROSS;
        const i64 here = least(a->columns - tile * ACROSS, ACROSS);
        for (i64 j = 0; j < ACROSS; j++) {
            const float *from_here = a->weight + (tile * ACROSS + j) * a->inner * taps;
            for (i64 c = 0; c < a->inner; c++)
                for (i64 tap = 0; tap < taps; tap++)
                    out[(tap * a->inner + c) * ACROSS + j] = j < here ? from_here[c * taps + tap] : 0.0f;
            if (j < here) bad |= !all_finite(from_here, a->inner * taps);
        }
        float *bias = a->packed + tiles_of(a->columns) * taps * a->inner * ACROSS + tile * ACROSS;
        for (i64 j = 0; j < ACROSS; j++) bias[j] = a->bias && j < here ? a->bias[tile * ACROSS + j] : 0.0f;
    }
    return bad;
}

/* The list of each pixel of some images: which channels are not zero there. */
static void list_pixels(const Windows *a, i64 image, i64 images, i64 *starts, Events list) {
    const i64 plane = plane_of(a);
    i64 n = 0;
    memset(starts, 0, (images * plane + 1) * sizeof *starts);
    for (i64 i = 0; i < images * a->inner; i++) {
        const bits *restrict b = (const bits *)(a->x + (image * a->inner + i) * plane);
        i64 *restrict counts = starts + i / a->inner * plane;
        for (i64 p = 0; p < plane; p++) counts[p] += (b[p] & 0x7fffffffu) != 0;
    }
    for (i64 p = 0; p <= images * plane; p++) {
        const i64 here = starts[p];
        starts[p] = n;
        n += here;
    }
    for (i64 i = 0; i < images * a->inner; i++) {
        const float *x = a->x + (image * a->inner + i) * plane;
        i64 *ends = starts + i / a->inner * plane;
        for (i64 p = 0; p < plane; p += 16)
            for (uint32_t here = bits_of(x + p, plane - p); here; here &= here - 1) {
                const i64 one = p + __builtin_ctz(here), e = ends[one]++;
                list.at[e] = (int32_t)(i % a->inner * ACROSS);
                list.by[e] = x[one];
            }
    }
    memmove(starts + 1, starts, images * plane * sizeof *starts);
    starts[0] = 0;
}

/* Sums of so many pixels from `first` on, pixels x ACROSS, grow by taps from `tap` to `end`. */
static void add_taps(const Windows *a, const i64 *starts, Events list, i64 tile, i64 first, i64 count, i64 tap, i64 end,
                     float *sums) {
    const i64 taps = taps_of(a), pad = a->kernel / 2, plane = plane_of(a);
    const float *rows = a->packed + tile * taps * a->inner * ACROSS;
    for (i64 i = 0; i < count; i++) {
        const i64 image = (first + i) / plane * plane, y = (first + i - image) / a->width, x = (first + i - image) % a->width;
        Vector here[REGISTERS];
        take_sums(here, sums + i * ACROSS);
        for (i64 t = tap; t < end; t++) {
            const i64 row = y + t / a->kernel - pad, column = x + t % a->kernel - pad;
            if (row < 0 || row >= a->height || column < 0 || column >= a->width) continue;
            const i64 *at = starts + image + row * a->width + column;
            add_rows(here, rows + t * a->inner * ACROSS, list.at + at[0], list.by + at[0], at[1] - at[0]);
        }
        give_sums(here, sums + i * ACROSS);
    }
}

/* Finished sums of so many pixels from `first` on, into the planes of their images. */
static void put_pixels(const Windows *a, i64 image, i64 tile, i64 first, i64 count, const float *sums) {
    const i64 plane = plane_of(a), wide = least(a->columns - tile * ACROSS, ACROSS);
    for (i64 i = 0; i < count;) {
        const i64 of = (first + i) / plane, p = (first + i) % plane, here = least(count - i, plane - p);
        float *out = a->out + ((image + of) * a->columns + tile * ACROSS) * plane + p;
        for (i64 j = 0; j < wide; j++)
            for (i64 k = 0; k < here; k++) out[j * plane + k] = sums[(i + k) * ACROSS + j];
        i += here;
    }
}

static int windows_of_images(const void *job, i64 from, i64 to) {
    const Windows *a = job;
    const i64 plane = plane_of(a), taps = taps_of(a), groups = (a->images + a->group - 1) / a->group;
    for (i64 id = from; id < to; id++) {
        i64 *starts = (i64 *)(a->own + id * a->scratch);
        float *sums = (float *)(starts + a->group * plane + 1);
        const Events list = events_at((char *)(sums + PIXELS * ACROSS), a->group * a->inner * plane);
        for (i64 group = id; group < groups; group += a->threads) {
            const i64 image = group * a->group, images = least(a->images - image, a->group);
            list_pixels(a, image, images, starts, list);
            for (i64 tile = 0; tile < tiles_of(a->columns); tile++) {
                const float *bias = a->packed + tiles_of(a->columns) * taps * a->inner * ACROSS + tile * ACROSS;
                for (i64 first = 0; first < images * plane; first += PIXELS) {
                    const i64 count = least(images * plane - first, PIXELS);
                    for (i64 i = 0; i < count; i++) memcpy(sums + i * ACROSS, bias, ACROSS * 4);
                    for (i64 tap = 0; tap < taps; tap += a->near)
                        add_taps(a, starts, list, tile, first, count, tap, least(tap + a->near, taps), sums);
                    put_pixels(a, image, tile, first, count, sums);
                }
            }
        }
    }
    return 0;
}

static Windows windows(i64 images, i64 inner, i64 columns, i64 height, i64 width, i64 kernel, int threads) {
    Windows a = {.images = images, .inner = inner, .columns = columns, .height = height, .width = width, .kernel = kernel};
    a.group = least(images, (PIXELS + plane_of(&a) - 1) / plane_of(&a));
    a.threads = fewest(threads, (images + a.group - 1) / a.group);
    a.scratch = (a.group * plane_of(&a) + 1) * sizeof(i64) + PIXELS * ACROSS * 4;
    a.scratch = (a.scratch + a.group * inner * plane_of(&a) * 8 + 63) / 64 * 64;
    return a;
}

/* Bytes of scratch that the next function takes. */
i64 windows_scratch(i64 images, i64 inner, i64 columns, i64 height, i64 width, i64 kernel, int threads) {
    const Windows a = windows(images, inner, columns, height, width, kernel, threads);
    return tiles_of(columns) * (taps_of(&a) * inner + 1) * ACROSS * 4 + a.threads * a.scratch;
}

/* A convolution of images x inner x height x width by windows that are square, odd and padded to keep that size. Returns
   as `linear_of` does. */
int windows_of(const float *x, const float *weight, const float *bias, float *out, i64 images, i64 inner, i64 columns,
               i64 height, i64 width, i64 kernel, char *scratch, int threads) {
    Windows a = windows(images, inner, columns, height, width, kernel, threads);
    const double density = density_of(x, images * inner * height * width);
    if (density > MOST) return 1;
    a.near = terms_near(taps_of(&a) * inner, density) / inner;
    a.near = a.near < 1 ? 1 : a.near;
    a.x = x, a.weight = weight, a.bias = bias, a.out = out, a.packed = (float *)scratch;
    a.own = scratch + tiles_of(columns) * (taps_of(&a) * inner + 1) * ACROSS * 4;
    return run(pack_windows, &a, tiles_of(columns), threads) || run(windows_of_images, &a, a.threads, a.threads);
}

/* Lists of each image and channel: the pixels that are not zero, in rows that are as long as those of padded images. */
static int list_channels(const void *job, i64 from, i64 to) {
    const Windows *a = job;
    const i64 plane = plane_of(a), row = a->width + a->kernel - 1;
    for (i64 image = from; image < to; image++) {
        i64 *starts = (i64 *)(a->lists + image * a->list), n = 0;
        const Events list = events_at((char *)(starts + a->inner + 1), a->inner * plane);
        const float *x = a->x + image * a->inner * plane;
        for (i64 c = 0; c < a->inner; c++, x += plane) {
            starts[c] = n;
            for (i64 y = 0; y < a->height; y++)
                for (i64 p = 0; p < a->width; p += 16)
                    for (uint32_t here = bits_of(x + y * a->width + p, a->width - p); here; here &= here - 1) {
                        const i64 one = p + __builtin_ctz(here);
                        list.at[n] = (int32_t)((y * row + one) * ACROSS);
                        list.by[n++] = x[y * a->width + one];
                    }
        }
        starts[a->inner] = n;
    }
    return 0;
}

static int add_windows(const void *job, i64 from, i64 to) {
    const Windows *a = job;
    const i64 plane = plane_of(a), taps = taps_of(a), pad = a->kernel / 2, row = a->width + 2 * pad;
    const i64 padded = (a->height + 2 * pad) * row;
    for (i64 task = from; task < to; task++) {
        const i64 tile = task / a->chunks, chunk = task % a->chunks, wide = least(a->columns - tile * ACROSS, ACROSS);
        const i64 first = a->inner * chunk / a->chunks, last = a->inner * (chunk + 1) / a->chunks;
        float *sums = (float *)(a->own + task * a->scratch), *pixels = sums + (last - first) * taps * ACROSS;
        memset(sums, 0, ((last - first) * taps + padded) * ACROSS * 4);
        for (i64 image = 0; image < a->images; image++) {
            const float *gradient = a->gradient + (image * a->columns + tile * ACROSS) * plane;
            if (!all_finite(gradient, wide * plane)) return 1;
            for (i64 y = 0; y < a->height; y++)
                for (i64 p = 0; p < a->width; p++) {
                    float *pixel = pixels + ((y + pad) * row + p + pad) * ACROSS;
                    for (i64 j = 0; j < wide; j++) pixel[j] = gradient[j * plane + y * a->width + p];
                }
            const i64 *starts = (const i64 *)(a->lists + image * a->list);
            const Events list = events_at((char *)(starts + a->inner + 1), a->inner * plane);
            for (i64 c = first; c < last; c++) {
                if (starts[c] == starts[c + 1]) continue;
                for (i64 tap = 0; tap < taps; tap++) {
                    const i64 back = (2 * pad - tap / a->kernel) * row + 2 * pad - tap % a->kernel;
                    float *here = sums + ((c - first) * taps + tap) * ACROSS;
                    Vector total[REGISTERS];
                    take_sums(total, here);
                    add_rows(total, pixels + back * ACROSS, list.at + starts[c], list.by + starts[c], starts[c + 1] - starts[c]);
                    give_sums(total, here);
                }
            }
        }
        for (i64 j = 0; j < wide; j++) {
            float *out = a->out + (tile * ACROSS + j) * a->inner * taps;
            for (i64 i = first * taps; i < last * taps; i++) out[i] = sums[(i - first * taps) * ACROSS + j];
        }
    }
    return 0;
}

static Windows windows_by(i64 images, i64 inner, i64 columns, i64 height, i64 width, i64 kernel, int threads) {
    Windows a = windows(images, inner, columns, height, width, kernel, threads);
    a.list = ((inner + 1) * sizeof(i64) + inner * plane_of(&a) * 8 + 63) / 64 * 64;
    a.chunks = least((threads + tiles_of(columns) - 1) / tiles_of(columns), inner);
    a.scratch = (inner + a.chunks - 1) / a.chunks * taps_of(&a) + (height + kernel - 1) * (width + kernel - 1);
    a.scratch *= ACROSS * 4;
    return a;
}

/* Bytes of scratch that the next function takes. */
i64 windows_by_weight_scratch(i64 images, i64 inner, i64 columns, i64 height, i64 width, i64 kernel, int threads) {
    const Windows a = windows_by(images, inner, columns, height, width, kernel, threads);
    return images * a.list + tiles_of(columns) * a.chunks * a.scratch;
}

/* The gradient by the weight, columns x inner x kernel x kernel, of that by the result, images x columns x height x width;
   x is images x inner x height x width. Returns as `linear_of` does. */
int windows_by_weight(const float *gradient, const float *x, float *out, i64 images, i64 inner, i64 columns, i64 height,
                      i64 width, i64 kernel, char *scratch, int threads) {
    Windows a = windows_by(images, inner, columns, height, width, kernel, threads);
    if (density_of(x, images * inner * height * width) > MOST) return 1;
    a.gradient = gradient, a.x = x, a.out = out, a.lists = scratch, a.own = scratch + images * a.list;
    return run(list_channels, &a, images, threads) || run(add_windows, &a, tiles_of(columns) * a.chunks, threads);
}

#else
int vector_unit(void) { return 0; }
#endif

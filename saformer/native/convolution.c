/* Convolutions behind spikes in training, forwards and backwards, on the matrix unit; products.py calls them.

   Windows are square and odd, go step by step, and reach beyond the border as far as the result has the size of the image.
   A group of images is laid out as one line for each channel: rows of pixels with zeros behind each row, each image, and
   around all. So the pixel that a place in the window is at lies at the same distance from every pixel. */

#include "split.h"

#ifdef MATRIX_UNIT

typedef struct {
    i64 images, channels, height, width; /* of what is laid out */
    i64 kernel, pad, row, image;         /* pixels from a row, an image to the next */
    i64 group, groups;                   /* images of a line */
    i64 length, lead, span;              /* of a line: pixels with a result; zeros before; in all */
    i64 tall;                            /* channels and what fills up a step */
} Layout;

static Layout layout(i64 images, i64 channels, i64 height, i64 width, i64 kernel) {
    Layout a = {.images = images, .channels = channels, .height = height, .width = width, .kernel = kernel};
    a.pad = kernel / 2;
    a.row = width + a.pad;
    a.image = (height + a.pad) * a.row;
    a.lead = up(a.pad * a.row + a.pad, 16);
    a.tall = up(channels, STEP);
    return a;
}

static Layout grouped(Layout a, i64 group) {
    a.group = group < 1 ? 1 : group;
    a.groups = (a.images + a.group - 1) / a.group;
    a.length = up((a.group - 1) * a.image + (a.height - 1) * a.row + a.width, ACROSS);
    a.span = 2 * a.lead + a.length;
    if (a.span % 256 == 0) a.span += 16; /* rows of tiles fall on different lines of the cache */
    return a;
}

static i64 images_of(const Layout *a, i64 group) { return least(a->images - group * a->group, a->group); }

static i64 place(const Layout *a, i64 image, i64 y) { return a->lead + image * a->image + y * a->row; }

/* From a pixel to the one that a place in the window is at. */
static i64 offset(const Layout *a, i64 tap) {
    return (tap / a->kernel - a->pad) * a->row + tap % a->kernel - a->pad;
}

/* ---- what comes out, and the gradient by what is read ------------------------------------------------------------ */

typedef struct {
    const float *x, *weight, *bias;
    float *out;
    Layout in;
    i64 channels;  /* of the result */
    int pieces;    /* of x */
    int back;      /* windows are turned round, and the weight is from-channels x to-channels */
    i64 scratch;
    char *packed, *own;
    int threads;
} Convolution;

static i64 taps_of(const Layout *a) { return a->kernel * a->kernel; }
static i64 block_bytes(const Layout *in) { return taps_of(in) * (in->tall / STEP) * PIECES_OF * 2 * TILE; }

/* For ACROSS channels of the result: places in the window, steps, pieces, two tiles of 16 channels x STEP channels. */
static int pack_weight(const void *job, i64 from, i64 to) {
    const Convolution *a = job;
    const i64 taps = taps_of(&a->in), inner = a->in.channels, steps = a->in.tall / STEP;
    float terms[STEP] __attribute__((aligned(64)));
    int bad = 0;
    for (i64 block = from; block < to; block++)
        for (i64 tap = 0; tap < taps; tap++)
            for (i64 s = 0; s < steps; s++)
                for (i64 o = 0; o < ACROSS; o++) {
                    const i64 n = block * ACROSS + o, here = n < a->channels ? least(inner - s * STEP, STEP) : 0;
                    for (i64 j = 0; j < STEP; j++) terms[j] = 0.0f;
                    if (a->back)
                        for (i64 j = 0; j < here; j++)
                            terms[j] = a->weight[((s * STEP + j) * a->channels + n) * taps + taps - 1 - tap];
                    else
                        for (i64 j = 0; j < here; j++) terms[j] = a->weight[(n * inner + s * STEP + j) * taps + tap];
                    char *tile = a->packed + block * block_bytes(&a->in) + (tap * steps + s) * PIECES_OF * 2 * TILE +
                                 o / 16 * TILE + o % 16 * 64;
                    bad |= take_row(terms, (uint16_t *)tile, 2 * TILE / 2, STEP, PIECES_OF);
                }
    return bad;
}

/* Pairs of channels of a group, pieces x tall/2 x span. */
static int pair_channels(const Convolution *a, i64 group, bits *to) {
    const Layout *in = &a->in;
    const i64 plane = in->height * in->width;
    int bad = 0;
    for (i64 image = 0; image < images_of(in, group); image++)
        for (i64 c = 0; c < in->channels; c += 2) {
            const float *even = a->x + ((group * in->group + image) * in->channels + c) * plane;
            const float *odd = c + 1 < in->channels ? even + plane : 0;
            for (i64 y = 0; y < in->height; y++)
                bad |= pair_rows(even + y * in->width, odd ? odd + y * in->width : 0,
                                 to + c / 2 * in->span + place(in, image, y), in->tall / 2 * in->span, in->width,
                                 a->pieces);
            if (bad) return bad;
        }
    return bad;
}

static i64 line_of(const Layout *in) { return in->length + 16; }

static void put_block(const Convolution *a, i64 group, i64 first, const float *sums) {
    const Layout *in = &a->in;
    for (i64 image = 0; image < images_of(in, group); image++)
        for (i64 n = first; n < least(first + ACROSS, a->channels); n++) {
            const float *sum = sums + (n - first) * line_of(in) + image * in->image, bias = a->bias ? a->bias[n] : 0.0f;
            float *out = a->out + ((group * in->group + image) * a->channels + n) * in->height * in->width;
            for (i64 y = 0; y < in->height; y++)
                for (i64 j = 0; j < in->width; j++) out[y * in->width + j] = sum[y * in->row + j] + bias;
        }
}

static int convolve(const void *job, i64 from, i64 to) {
    const Convolution *a = job;
    const Layout *in = &a->in;
    const i64 taps = taps_of(in), steps = in->tall / STEP, line = line_of(in), most = a->pieces == 1 ? RUN : 2;
    int bad = 0;
    use_tiles();
    for (i64 id = from; id < to; id++) {
        bits *pairs = (bits *)(a->own + id * a->scratch);
        float *sums = (float *)(pairs + a->pieces * in->tall / 2 * in->span);
        memset(pairs, 0, a->pieces * in->tall / 2 * in->span * 4);
        for (i64 group = in->groups * id / a->threads; group < in->groups * (id + 1) / a->threads; group++) {
            bad |= pair_channels(a, group, pairs);
            if (bad) break;
            for (i64 n = 0; n < a->channels; n += ACROSS) {
                const char *block = a->packed + n / ACROSS * block_bytes(in);
                for (i64 tap = 0; tap < taps; tap++)
                    for (i64 s = 0; s < steps; s += most) {
                        const Side left = {block + (tap * steps + s) * PIECES_OF * 2 * TILE, 64, TILE, 2 * TILE,
                                           PIECES_OF * 2 * TILE};
                        Side right = {0, in->span * 4, 64, in->tall / 2 * in->span * 4, PAIRS * in->span * 4};
                        const bits *start = pairs + s * PAIRS * in->span + in->lead + offset(in, tap);
                        for (i64 i = 0; i < in->length; i += ACROSS) {
                            right.at = (const char *)(start + i);
                            grow(left, 3, right, a->pieces, least(steps - s, most), sums + i, line, tap + s == 0);
                        }
                    }
                put_block(a, group, n, sums);
            }
        }
    }
    _tile_release();
    return bad;
}

static Convolution convolution(i64 images, i64 inner, i64 channels, i64 height, i64 width, i64 kernel, int pieces,
                               int threads) {
    Convolution a = {.in = layout(images, inner, height, width, kernel), .channels = channels, .pieces = pieces};
    i64 most = PANEL / ((a.pieces * a.in.tall * 2 + ACROSS * 4) * a.in.image);
    if (most < 1) most = 1;
    a.threads = fewest(threads, images);
    const i64 groups = up((images + most - 1) / most, a.threads);
    a.in = grouped(a.in, (images + groups - 1) / groups);
    a.scratch = up(pieces * a.in.tall * 2 * a.in.span + ACROSS * line_of(&a.in) * 4, 4096) + 128;
    return a;
}

/* Bytes of scratch that the next function takes. */
i64 convolution_scratch(i64 images, i64 inner, i64 channels, i64 height, i64 width, i64 kernel, int pieces, int threads) {
    const Convolution a = convolution(images, inner, channels, height, width, kernel, pieces, threads);
    return up(channels, ACROSS) / ACROSS * block_bytes(&a.in) + a.threads * a.scratch;
}

/* Images x inner x height x width, with a weight channels x inner x kernel x kernel and a bias, or null; or, `back`, the
   gradient by what a convolution reads of that by its result, with its weight inner x channels x kernel x kernel. Returns
   as `product_of` does. */
int convolution_of(const float *x, const float *weight, const float *bias, float *out, i64 images, i64 inner, i64 channels,
                   i64 height, i64 width, i64 kernel, int back, int pieces, char *scratch, int threads) {
    Convolution a = convolution(images, inner, channels, height, width, kernel, pieces, threads);
    const i64 blocks = up(channels, ACROSS) / ACROSS;
    a.x = x, a.weight = weight, a.bias = bias, a.out = out, a.back = back;
    a.packed = scratch, a.own = scratch + blocks * block_bytes(&a.in);
    return run(pack_weight, &a, blocks, threads) || run(convolve, &a, a.threads, a.threads);
}

/* ---- the gradient by the weight ---------------------------------------------------------------------------------- */

typedef struct {
    const float *gradient, *x;
    float *out; /* columns x in.channels x taps */
    Layout in;
    i64 columns;
    i64 ranges, scratch;
    char *packed, *own;
} ByWindow;

/* Lines of channels, groups x tall x span. */
static int take_lines(const void *job, i64 from, i64 to) {
    const ByWindow *a = job;
    const Layout *in = &a->in;
    const i64 plane = in->height * in->width;
    int bad = 0;
    for (i64 group = from; group < to && !bad; group++) {
        uint16_t *lines = (uint16_t *)a->packed + group * in->tall * in->span;
        memset(lines, 0, in->tall * in->span * 2);
        for (i64 image = 0; image < images_of(in, group); image++)
            for (i64 c = 0; c < in->channels && !bad; c++)
                for (i64 y = 0; y < in->height; y++)
                    bad |= take_row(a->x + ((group * in->group + image) * in->channels + c) * plane + y * in->width,
                                    lines + c * in->span + place(in, image, y), 0, in->width, 1);
    }
    return bad;
}

/* Pieces of the gradient of ACROSS channels of a group, pieces x ACROSS x length. */
static int take_gradient(const ByWindow *a, i64 group, i64 block, uint16_t *to) {
    const Layout *in = &a->in;
    const i64 plane = in->height * in->width;
    int bad = 0;
    if (images_of(in, group) < in->group) memset(to, 0, PIECES_OF * ACROSS * in->length * 2);
    for (i64 image = 0; image < images_of(in, group); image++)
        for (i64 n = block * ACROSS; n < block * ACROSS + ACROSS; n++) {
            const float *from = a->gradient + ((group * in->group + image) * a->columns + n) * plane;
            for (i64 y = 0; y < in->height; y++) {
                uint16_t *row = to + (n % ACROSS) * in->length + place(in, image, y) - in->lead;
                if (n < a->columns)
                    bad |= take_row(from + y * in->width, row, ACROSS * in->length, in->width, PIECES_OF);
                else
                    for (int p = 0; p < PIECES_OF; p++) memset(row + p * ACROSS * in->length, 0, in->width * 2);
            }
        }
    return bad;
}

static int add_windows(const void *job, i64 from, i64 to) {
    const ByWindow *a = job;
    const Layout *in = &a->in;
    const i64 taps = taps_of(in), blocks = up(a->columns, ACROSS) / ACROSS, steps = in->length / STEP;
    char tiles[RUN * PIECES_OF * 2 * TILE] __attribute__((aligned(64)));
    int bad = 0;
    use_tiles();
    for (i64 range = from; range < to; range++) {
        const i64 first = blocks * range / a->ranges, last = blocks * (range + 1) / a->ranges;
        const i64 line = (last - first) * ACROSS + 16;
        uint16_t *rows = (uint16_t *)(a->own + range * a->scratch);
        float *sums = (float *)(rows + PIECES_OF * ACROSS * in->length);
        memset(rows, 0, PIECES_OF * ACROSS * in->length * 2);
        for (i64 group = 0; group < in->groups && !bad; group++) {
            const uint16_t *lines = (const uint16_t *)a->packed + group * in->tall * in->span;
            for (i64 block = first; block < last && !bad; block++) {
                bad |= take_gradient(a, group, block, rows);
                for (i64 s = 0; s < steps; s += RUN) {
                    const i64 run = least(steps - s, RUN);
                    for (i64 i = 0; i < run; i++)
                        for (int p = 0; p < PIECES_OF; p++)
                            for (int half = 0; half < 2; half++)
                                turn(rows + (p * ACROSS + half * 16) * in->length + (s + i) * STEP, in->length / 2,
                                     tiles + ((i * PIECES_OF + p) * 2 + half) * TILE, 16);
                    const Side right = {tiles, 64, TILE, 2 * TILE, PIECES_OF * 2 * TILE};
                    for (i64 tap = 0; tap < taps; tap++)
                        for (i64 c = 0; c < in->tall; c += ACROSS) {
                            const Side left = {(const char *)(lines + c * in->span + in->lead + s * STEP + offset(in, tap)),
                                               in->span * 2, 16 * in->span * 2, 0, STEP * 2};
                            grow(left, 1, right, 3, run, sums + (tap * in->tall + c) * line + (block - first) * ACROSS,
                                 line, group + s == 0);
                        }
                }
            }
        }
        for (i64 n = first * ACROSS; n < least(last * ACROSS, a->columns); n++)
            for (i64 c = 0; c < in->channels; c++)
                for (i64 tap = 0; tap < taps; tap++)
                    a->out[(n * in->channels + c) * taps + tap] =
                        sums[(tap * in->tall + c) * line + n - first * ACROSS];
    }
    _tile_release();
    return bad;
}

/* Groups do not depend on the number of threads: the order of the sums is always the same. */
static ByWindow by_window(i64 images, i64 inner, i64 columns, i64 height, i64 width, i64 kernel, int threads) {
    ByWindow a = {.in = layout(images, inner, height, width, kernel), .columns = columns};
    a.in = grouped(a.in, least(PANEL / 4 / (a.in.tall * 2 * a.in.image), images));
    const i64 blocks = up(columns, ACROSS) / ACROSS, tall = taps_of(&a.in) * a.in.tall;
    a.ranges = least(up((tall * blocks * ACROSS * 4 + PANEL - 1) / PANEL, threads), blocks);
    a.scratch = PIECES_OF * ACROSS * a.in.length * 2 + tall * ((blocks + a.ranges - 1) / a.ranges * ACROSS + 16) * 4;
    a.scratch = up(a.scratch, 4096) + 128;
    return a;
}

/* Bytes of scratch that the next function takes. */
i64 by_window_scratch(i64 images, i64 inner, i64 columns, i64 height, i64 width, i64 kernel, int threads) {
    const ByWindow a = by_window(images, inner, columns, height, width, kernel, threads);
    return up(a.in.groups * a.in.tall * a.in.span * 2, 64) + a.ranges * a.scratch;
}

/* The gradient by the weight, columns x inner x kernel x kernel, of that by the result, images x columns x height x width;
   x is images x inner x height x width. Returns as `product_of` does. */
int convolution_by_weight(const float *gradient, const float *x, float *out, i64 images, i64 inner, i64 columns,
                          i64 height, i64 width, i64 kernel, char *scratch, int threads) {
    ByWindow a = by_window(images, inner, columns, height, width, kernel, threads);
    a.gradient = gradient, a.x = x, a.out = out;
    a.packed = scratch, a.own = scratch + up(a.in.groups * a.in.tall * a.in.span * 2, 64);
    return run(take_lines, &a, a.in.groups, threads) || run(add_windows, &a, a.ranges, threads);
}

#endif

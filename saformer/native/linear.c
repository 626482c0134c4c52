/* Linear layers behind spikes in training, forwards and backwards, on the matrix unit; products.py calls them. */

#include "split.h"

#ifdef MATRIX_UNIT
#include <sys/syscall.h>
#include <unistd.h>

/* Whether there is a matrix unit, and the system lets this process use it. */
int matrix_unit(void) { return syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* XTILEDATA */) == 0; }

typedef struct {
    const float *x, *factor, *bias; /* rows x inner; what they are multiplied by; one number for each column, or null */
    float *out;                     /* rows x columns */
    i64 rows, inner, columns;
    int by_columns; /* the factor is columns x inner, else inner x columns */
    int pieces;     /* of x */
    i64 share, shares, chunk; /* rows of a share, a multiple of ACROSS; terms that are looked at together */
    i64 scratch;
    char *packed, *own; /* the factor's pieces; scratch of each thread */
    int threads;
} Product;

static i64 steps_of(i64 n) { return up(n, STEP) / STEP; }

/* Bytes of ACROSS columns of the factor: steps, pieces, two tiles of pairs of terms x 16 columns. */
static i64 block_bytes(i64 inner) { return steps_of(inner) * PIECES_OF * 2 * TILE; }

/* Tiles of pairs of rows, from row `k` on, of 2 x 16 columns from `n` on, all pieces. */
static int tiles_of_rows(const float *x, i64 rows, i64 columns, i64 k, i64 n, char *to) {
    int bad = 0;
    for (int half = 0; half < 2; half++)
        for (i64 i = 0; i < PAIRS; i++) {
            const i64 row = k + 2 * i, from = n + 16 * half;
            const float *even = row < rows ? x + row * columns + from : 0;
            const float *odd = row + 1 < rows ? x + (row + 1) * columns + from : 0;
            bits *out = (bits *)(to + half * TILE) + i * 16;
            const i64 here = least(columns - from, 16);
            if (here < 16)
                for (int p = 0; p < PIECES_OF; p++) memset((char *)out + p * 2 * TILE, 0, 64);
            if (here > 0) bad |= pair_rows(even, odd, out, 2 * TILE / 4, here, PIECES_OF);
        }
    return bad;
}

static int pack_factor(const void *job, i64 from, i64 to) {
    const Product *a = job;
    uint16_t lines[PIECES_OF][16][STEP] __attribute__((aligned(64)));
    int bad = 0;
    for (i64 block = from; block < to; block++) {
        char *out = a->packed + block * block_bytes(a->inner);
        for (i64 s = 0; s < steps_of(a->inner); s++, out += PIECES_OF * 2 * TILE) {
            if (!a->by_columns) {
                bad |= tiles_of_rows(a->factor, a->inner, a->columns, s * STEP, block * ACROSS, out);
                continue;
            }
            for (int half = 0; half < 2; half++) {
                memset(lines, 0, sizeof lines);
                for (i64 i = 0; i < 16; i++) {
                    const i64 n = block * ACROSS + half * 16 + i;
                    if (n < a->columns)
                        bad |= take_row(a->factor + n * a->inner + s * STEP, lines[0][i], 16 * STEP,
                                        least(a->inner - s * STEP, STEP), PIECES_OF);
                }
                for (int p = 0; p < PIECES_OF; p++) turn(lines[p], PAIRS, out + (2 * p + half) * TILE, 16);
            }
        }
    }
    return bad;
}

/* Numbers from a row of a chunk's pieces to the next: lines of the cache that do not fall on each other. */
static i64 stride_of(const Product *a) { return a->chunk + 32; }

/* Numbers from a row of sums to the next: where all terms are in one chunk the columns of a block are finished. */
static i64 line_of(const Product *a) { return a->chunk < a->inner ? up(a->columns, ACROSS) + 16 : ACROSS; }

static int take_chunk(const Product *a, i64 first, i64 count, i64 k, uint16_t *rows) {
    const i64 stride = stride_of(a), here = least(a->inner - k, a->chunk);
    int bad = 0;
    if (here < a->chunk) memset(rows, 0, a->pieces * a->share * stride * 2);
    for (i64 i = 0; i < count; i++)
        bad |= take_row(a->x + (first + i) * a->inner + k, rows + i * stride, a->share * stride, here, a->pieces);
    return bad;
}

static void put_out(const Product *a, i64 first, i64 count, i64 n, const float *sums, i64 line) {
    const i64 wide = least(a->columns - n, ACROSS);
    for (i64 i = 0; i < count; i++) {
        float *restrict out = a->out + (first + i) * a->columns + n;
        const float *restrict sum = sums + i * line;
        if (a->bias)
            for (i64 j = 0; j < wide; j++) out[j] = sum[j] + a->bias[n + j];
        else
            for (i64 j = 0; j < wide; j++) out[j] = sum[j];
    }
}

static int multiply(const void *job, i64 from, i64 to) {
    const Product *a = job;
    const i64 stride = stride_of(a), line = line_of(a), most = a->pieces == 1 ? RUN : 4;
    int bad = 0;
    use_tiles();
    for (i64 id = from; id < to; id++) {
        uint16_t *rows = (uint16_t *)(a->own + id * a->scratch);
        float *sums = (float *)(a->own + id * a->scratch + a->pieces * a->share * stride * 2);
        for (i64 share = a->shares * id / a->threads; share < a->shares * (id + 1) / a->threads; share++) {
            const i64 first = share * a->share, count = least(a->rows - first, a->share);
            for (i64 k = 0; k < a->inner; k += a->chunk) {
                bad |= take_chunk(a, first, count, k, rows);
                if (bad) break;
                const i64 steps = steps_of(least(a->inner - k, a->chunk));
                for (i64 n = 0; n < a->columns; n += ACROSS) {
                    const char *block = a->packed + n / ACROSS * block_bytes(a->inner) + k / STEP * PIECES_OF * 2 * TILE;
                    float *here = sums + (a->chunk < a->inner ? n : 0);
                    for (i64 s = 0; s < steps; s += most)
                        for (i64 i = 0; i < count; i += ACROSS) {
                            const Side left = {(char *)(rows + i * stride + s * STEP), stride * 2, 16 * stride * 2,
                                               a->share * stride * 2, STEP * 2};
                            const Side right = {block + s * PIECES_OF * 2 * TILE, 64, TILE, 2 * TILE,
                                                PIECES_OF * 2 * TILE};
                            grow(left, a->pieces, right, 3, least(steps - s, most), here + i * line, line, k + s == 0);
                        }
                    if (k + a->chunk >= a->inner) put_out(a, first, count, n, here, line);
                }
            }
        }
    }
    _tile_release();
    return bad;
}

static Product product(i64 rows, i64 inner, i64 columns, int pieces, int threads) {
    Product a = {.rows = rows, .inner = inner, .columns = columns, .pieces = pieces};
    const i64 chunks = (inner * pieces + CHUNK - 1) / CHUNK;
    a.chunk = up((inner + chunks - 1) / chunks, STEP);
    a.threads = fewest(threads, up(rows, ACROSS) / ACROSS);
    const i64 most = PANEL / (pieces * stride_of(&a) * 2 + line_of(&a) * 4);
    const i64 shares = up((rows + most - 1) / most, a.threads);
    a.share = up((rows + shares - 1) / shares, ACROSS);
    a.shares = (rows + a.share - 1) / a.share;
    a.scratch = up(a.share * (pieces * stride_of(&a) * 2 + line_of(&a) * 4), 4096) + 128;
    return a;
}

/* Bytes of scratch that the next function takes. */
i64 product_scratch(i64 rows, i64 inner, i64 columns, int pieces, int threads) {
    const Product a = product(rows, inner, columns, pieces, threads);
    return up(columns, ACROSS) / ACROSS * block_bytes(inner) + a.threads * a.scratch;
}

/* x, rows x inner, by a factor, `columns` x inner or inner x columns, and a bias or null. With one piece numbers of x must
   be bfloat16. Returns whether one is not, or is infinite or NaN: then there is no result. */
int product_of(const float *x, const float *factor, const float *bias, float *out, i64 rows, i64 inner, i64 columns,
               int by_columns, int pieces, char *scratch, int threads) {
    Product a = product(rows, inner, columns, pieces, threads);
    const i64 blocks = up(columns, ACROSS) / ACROSS;
    a.x = x, a.factor = factor, a.bias = bias, a.out = out, a.by_columns = by_columns;
    a.packed = scratch, a.own = scratch + blocks * block_bytes(inner);
    return run(pack_factor, &a, blocks, threads) || run(multiply, &a, a.threads, a.threads);
}

/* ---- the gradient by the weight ---------------------------------------------------------------------------------- */

typedef struct {
    const float *gradient, *x; /* rows x columns, rows x inner */
    float *out;                /* columns x inner */
    i64 rows, inner, columns;
    i64 ranges, scratch;
    char *packed, *own;
} ByWeight;

/* Tiles of 16 columns of x x pairs of rows: what is added up are rows. */
static int pack_turned(const void *job, i64 from, i64 to) {
    const ByWeight *a = job;
    bits pairs[PAIRS][16] __attribute__((aligned(64)));
    const i64 tiles = up(a->inner, ACROSS) / 16;
    int bad = 0;
    for (i64 s = from; s < to && !bad; s++)
        for (i64 tile = 0; tile < tiles; tile++) {
            const i64 here = least(a->inner - tile * 16, 16);
            if (here < 16) memset(pairs, 0, sizeof pairs);
            for (i64 i = 0; i < PAIRS && here > 0; i++) {
                const i64 row = s * STEP + 2 * i;
                const float *even = row < a->rows ? a->x + row * a->inner + tile * 16 : 0;
                const float *odd = row + 1 < a->rows ? a->x + (row + 1) * a->inner + tile * 16 : 0;
                bad |= pair_rows(even, odd, pairs[i], 0, here, 1);
            }
            turn(pairs, 16, a->packed + (s * tiles + tile) * TILE, 16);
        }
    return bad;
}

static int add_up(const void *job, i64 from, i64 to) {
    const ByWeight *a = job;
    const i64 steps = steps_of(a->rows), tall = up(a->inner, ACROSS), blocks = up(a->columns, ACROSS) / ACROSS;
    char right[RUN * PIECES_OF * 2 * TILE] __attribute__((aligned(64)));
    bits turned[16][16] __attribute__((aligned(64)));
    int bad = 0;
    use_tiles();
    for (i64 range = from; range < to; range++) {
        const i64 first = blocks * range / a->ranges, last = blocks * (range + 1) / a->ranges;
        const i64 line = (last - first) * ACROSS + 16;
        float *sums = (float *)(a->own + range * a->scratch);
        for (i64 s = 0; s < steps && !bad; s += RUN) {
            const i64 run = least(steps - s, RUN);
            for (i64 block = first; block < last; block++) {
                for (i64 i = 0; i < run; i++)
                    bad |= tiles_of_rows(a->gradient, a->rows, a->columns, (s + i) * STEP, block * ACROSS,
                                         right + i * PIECES_OF * 2 * TILE);
                for (i64 k = 0; k < tall; k += ACROSS) {
                    const Side left = {a->packed + (s * (tall / 16) + k / 16) * TILE, 64, TILE, 0, tall / 16 * TILE};
                    const Side by = {right, 64, TILE, 2 * TILE, PIECES_OF * 2 * TILE};
                    grow(left, 1, by, 3, run, sums + k * line + (block - first) * ACROSS, line, s == 0);
                }
            }
        }
        for (i64 n = first * ACROSS; n < least(last * ACROSS, a->columns); n += 16)
            for (i64 k = 0; k < a->inner; k += 16) {
                turn(sums + k * line + n - first * ACROSS, line, turned, 16);
                for (i64 i = 0; i < least(a->columns - n, 16); i++)
                    memcpy(a->out + (n + i) * a->inner + k, turned[i], least(a->inner - k, 16) * 4);
            }
    }
    _tile_release();
    return bad;
}

static ByWeight by_weight(i64 rows, i64 inner, i64 columns, int threads) {
    ByWeight a = {.rows = rows, .inner = inner, .columns = columns};
    const i64 blocks = up(columns, ACROSS) / ACROSS, tall = up(inner, ACROSS), bytes = tall * blocks * ACROSS * 4;
    a.ranges = least(up((bytes + PANEL - 1) / PANEL, threads), blocks);
    a.scratch = up(tall * ((blocks + a.ranges - 1) / a.ranges * ACROSS + 16) * 4, 4096) + 128;
    return a;
}

/* Bytes of scratch that the next function takes. */
i64 by_weight_scratch(i64 rows, i64 inner, i64 columns, int threads) {
    const ByWeight a = by_weight(rows, inner, columns, threads);
    return steps_of(rows) * (up(inner, ACROSS) / 16) * TILE + a.ranges * a.scratch;
}

/* The gradient by the weight, columns x inner: that by what came out, rows x columns, times x, rows x inner, of bfloat16.
   Returns as `product_of` does. */
int product_by_weight(const float *gradient, const float *x, float *out, i64 rows, i64 inner, i64 columns, char *scratch,
                      int threads) {
    ByWeight a = by_weight(rows, inner, columns, threads);
    a.gradient = gradient, a.x = x, a.out = out;
    a.packed = scratch, a.own = scratch + steps_of(rows) * (up(inner, ACROSS) / 16) * TILE;
    return run(pack_turned, &a, steps_of(rows), threads) || run(add_up, &a, a.ranges, threads);
}

#else
int matrix_unit(void) { return 0; }
#endif

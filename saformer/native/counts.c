/* What float32 tensors hold, counted and measured; passes.py compiles and calls it. */

#include "seen.h"
#include "words.h"

typedef struct {
    const float *x;
    i64 width, stride, *nonzero;
    i64 from, to; /* pieces: of up to PIECE elements, so many to a chunk that they hold it */
    Seen seen;
} Look;

static void *look_at_part(void *argument) {
    Look *a = argument;
    const i64 each = (a->width + PIECE - 1) / PIECE;
    for (i64 piece = a->from; piece < a->to; piece++) {
        const i64 chunk = piece / each, start = piece % each * PIECE;
        const i64 n = a->width - start < PIECE ? a->width - start : PIECE;
        const int some = look_at(&a->seen, a->x + chunk * a->stride + start, n);
        __atomic_fetch_add(&a->nonzero[chunk], some, __ATOMIC_RELAXED);
    }
    return 0;
}

/* Nonzeros of each chunk of `width` elements, which begin `stride` elements apart, added to `nonzero`; `found` gets how
   many elements are one, whether all times `scale` are whole numbers within 2^18, and of these the smallest and the largest
   beside zero and the sum of magnitudes. Returns the largest magnitude, infinity or NaN if there is one. */
float look(const float *x, i64 chunks, i64 width, i64 stride, float scale, i64 *nonzero, i64 *found, int threads) {
    const i64 pieces = chunks * ((width + PIECE - 1) / PIECE);
    Look parts[MOST_THREADS];
    threads = fewest(threads, pieces);
    for (int i = 0; i < threads; i++)
        parts[i] = (Look){.x = x, .width = width, .stride = stride, .nonzero = nonzero,
                          .seen = {.scale = scale, .whole = 1},
                          .from = pieces * i / threads, .to = pieces * (i + 1) / threads};
    side_by_side(look_at_part, parts, sizeof(Look), threads);
    for (int i = 1; i < threads; i++) join(&parts[0].seen, &parts[i].seen);
    return shown(&parts[0].seen, found);
}

typedef struct {
    const float *x, *y;
    float *out;
    i64 width, each, *nonzero; /* of a chunk; pieces of one */
    i64 from, to;
    Seen seen;
} Sum;

static void *add_part(void *argument) {
    Sum *a = argument;
    for (i64 piece = a->from; piece < a->to; piece++) {
        const i64 chunk = piece / a->each, start = chunk * a->width + piece % a->each * PIECE;
        const i64 rest = (chunk + 1) * a->width - start, n = rest < PIECE ? rest : PIECE;
        const float *restrict x = a->x + start, *restrict y = a->y + start;
        float *restrict out = a->out + start;
        for (i64 i = 0; i < n; i++) out[i] = x[i] + y[i];
        __atomic_fetch_add(&a->nonzero[chunk], look_at(&a->seen, out, n), __ATOMIC_RELAXED);
    }
    return 0;
}

/* Writes x + y, chunks x width, and looks at it as `look` does, with scale 1. */
float add(const float *x, const float *y, float *out, i64 chunks, i64 width, i64 *nonzero, i64 *found, int threads) {
    const i64 each = (width + PIECE - 1) / PIECE, pieces = chunks * each;
    Sum parts[MOST_THREADS];
    threads = fewest(threads, pieces);
    for (int i = 0; i < threads; i++)
        parts[i] = (Sum){.x = x, .y = y, .out = out, .width = width, .each = each, .nonzero = nonzero,
                         .seen = {.scale = 1.0f, .whole = 1},
                         .from = pieces * i / threads, .to = pieces * (i + 1) / threads};
    side_by_side(add_part, parts, sizeof(Sum), threads);
    for (int i = 1; i < threads; i++) join(&parts[0].seen, &parts[i].seen);
    return shown(&parts[0].seen, found);
}

typedef struct {
    const float *x;
    uint16_t *words;
    i64 n;
} Bits;

static int write_part(const void *job, i64 from, i64 to) {
    const Bits *a = job;
    const i64 start = from * PIECE, end = to * PIECE < a->n ? to * PIECE : a->n;
    pack(a->x + start, a->words + start / 16, end - start);
    return 0;
}

/* Writes a bit for each of n elements. */
void write_bits(const float *x, i64 n, uint16_t *words, int threads) {
    const Bits whole = {.x = x, .words = words, .n = n};
    run(write_part, &whole, (n + PIECE - 1) / PIECE, threads);
}

/* Elements as a pass counts them: by a bit each, whether it is not zero, in the order of their memory, with WORDS_BEHIND
   words more than they take; or by themselves. */
typedef struct {
    const float *x;
    const uint16_t *words; /* null: look at x */
} Source;

/* The 64 bits from bit `at` on. */
static inline uint64_t sixty_four(const uint16_t *words, i64 at) {
    const uint16_t *w = words + at / 16;
    const uint64_t low = w[0] | (uint64_t)w[1] << 16 | (uint64_t)w[2] << 32 | (uint64_t)w[3] << 48;
    const int shift = at % 16;
    return shift ? low >> shift | (uint64_t)w[4] << (64 - shift) : low;
}

/* Adds two bits to one at each of 64 places: the sum stays in `sum`, the carry is returned. */
static inline uint64_t carry(uint64_t *sum, uint64_t x, uint64_t y) {
    const uint64_t half = *sum ^ x, over = (*sum & x) | (half & y);
    *sum = half ^ y;
    return over;
}

/* Adds `size` to the counts of the places whose bits are set. */
static inline void spread(int *restrict found, uint64_t here, int size) {
    for (int part = 0; part < 2; part++, here >>= 32) {
        const uint32_t half = (uint32_t)here;
        for (int j = 0; j < 32; j++) found[32 * part + j] += (int)(half >> j & 1) * size;
    }
}

/* Adds to 64 counts how many of `lines` lines of bits, `stride` apart, are set there. Lines are added in binary, at 64
   places at once; what exceeds 15 is added to the counts after every sixteen lines, the rest at the end. */
static inline void tally_64(const uint16_t *words, i64 at, i64 lines, i64 stride, int *restrict found) {
    uint64_t counts[4] = {0}; /* of ones, twos, fours, eights */
    i64 line = 0;
    for (; line + 16 <= lines; line += 16) {
        uint64_t eights[2];
        for (int e = 0; e < 2; e++) {
            uint64_t fours[2];
            for (int f = 0; f < 2; f++) {
                uint64_t twos[2];
                for (int t = 0; t < 2; t++, at += 2 * stride)
                    twos[t] = carry(&counts[0], sixty_four(words, at), sixty_four(words, at + stride));
                fours[f] = carry(&counts[1], twos[0], twos[1]);
            }
            eights[e] = carry(&counts[2], fours[0], fours[1]);
        }
        spread(found, carry(&counts[3], eights[0], eights[1]), 16);
    }
    uint64_t over = 0;
    for (; line < lines; line++, at += stride) {
        uint64_t more = sixty_four(words, at);
        for (int i = 0; i < 4; i++) {
            const uint64_t both = counts[i] & more;
            counts[i] ^= more;
            more = both;
        }
        over |= more;
    }
    if (over) spread(found, over, 16);
    for (int i = 0; i < 4; i++) spread(found, counts[i], 1 << i);
}

/* Adds to `found` of n <= BLOCK places side by side, from place `at` on, how many of `lines` lines are not zero there.
   Counts behind the n are spoilt, up to a multiple of 64. */
static inline void tally(const Source *a, i64 at, i64 lines, i64 stride, i64 n, int *restrict found) {
    if (a->words) {
        for (i64 start = 0; start < n; start += 64) tally_64(a->words, at + start, lines, stride, found + start);
        return;
    }
    uint16_t words[PIECE / 16 + WORDS_BEHIND];
    const i64 width = (n + 15) / 16, some = PIECE / 16 / width;
    for (i64 first = 0; first < lines; first += some) {
        const i64 group = lines - first < some ? lines - first : some;
        for (i64 line = 0; line < group; line++) pack(a->x + at + (first + line) * stride, words + line * width, n);
        for (i64 start = 0; start < n; start += 64) tally_64(words, start, group, 16 * width, found + start);
    }
}

/* How many of n places side by side are not zero. */
static inline int tally_line(const Source *a, i64 at, i64 n) {
    int some = 0;
    if (!a->words) {
        for (i64 j = 0; j < n; j += 16) some += __builtin_popcount(bits_of(a->x + at + j, n - j));
        return some;
    }
    for (i64 start = 0; start < n; start += 64) {
        const uint64_t here = sixty_four(a->words, at + start);
        some += __builtin_popcountll(n - start < 64 ? here & (((uint64_t)1 << (n - start)) - 1) : here);
    }
    return some;
}

/* A stack of matrices as a product reads them: counted along `lines`, for each of the k that are summed over. */
typedef struct {
    Source source;
    i64 leading[MOST_LEADING]; /* from one matrix to the next along each leading dimension */
    i64 lines, line, summed;   /* lines; from one to the next; from one of the k to the next */
    i64 *nonzero;              /* not null: looked at, too, each matrix in one piece */
} Factor;

typedef struct {
    Factor x, y;
    i64 sizes[MOST_LEADING], k, each; /* of the leading dimensions; the k; matrices of a row */
    i64 *events;
    i64 from, to;
    Seen seen[2];
} Pairs;

static inline i64 place(const Factor *a, const i64 *sizes, i64 matrix) {
    i64 at = 0;
    for (int d = MOST_LEADING - 1; d >= 0; d--) {
        at += matrix % sizes[d] * a->leading[d];
        matrix /= sizes[d];
    }
    return at;
}

/* Nonzeros of one matrix for n of the k, the first of which is at `at`. */
static inline void along(const Factor *a, i64 at, i64 n, int *restrict found) {
    for (i64 j = 0; j < BLOCK; j++) found[j] = 0;
    if (a->summed == 1)
        tally(&a->source, at, a->lines, a->line, n, found);
    else
        for (i64 j = 0; j < n; j++) found[j] = tally_line(&a->source, at + j * a->summed, a->lines);
}

static inline void look_at_matrix(const Factor *a, Seen *seen, i64 matrix, i64 at, i64 size) {
    if (!a->nonzero) return;
    i64 some = 0;
    for (i64 start = 0; start < size; start += PIECE)
        some += look_at(seen, a->source.x + at + start, size - start < PIECE ? size - start : PIECE);
    a->nonzero[matrix] = some;
}

static void *count_pairs(void *argument) {
    Pairs *a = argument;
    int x[BLOCK] __attribute__((aligned(64))), y[BLOCK] __attribute__((aligned(64)));
    for (i64 row = a->from; row < a->to; row++) {
        i64 all = 0;
        for (i64 matrix = row * a->each; matrix < (row + 1) * a->each; matrix++) {
            const i64 of_x = place(&a->x, a->sizes, matrix), of_y = place(&a->y, a->sizes, matrix);
            look_at_matrix(&a->x, &a->seen[0], matrix, of_x, a->x.lines * a->k);
            look_at_matrix(&a->y, &a->seen[1], matrix, of_y, a->y.lines * a->k);
            for (i64 start = 0; start < a->k; start += BLOCK) {
                const i64 n = a->k - start < BLOCK ? a->k - start : BLOCK;
                along(&a->x, of_x + start * a->x.summed, n, x);
                along(&a->y, of_y + start * a->y.summed, n, y);
                for (i64 j = 0; j < n; j++) all += (i64)x[j] * y[j];
            }
        }
        a->events[row] = all;
    }
    return 0;
}

/* A factor from what its caller says of it: the leading strides, lines, line, summed. */
static inline Factor factor(const float *x, const uint16_t *words, const i64 *given, i64 *nonzero) {
    Factor made = {.source = {x, words}, .lines = given[MOST_LEADING], .line = given[MOST_LEADING + 1],
                   .summed = given[MOST_LEADING + 2], .nonzero = nonzero};
    for (int d = 0; d < MOST_LEADING; d++) made.leading[d] = given[d];
    return made;
}

/* Of stacks of matrices n x k and k x m, `each` to a row, the pairs of nonzeros that meet: for each row the sum over k of
   the nonzeros of a column of x times those of a line of y. One of a factor's two strides is 1, or its matrices have one
   line. Where `nonzero` is given, the factor is looked at, too: what is found are ten numbers and two magnitudes. */
void pairs(const float *x, const uint16_t *x_words, const i64 *of_x, i64 *x_nonzero, const float *y,
           const uint16_t *y_words, const i64 *of_y, i64 *y_nonzero, const i64 *sizes, i64 k, i64 rows, i64 each,
           i64 *events, i64 *found, float *largest, int threads) {
    Pairs parts[MOST_THREADS];
    threads = fewest(threads, rows);
    for (int i = 0; i < threads; i++) {
        parts[i] = (Pairs){.x = factor(x, x_words, of_x, x_nonzero), .y = factor(y, y_words, of_y, y_nonzero),
                           .k = k, .each = each, .events = events,
                           .seen = {{.scale = 1.0f, .whole = 1}, {.scale = 1.0f, .whole = 1}},
                           .from = rows * i / threads, .to = rows * (i + 1) / threads};
        for (int d = 0; d < MOST_LEADING; d++) parts[i].sizes[d] = sizes[d];
    }
    side_by_side(count_pairs, parts, sizeof(Pairs), threads);
    for (int side = 0; side < 2; side++) {
        for (int i = 1; i < threads; i++) join(&parts[0].seen[side], &parts[i].seen[side]);
        largest[side] = shown(&parts[0].seen[side], found + 5 * side);
    }
}

typedef struct {
    Source source;
    const i64 *weight;
    i64 lines, width, *sums, *nonzero; /* not null: looked at, too */
    i64 from, to;
    Seen seen;
} Weighted;

static void *sum_weights(void *argument) {
    Weighted *a = argument;
    const i64 elements = a->source.words && !a->nonzero ? 16 * PIECE : PIECE; /* they, or their bits, stay in the cache */
    const i64 group = a->width < elements ? elements / a->width : 1;
    int found[BLOCK] __attribute__((aligned(64)));
    for (i64 row = a->from; row < a->to; row++) {
        i64 all = 0, some = 0;
        for (i64 first = 0; first < a->lines; first += group) {
            const i64 lines = a->lines - first < group ? a->lines - first : group;
            const i64 at = (row * a->lines + first) * a->width;
            if (a->nonzero)
                for (i64 start = 0; start < lines * a->width; start += PIECE) {
                    const i64 rest = lines * a->width - start;
                    some += look_at(&a->seen, a->source.x + at + start, rest < PIECE ? rest : PIECE);
                }
            for (i64 start = 0; start < a->width; start += BLOCK) {
                const i64 n = a->width - start < BLOCK ? a->width - start : BLOCK;
                for (i64 j = 0; j < BLOCK; j++) found[j] = 0;
                tally(&a->source, at + start, lines, a->width, n, found);
                for (i64 j = 0; j < n; j++) all += found[j] * a->weight[start + j];
            }
        }
        a->sums[row] = all;
        if (a->nonzero) a->nonzero[row] = some;
    }
    return 0;
}

/* Of rows x lines x width, for each row the sum of the weights where it is nonzero: `width` of them. Where `nonzero` is
   given, each row is looked at, too: what is found are five numbers; returns the largest magnitude. */
float weighted(const float *x, const uint16_t *words, i64 rows, i64 lines, i64 width, const i64 *weight, i64 *sums,
               i64 *nonzero, i64 *found, int threads) {
    Weighted parts[MOST_THREADS];
    threads = fewest(threads, rows);
    for (int i = 0; i < threads; i++)
        parts[i] = (Weighted){.source = {x, words}, .weight = weight, .lines = lines, .width = width, .sums = sums,
                              .nonzero = nonzero, .seen = {.scale = 1.0f, .whole = 1},
                              .from = rows * i / threads, .to = rows * (i + 1) / threads};
    side_by_side(sum_weights, parts, sizeof(Weighted), threads);
    for (int i = 1; i < threads; i++) join(&parts[0].seen, &parts[i].seen);
    return shown(&parts[0].seen, found);
}

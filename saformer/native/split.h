/* Products of float32 matrices on the matrix unit of a processor (AMX), which multiplies bfloat16 and adds up float32.

   A float32 is the sum of three bfloat16, its pieces: 3 times 8 digits. A spike, or a small whole number, is one. So a
   product with spikes is three products of bfloat16, each exact, and one of two float32 is six: what is left out is below
   2^-24 of it, as a rounding is. The sums are float32. */

#ifndef NATIVE_SPLIT_H
#define NATIVE_SPLIT_H

#include <string.h>

#include "threads.h"

#if defined(__AMX_BF16__) && defined(__AVX512BW__) && defined(__linux__)
#define MATRIX_UNIT 1
#include <immintrin.h>

/* A tile is 16 rows of 64 bytes: float32, or pairs of bfloat16 along the sum. */
enum { TILE = 1024, STEP = 32, PAIRS = 16, ACROSS = 32, RUN = 6, PIECES_OF = 3, PANEL = 1 << 20, CHUNK = 1152 };

/* Where the tiles of a factor are: bytes from a row to the next, from 16 rows (columns) to the next 16, from a piece to
   the next, and from STEP terms of the sums to the next. */
typedef struct {
    const char *at;
    i64 row, second, piece, step;
} Side;

static inline i64 up(i64 n, i64 to) { return (n + to - 1) / to * to; }

/* ---- what becomes of tiles --------------------------------------------------------------------------------------- */

static inline void use_tiles(void) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } __attribute__((aligned(64))) shape = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shape.bytes[i] = 64;
        shape.rows[i] = 16;
    }
    __asm__ volatile("" ::: "memory");
    _tile_loadconfig(&shape);
}

#define BARRIER __asm__ volatile("" ::: "memory")
#define LOAD_LEFT(p)                                                                                                   \
    _tile_loadd(4, a.at + (p) * a.piece, a.row);                                                                       \
    _tile_loadd(5, a.at + (p) * a.piece + a.second, a.row);
#define LOAD_RIGHT(p)                                                                                                  \
    _tile_loadd(6, b.at + (p) * b.piece, b.row);                                                                       \
    _tile_loadd(7, b.at + (p) * b.piece + b.second, b.row);
#define MULTIPLY                                                                                                       \
    _tile_dpbf16ps(0, 4, 6);                                                                                           \
    _tile_dpbf16ps(1, 4, 7);                                                                                           \
    _tile_dpbf16ps(2, 5, 6);                                                                                           \
    _tile_dpbf16ps(3, 5, 7);

/* ACROSS x ACROSS sums, `line` numbers from a row to the next, grow by so many STEPs of terms, or start with them. */
static inline __attribute__((always_inline)) void grow_by(Side a, int left, Side b, int right, i64 steps, float *sums,
                                                          i64 line, int start) {
    const i64 row = line * 4;
    BARRIER;
    if (start) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, sums, row);
        _tile_loadd(1, sums + 16, row);
        _tile_loadd(2, sums + 16 * line, row);
        _tile_loadd(3, sums + 16 * line + 16, row);
    }
    for (i64 s = 0; s < steps; s++, a.at += a.step, b.at += b.step) {
        if (left == 1) {
            LOAD_LEFT(0)
            LOAD_RIGHT(2) MULTIPLY LOAD_RIGHT(1) MULTIPLY LOAD_RIGHT(0) MULTIPLY
        } else if (right == 1) {
            LOAD_RIGHT(0)
            LOAD_LEFT(2) MULTIPLY LOAD_LEFT(1) MULTIPLY LOAD_LEFT(0) MULTIPLY
        } else {
            LOAD_LEFT(0)
            LOAD_RIGHT(2) MULTIPLY LOAD_RIGHT(1) MULTIPLY LOAD_RIGHT(0) MULTIPLY
            LOAD_LEFT(2) MULTIPLY LOAD_LEFT(1) MULTIPLY LOAD_RIGHT(1) MULTIPLY
        }
    }
    _tile_stored(0, sums, row);
    _tile_stored(1, sums + 16, row);
    _tile_stored(2, sums + 16 * line, row);
    _tile_stored(3, sums + 16 * line + 16, row);
    BARRIER;
}

static void grow(Side a, int left, Side b, int right, i64 steps, float *sums, i64 line, int start) {
    if (left == 1)
        grow_by(a, 1, b, 3, steps, sums, line, start);
    else if (right == 1)
        grow_by(a, 3, b, 1, steps, sums, line, start);
    else
        grow_by(a, 3, b, 3, steps, sums, line, start);
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

/* The largest piece of 16 numbers, which are lowered by it; `odd` gets those that have none: infinities and NaN. */
static inline __m512i piece_of(__m512 *x, __mmask16 *odd) {
    const __m512i whole = _mm512_castps_si512(*x), high = _mm512_set1_epi32(0x7f800000);
    const __m512i even = _mm512_and_epi32(_mm512_srli_epi32(whole, 16), _mm512_set1_epi32(1));
    const __m512i near = _mm512_add_epi32(_mm512_add_epi32(whole, _mm512_set1_epi32(0x7fff)), even);
    const __m512i top = _mm512_and_epi32(near, _mm512_set1_epi32((int)0xffff0000));
    *odd |= _mm512_cmpeq_epi32_mask(_mm512_and_epi32(top, high), high);
    *x = _mm512_sub_ps(*x, _mm512_castsi512_ps(top));
    return top;
}

/* Pairs of the pieces of two rows, n numbers side by side; `apart` pairs from a piece to the next. With one piece it must
   be the whole number. Returns whether it was not so, or a number is infinite or NaN. */
static inline int pair_rows(const float *even, const float *odd, bits *out, i64 apart, i64 n, int pieces) {
    __mmask16 bad = 0;
    for (i64 j = 0; j < n; j += 16) {
        const __mmask16 here = n - j < 16 ? (__mmask16)((1u << (n - j)) - 1) : (__mmask16)0xffff;
        __m512 x = even ? _mm512_maskz_loadu_ps(here, even + j) : _mm512_setzero_ps();
        __m512 y = odd ? _mm512_maskz_loadu_ps(here, odd + j) : _mm512_setzero_ps();
        for (int p = 0; p < pieces; p++) {
            const __m512i first = piece_of(&x, &bad), second = piece_of(&y, &bad);
            _mm512_mask_storeu_epi32(out + p * apart + j, here, _mm512_or_epi32(_mm512_srli_epi32(first, 16), second));
        }
        if (pieces == 1)
            bad |= _mm512_cmp_ps_mask(_mm512_setzero_ps(), x, _CMP_NEQ_UQ) |
                   _mm512_cmp_ps_mask(_mm512_setzero_ps(), y, _CMP_NEQ_UQ);
    }
    return bad != 0;
}

/* The pieces of n numbers side by side, likewise; `apart` numbers from a piece to the next. */
static inline int take_row(const float *x, uint16_t *out, i64 apart, i64 n, int pieces) {
    __mmask16 bad = 0;
    for (i64 j = 0; j < n; j += 16) {
        const __mmask16 here = n - j < 16 ? (__mmask16)((1u << (n - j)) - 1) : (__mmask16)0xffff;
        __m512 left = _mm512_maskz_loadu_ps(here, x + j);
        for (int p = 0; p < pieces; p++) {
            const __m512i top = _mm512_srli_epi32(piece_of(&left, &bad), 16);
            _mm256_mask_storeu_epi16(out + p * apart + j, here, _mm512_cvtepi32_epi16(top));
        }
        if (pieces == 1) bad |= _mm512_cmp_ps_mask(_mm512_setzero_ps(), left, _CMP_NEQ_UQ);
    }
    return bad != 0;
}

/* 16 x 16 numbers of 32 bits, `line` apart, columns as rows. */
static inline void turn(const void *from, i64 line, void *to, i64 wide) {
    __m512i r[16], t[16];
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512((const bits *)from + i * line);
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 2; k++) {
            r[4 * i + 2 * k] = _mm512_unpacklo_epi64(t[4 * i + k], t[4 * i + 2 + k]);
            r[4 * i + 2 * k + 1] = _mm512_unpackhi_epi64(t[4 * i + k], t[4 * i + 2 + k]);
        }
    /* r[4 i + k] has, in its lane l, column 4 l + k of rows 4 i to 4 i + 3. */
    for (int k = 0; k < 4; k++) {
        const __m512i a = _mm512_shuffle_i32x4(r[k], r[4 + k], 0x44), b = _mm512_shuffle_i32x4(r[k], r[4 + k], 0xee);
        const __m512i c = _mm512_shuffle_i32x4(r[8 + k], r[12 + k], 0x44),
                      d = _mm512_shuffle_i32x4(r[8 + k], r[12 + k], 0xee);
        _mm512_storeu_si512((bits *)to + k * wide, _mm512_shuffle_i32x4(a, c, 0x88));
        _mm512_storeu_si512((bits *)to + (4 + k) * wide, _mm512_shuffle_i32x4(a, c, 0xdd));
        _mm512_storeu_si512((bits *)to + (8 + k) * wide, _mm512_shuffle_i32x4(b, d, 0x88));
        _mm512_storeu_si512((bits *)to + (12 + k) * wide, _mm512_shuffle_i32x4(b, d, 0xdd));
    }
}

#endif
#endif

/* What the passes share: names of types, and work on several threads. */

#ifndef NATIVE_THREADS_H
#define NATIVE_THREADS_H

#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t i64;
typedef uint32_t __attribute__((may_alias)) bits;

/* Before a loop: what it reads and writes of one element does not touch another's. */
#if defined(__clang__)
#define SIDE_BY_SIDE _Pragma("clang loop vectorize(assume_safety)")
#else
#define SIDE_BY_SIDE _Pragma("GCC ivdep")
#endif

enum { BLOCK = 256, MOST_THREADS = 64 };

static inline i64 least(i64 a, i64 b) { return a < b ? a : b; }

static inline int fewest(int threads, i64 parts) {
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    return parts < threads ? (int)(parts < 1 ? 1 : parts) : threads;
}

/* OpenMP's `GOMP_parallel`: calls a function on each of so many threads, which it keeps from one call to the next. */
typedef void (*Parallel)(void (*work)(void *), void *data, unsigned threads, unsigned flags);

/* PyTorch's own; null where it has another kind of threads. New threads would wait for its threads, which spin for a
   while after every operator. */
extern Parallel torch_parallel;

typedef struct {
    void *(*work)(void *);
    char *parts;
    size_t size;
    int count, next;
} Shares;

static inline void take(void *argument) {
    Shares *all = argument;
    for (;;) {
        const int i = __atomic_fetch_add(&all->next, 1, __ATOMIC_RELAXED);
        if (i >= all->count) return;
        all->work(all->parts + i * all->size);
    }
}

/* Does the work of each part, of `size` bytes, on a thread of its own. */
static inline void side_by_side(void *(*work)(void *), void *parts, size_t size, int threads) {
    if (threads > 1 && torch_parallel) {
        Shares all = {.work = work, .parts = parts, .size = size, .count = threads};
        torch_parallel(take, &all, threads, 0);
        return;
    }
    pthread_t ids[MOST_THREADS];
    int started[MOST_THREADS] = {0};
    for (int i = threads - 1; i >= 0; i--) {
        void *part = (char *)parts + i * size;
        started[i] = i > 0 && pthread_create(&ids[i], 0, work, part) == 0;
        if (!started[i]) work(part);
    }
    for (int i = 0; i < threads; i++)
        if (started[i]) pthread_join(ids[i], 0);
}

/* Does pieces `from` to `to` of a job; returns whether it found an infinite number or NaN. */
typedef int (*Work)(const void *job, i64 from, i64 to);

typedef struct {
    Work work;
    const void *job;
    i64 from, to;
    int bad;
} Part;

static inline void *start(void *argument) {
    Part *part = argument;
    part->bad = part->work(part->job, part->from, part->to);
    return 0;
}

/* Runs one part of the pieces on each thread. */
static inline int run(Work work, const void *job, i64 pieces, int threads) {
    Part parts[MOST_THREADS];
    int bad = 0;
    threads = fewest(threads, pieces);
    for (int i = 0; i < threads; i++)
        parts[i] = (Part){.work = work, .job = job, .from = pieces * i / threads, .to = pieces * (i + 1) / threads};
    side_by_side(start, parts, sizeof(Part), threads);
    for (int i = 0; i < threads; i++) bad |= parts[i].bad;
    return bad;
}

#endif

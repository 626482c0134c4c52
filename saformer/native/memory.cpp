/* An allocator of CPU tensors that keeps the memory of large ones for the next; memory.py compiles and installs it.

   PyTorch gives the memory of a large tensor back to the system, which clears every page before it is handed out again.
   Here a tensor gets memory of those that are gone: the smallest piece that is large enough, of which the rest is kept, and
   pieces that lie side by side become one. What is kept and what is in use are together never more than what was in use at
   once before and an eighth of it, since pieces do not always fit. */

#include <c10/core/CPUAllocator.h>
#include <pthread.h>
#include <sys/mman.h>

#include <iterator>
#include <map>
#include <mutex>
#include <unordered_map>

namespace {

constexpr size_t PAGE = size_t{1} << 21;  /* a large page of the system, to which new memory is aligned */
constexpr size_t GRAIN = size_t{1} << 16; /* a multiple of every small page; sizes are multiples of it */

constexpr size_t LEAST = PAGE / 2;        /* of a tensor that is put here, and of a rest that is kept apart */

struct Block {
    char *data;
    size_t size;
};

struct Idle {
    size_t size;
    uint64_t since; /* how many were given back before */
};

struct Kept {
    std::mutex lock;
    std::unordered_map<void *, size_t> used;
    std::map<char *, Idle> idle; /* no two side by side */
    size_t held = 0, live = 0, peak = 0;
    uint64_t given_back = 0;
};

Kept &kept() { /* never taken apart: tensors may be freed while the process ends */
    static Kept *one = new Kept;
    return *one;
}

c10::Allocator *before; /* PyTorch's own, for small tensors */

char *map(size_t size) {
    const size_t whole = size + PAGE;
    void *found = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) return nullptr;
    char *start = static_cast<char *>(found), *end = start + whole;
    char *data = start + (PAGE - reinterpret_cast<uintptr_t>(start) % PAGE) % PAGE;
    if (data > start) munmap(start, data - start);
    if (end > data + size) munmap(data + size, end - data - size);
    madvise(data, size, MADV_HUGEPAGE);
    return data;
}

void unmap_oldest(Kept &all) {
    auto oldest = all.idle.begin();
    for (auto one = all.idle.begin(); one != all.idle.end(); ++one)
        if (one->second.since < oldest->second.since) oldest = one;
    munmap(oldest->first, oldest->second.size);
    all.held -= oldest->second.size;
    all.idle.erase(oldest);
}

/* Keeps a piece that nobody uses, in one with those beside it. */
void keep(Kept &all, char *data, size_t size) {
    auto next = all.idle.lower_bound(data);
    if (next != all.idle.end() && next->first == data + size) {
        size += next->second.size;
        next = all.idle.erase(next);
    }
    if (next != all.idle.begin()) {
        const auto last = std::prev(next);
        if (last->first + last->second.size == data) {
            data = last->first;
            size += last->second.size;
            all.idle.erase(last);
        }
    }
    all.idle[data] = {size, all.given_back++};
}

Block fitting(Kept &all, size_t size) {
    auto best = all.idle.end();
    for (auto one = all.idle.begin(); one != all.idle.end(); ++one) {
        if (one->second.size < size) continue;
        const bool smaller = best == all.idle.end() || one->second.size < best->second.size;
        if (smaller || (one->second.size == best->second.size && one->second.since > best->second.since)) best = one;
    }
    if (best != all.idle.end()) {
        const Block block = {best->first, best->second.size};
        const uint64_t since = best->second.since;
        all.idle.erase(best);
        if (block.size - size < LEAST) return block;
        all.idle[block.data + size] = {block.size - size, since};
        return {block.data, size};
    }
    while (!all.idle.empty() && all.held + size > all.peak + all.peak / 8) unmap_oldest(all);
    char *data = map(size);
    while (!data && !all.idle.empty()) {
        unmap_oldest(all);
        data = map(size);
    }
    if (data) all.held += size;
    return {data, size};
}

void give_back(void *data) {
    if (!data) return;
    Kept &all = kept();
    {
        const std::lock_guard<std::mutex> guard(all.lock);
        const auto found = all.used.find(data);
        if (found != all.used.end()) {
            all.live -= found->second;
            keep(all, static_cast<char *>(data), found->second);
            all.used.erase(found);
            c10::profiledCPUMemoryReporter().Delete(data);
            data = nullptr;
        }
    }
    if (data) before->raw_deleter()(data);
}

struct Keeping final : c10::Allocator {
    c10::DataPtr allocate(size_t n) override {
        if (n < LEAST || n > SIZE_MAX / 2) return before->allocate(n);
        Kept &all = kept();
        Block block;
        {
            const std::lock_guard<std::mutex> guard(all.lock);
            block = fitting(all, (n + GRAIN - 1) / GRAIN * GRAIN);
            if (block.data) {
                all.used[block.data] = block.size;
                all.live += block.size;
                if (all.live > all.peak) all.peak = all.live;
            }
        }
        if (!block.data) return before->allocate(n); /* raises */
        c10::profiledCPUMemoryReporter().New(block.data, n);
        return {block.data, block.data, &give_back, c10::Device(c10::DeviceType::CPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
    void copy_data(void *to, const void *from, size_t n) const override { default_copy_data(to, from, n); }
};

} // namespace

extern "C" {

/* Makes it PyTorch's allocator from now on; once in a process. */
void keep_memory() {
    static Keeping allocator;
    before = c10::GetCPUAllocator();
    /* A process that is split off while another thread allocates must not find the lock taken. */
    pthread_atfork([] { kept().lock.lock(); }, [] { kept().lock.unlock(); }, [] { kept().lock.unlock(); });
    c10::SetCPUAllocator(&allocator);
}

/* Bytes of large tensors: in use, kept, in use at most. */
void kept_memory(size_t *found) {
    Kept &all = kept();
    const std::lock_guard<std::mutex> guard(all.lock);
    found[0] = all.live;
    found[1] = all.held - all.live;
    found[2] = all.peak;
}
}

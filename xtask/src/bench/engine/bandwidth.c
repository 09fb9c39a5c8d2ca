/* Read bandwidth of the memory: THREADS BYTES on the command line, the best of five passes over a buffer far above the caches,
   each thread over its own part, printed in bytes per second. Sums what it reads, so that nothing is left out. Large pages
   where the system has them: small ones cost a third here, and the limit is what the memory gives. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define MOST 256
#define PASSES 5

struct part { const uint64_t *from; size_t words; uint64_t sum; };

static void *read_part(void *argument)
{
    struct part *part = argument;
    uint64_t sums[32] = {0};
    for (size_t word = 0; word + 32 <= part->words; word += 32)
        for (int lane = 0; lane < 32; lane++) sums[lane] += part->from[word + lane];
    for (int lane = 0; lane < 32; lane++) part->sum += sums[lane];
    return NULL;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

int main(int count, char **arguments)
{
    if (count != 3) return 2;
    long threads = atol(arguments[1]);
    size_t words = strtoull(arguments[2], NULL, 10) / 8;
    if (threads < 1 || threads > MOST) return 2;
    size_t each = words / threads;
    void *memory = NULL;
    if (posix_memalign(&memory, 1 << 21, words * 8)) return 1;
#ifdef MADV_HUGEPAGE
    madvise(memory, words * 8, MADV_HUGEPAGE);
#endif
    uint64_t *buffer = memory;
    for (size_t word = 0; word < words; word++) buffer[word] = word;
    double best = 0;
    uint64_t sum = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        pthread_t ids[MOST];
        struct part parts[MOST];
        double start = now();
        for (long i = 0; i < threads; i++) {
            parts[i] = (struct part){buffer + i * each, each, 0};
            if (pthread_create(&ids[i], NULL, read_part, &parts[i])) return 1;
        }
        for (long i = 0; i < threads; i++) {
            pthread_join(ids[i], NULL);
            sum += parts[i].sum;
        }
        double rate = each * threads * 8.0 / (now() - start);
        if (rate > best) best = rate;
    }
    printf("%.0f %llu\n", best, (unsigned long long)sum);
    return 0;
}

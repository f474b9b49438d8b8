/* Philox4x32-10 as a stream keyed by (seed, purpose, epoch, sample), and permutations from it. The
 * seed is the key. The counter holds, from its low word: the block of the stream, the sample's low
 * 32 bits, the epoch, and the purpose over the sample's high 16 bits. Different streams therefore
 * never share a block. Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1,
 * 2, 3", 2011. */
#include "base/rng.h"

#include <math.h>

#include "base/status.h"

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

Rng rng_make(uint64_t seed, RngPurpose purpose, uint64_t epoch, uint64_t sample) {
    ASSERT(epoch >> 32 == 0, "epoch %llu", (unsigned long long)epoch);
    ASSERT(sample >> 48 == 0, "sample %llu", (unsigned long long)sample);
    return (Rng){
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {0, (uint32_t)sample, (uint32_t)epoch,
                    (uint32_t)purpose << 16 | (uint32_t)(sample >> 32)},
        .used = 4,
    };
}

uint32_t rng_u32(Rng *r) {
    if (r->used == 4) {
        philox4x32(r->counter, r->key, r->block);
        r->counter[0]++;
        r->used = 0;
    }
    return r->block[r->used++];
}

static double uniform_from(uint32_t first, uint32_t second) {
    uint64_t high = first >> 5, low = second >> 6;
    return (double)(int64_t)(high << 26 | low) * 0x1p-53;
}

float rng_uniform_f32(Rng *r) {
    return (float)(rng_u32(r) >> 8) * 0x1p-24f;
}

double rng_uniform(Rng *r) {
    uint32_t first = rng_u32(r);
    return uniform_from(first, rng_u32(r));
}

double rng_range(Rng *r, double lo, double hi) {
    return lo + (hi - lo) * rng_uniform(r);
}

/* LANES blocks of the stream: the rounds of one block wait for each other, those of several do not.
 */
enum { LANES = 16 };

static void next_blocks(Rng *r, uint32_t out[LANES][4]) {
    uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES], k0 = r->key[0], k1 = r->key[1];
    for (uint32_t i = 0; i < LANES; i++) {
        c0[i] = r->counter[0] + i;
        c1[i] = r->counter[1], c2[i] = r->counter[2], c3[i] = r->counter[3];
    }
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
        for (int i = 0; i < LANES; i++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * c0[i], p1 = (uint64_t)0xCD9E8D57u * c2[i];
            c0[i] = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0;
            c2[i] = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
            c1[i] = (uint32_t)p1;
            c3[i] = (uint32_t)p0;
        }
    for (int i = 0; i < LANES; i++)
        out[i][0] = c0[i], out[i][1] = c1[i], out[i][2] = c2[i], out[i][3] = c3[i];
    r->counter[0] += LANES;
}

void rng_fill_range(Rng *r, double lo, double hi, float *out, int64_t n) {
    int64_t i = 0;
    for (; i < n && r->used != 4; i++) out[i] = (float)rng_range(r, lo, hi);
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        uint32_t block[LANES][4];
        next_blocks(r, block);
        for (int k = 0; k < LANES; k++) {
            const uint32_t *b = block[k];
            out[i + 2 * k] = (float)(lo + (hi - lo) * uniform_from(b[0], b[1]));
            out[i + 2 * k + 1] = (float)(lo + (hi - lo) * uniform_from(b[2], b[3]));
        }
    }
    for (; i < n; i++) out[i] = (float)rng_range(r, lo, hi);
}

/* The high half of draw * n; draws whose low half falls into the short last interval are repeated
 * (Lemire, "Fast random integer generation in an interval", 2019). */
int64_t rng_below(Rng *r, int64_t n) {
    ASSERT(n >= 1 && n <= UINT32_MAX, "n %lld", (long long)n);
    uint32_t surplus = (uint32_t)(-(uint32_t)n) % (uint32_t)n;
    uint64_t product;
    do product = (uint64_t)rng_u32(r) * (uint64_t)n;
    while ((uint32_t)product < surplus);
    return (int64_t)(product >> 32);
}

double rng_normal(Rng *r) {
    double radius = sqrt(-2.0 * log(1.0 - rng_uniform(r))); /* 1 - u is never 0 */
    return radius * cos(6.283185307179586476925 * rng_uniform(r));
}

enum { FEISTEL_ROUNDS = 8 };

/* A bijection of [0, 4^half_bits) whatever the round function is. */
static uint64_t feistel(uint64_t seed, uint64_t epoch, int half_bits, uint64_t x) {
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t mask = (uint32_t)((UINT64_C(1) << half_bits) - 1);
    uint32_t left = (uint32_t)(x >> half_bits), right = (uint32_t)x & mask;
    for (uint32_t round = 0; round < FEISTEL_ROUNDS; round++) {
        const uint32_t counter[4] = {right, round, (uint32_t)epoch, (uint32_t)RNG_ORDER << 16};
        uint32_t out[4];
        philox4x32(counter, key, out);
        uint32_t mixed = left ^ (out[0] & mask);
        left = right;
        right = mixed;
    }
    return (uint64_t)left << half_bits | right;
}

/* Walking the cycle until it comes back below n restricts the bijection to [0, n); the domain is
 * less than 4 n, so that takes fewer than 4 steps on average. */
int64_t rng_permute(uint64_t seed, uint64_t epoch, int64_t n, int64_t i) {
    ASSERT(n >= 1 && n <= INT64_C(1) << 62, "n %lld", (long long)n);
    ASSERT(i >= 0 && i < n, "i %lld of n %lld", (long long)i, (long long)n);
    ASSERT(epoch >> 32 == 0, "epoch %llu", (unsigned long long)epoch);
    int half_bits = 1;
    while (INT64_C(1) << (2 * half_bits) < n) half_bits++;
    uint64_t x = (uint64_t)i;
    do x = feistel(seed, epoch, half_bits, x);
    while (x >= (uint64_t)n);
    return (int64_t)x;
}

/* Comparisons. Conditions are written so that NaN fails. */
#include <math.h>
#include <string.h>

#include "golden.h"

typedef struct Difference {
    double square, reference; /* sums of squares */
    double largest;
    int64_t at, n;
} Difference;

static void measure(Difference *d, const float *got, const float *want, int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) {
        double diff = fabs((double)got[i] - (double)want[i]);
        d->square += diff * diff;
        d->n++;
        d->reference += (double)want[i] * (double)want[i];
        if (!(diff <= d->largest)) {
            d->largest = diff;
            d->at = i;
        }
    }
}

static void judge(Golden *g, const char *what, const float *got, const float *want, Difference d,
                  Limit limit) {
    double rel = sqrt(d.square) / (d.reference > 0 ? sqrt(d.reference) : 1);
    if (limit.rel_l2 == BY_ROUNDING) limit.rel_l2 = golden_rounding_limit(g, what, d.n > 1, rel);
    if (rel <= limit.rel_l2 && d.largest <= limit.max_abs)
        g->compared++;
    else
        golden_problem(g,
                       "%s: rel L2 %.3g (limit %.3g); largest difference %.3g (limit %.3g) at "
                       "%lld: %.9g instead of %.9g",
                       what, rel, limit.rel_l2, d.largest, limit.max_abs, (long long)d.at,
                       (double)got[d.at], (double)want[d.at]);
}

void compare_reals(Golden *g, const char *what, const float *got, const float *want, int64_t n,
                   Limit limit) {
    Difference d = {0};
    if (!got || !want) return; /* reported when it was taken */
    measure(&d, got, want, 0, n);
    judge(g, what, got, want, d, limit);
}

void compare_without_key(Golden *g, const char *what, const float *got, const float *want,
                         int64_t n, Limit limit) {
    static const char suffix[] = "attn.qkv.bias";
    Difference d = {0};
    size_t length = strlen(what), m = sizeof suffix - 1;
    bool has_key = length >= m && strcmp(what + length - m, suffix) == 0;
    if (!got || !want) return;
    measure(&d, got, want, 0, has_key ? n / 3 : n);
    if (has_key) measure(&d, got, want, 2 * (n / 3), n);
    judge(g, what, got, want, d, limit);
}

void compare_number(Golden *g, const char *what, double got, double want, double limit) {
    double scale = fabs(want) > 0 ? fabs(want) : 1;
    if (limit == BY_ROUNDING)
        limit = scale * golden_rounding_limit(g, what, false, fabs(got - want) / scale);
    if (fabs(got - want) <= limit)
        g->compared++;
    else
        golden_problem(g, "%s: %.17g instead of %.17g, difference %.3g (limit %.3g)", what, got,
                       want, got - want, limit);
}

void compare_ids(Golden *g, const char *what, const int32_t *got, const int64_t *want, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (got[i] != want[i]) {
            golden_problem(g, "%s: element %lld is %lld instead of %lld", what, (long long)i,
                           (long long)got[i], (long long)want[i]);
            return;
        }
    g->compared++;
}

void compare_bytes(Golden *g, const char *what, const uint8_t *got, const uint8_t *want,
                   int64_t n) {
    int64_t differing = 0, first = -1;
    for (int64_t i = 0; i < n; i++) {
        if (got[i] == want[i]) continue;
        if (differing++ == 0) first = i;
    }
    if (differing == 0)
        g->compared++;
    else
        golden_problem(g, "%s: %lld of %lld bytes differ, the first at %lld: %d instead of %d",
                       what, (long long)differing, (long long)n, (long long)first, got[first],
                       want[first]);
}

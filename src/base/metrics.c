/* See metrics.h. */
#include "base/metrics.h"

#include <math.h>
#include <stdio.h>

#define X(ID, NAME, TITLE, SHARE, MORE)                                                            \
    {NAME, "ema_" NAME, "best_" NAME, TITLE, TITLE ", averaged weights", SHARE, MORE},
const MetricKind metric_kinds[METRIC_COUNT] = {METRIC_KINDS(X)};
#undef X

double metric_known(double value) {
    return isfinite(value) ? value : -1;
}

double metrics_get(const Metrics *m, MetricId id) {
    for (int i = 0; i < m->n; i++)
        if (m->at[i].id == id) return metric_known(m->at[i].value);
    return -1;
}

bool metric_is_better(MetricId id, double a, double b) {
    if (isnan(a) || isnan(b)) return !isnan(a);
    return metric_kinds[id].more_is_better ? a > b : a < b;
}

void metrics_text(const Metrics *m, bool title, char *buf, size_t bytes) {
    size_t used = 0;
    buf[0] = '\0';
    for (int i = 0; i < m->n && used < bytes; i++) {
        const MetricKind *k = &metric_kinds[m->at[i].id];
        double v = m->at[i].value;
        if (!isfinite(v)) continue;
        used += (size_t)snprintf(buf + used, bytes - used, "%s%s%s%.*f%s", used ? ", " : "",
                                 title ? k->title : "", title ? " " : "", k->is_share ? 2 : 4,
                                 k->is_share ? 100 * v : v, k->is_share ? " %" : "");
    }
}

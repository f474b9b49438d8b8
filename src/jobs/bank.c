/* See bank.h. */
#include "jobs/bank.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"

static Status to_bank(void *user, Session *s, const Batch *b, Error *err) {
    Bank *bank = user;
    (void)err;
    memcpy(bank->features + bank->n * bank->width, session_features(s),
           (size_t)(b->n * bank->width) * sizeof *bank->features);
    for (int64_t i = 0; i < b->n; i++, bank->n++) {
        bank->image[bank->n] = b->samples[i];
        bank->label[bank->n] = b->labels[i].class;
    }
    return MAE_OK;
}

Status bank_fill(Bank *b, Session *s, const SessionJob *job, Error *err) {
    int64_t n = dataset_count(b->dataset);
    b->width = session_values(s);
    b->features = mem_alloc_array((size_t)(n * b->width), sizeof *b->features);
    b->image = mem_alloc_array((size_t)n, sizeof *b->image);
    b->label = mem_alloc_array((size_t)n, sizeof *b->label);
    if (!b->features || !b->image || !b->label)
        return error_set(err, MAE_MEMORY, "no memory for features of %" PRId64 " images", n);
    return session_stream(s, job, to_bank, b, err);
}

void bank_free(Bank *b) {
    mem_free(b->features);
    mem_free(b->image);
    mem_free(b->label);
    dataset_close(b->dataset);
}

/* mae neighbours: the images of a source whose features are most like those of given images. */
#include "jobs/neighbours.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/overlap.h"
#include "infer/knn.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"
#include "run/machine.h"

#define FEATURE_BATCH 64

/* --- what was found --------------------------------------------------------------------------- */

const SamePair *neighbours_same(const Neighbours *s, int64_t q, int64_t *n) {
    int64_t image = s->given.image[q], first = 0, end = s->n_same;
    while (first < end) {
        int64_t middle = first + (end - first) / 2;
        if (s->same[middle].query < image)
            first = middle + 1;
        else
            end = middle;
    }
    for (*n = 0; first + *n < s->n_same && s->same[first + *n].query == image;) ++*n;
    return s->same + first;
}

const char *neighbours_class(const Neighbours *s, int64_t row) {
    int class = s->source.label[row];
    return class < 0 ? NULL : dataset_class_name(s->source.dataset, class);
}

const char *neighbours_given_class(const Neighbours *s, int64_t q) {
    int64_t n;
    const SamePair *same = neighbours_same(s, q, &n);
    int class = s->given.label[q];
    if (class >= 0) return dataset_class_name(s->given.dataset, class);
    class = n > 0 ? dataset_class(s->source.dataset, same->image) : -1;
    return class < 0 ? NULL : dataset_class_name(s->source.dataset, class);
}

/* --- looking ---------------------------------------------------------------------------------- */

static void note_same(void *user, int64_t query, int64_t image) {
    Neighbours *s = user;
    SamePair *pairs = mem_room(s->same, (size_t)s->n_same, &s->same_capacity, sizeof *pairs);
    if (!pairs) s->failed = true;
    if (s->failed) return;
    s->same = pairs;
    s->same[s->n_same++] = (SamePair){query, image};
}

static Status open_sides(Neighbours *s, const MaeModel *m, const MaeOptions *o, Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &m->vit->config;
    TRY(setup_given(o, c->channels, &s->given.dataset, err));
    TRY(setup_dataset(o, c->channels, &s->source.dataset, err));
    TRY(dataset_pairs(s->given.dataset, s->source.dataset, note_same, s, err));
    if (s->failed) status = error_set(err, MAE_MEMORY, "no memory to compare two sets of images");
done:
    return status;
}

/* Those given come first: they are few, and what is wrong with them is said before long work. */
static Status fill_banks(Neighbours *s, const MaeModel *m, const MaeOptions *o, Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &m->vit->config;
    Session *session = NULL;
    SessionJob job;
    SessionOptions options = {.batch = FEATURE_BATCH, .pool = (PoolKind)o->pool, .block = o->block};
    TRY(session_new(m->vit, options, &session, err));
    job = setup_given_job(o, c, s->given.dataset, "features");
    s->given_augment = job.augment;
    TRY(bank_fill(&s->given, session, &job, err));
    if (s->given.n == 0) {
        status = error_set(err, MAE_EMPTY, "none of the images given could be read");
        goto done;
    }
    TRY(setup_eval_job(o, c, s->source.dataset, "features", NULL, &job, err));
    s->source_augment = job.augment;
    TRY(bank_fill(&s->source, session, &job, err));
done:
    session_free(session);
    return status;
}

static bool is_among(const SamePair *same, int64_t n, int64_t image) {
    for (int64_t i = 0; i < n; i++)
        if (same[i].image == image) return true;
    return false;
}

/* Takes the best k of the n nearest rows that are not the query itself. */
static void take_others(Neighbours *s, int64_t q, const int64_t *rows, const float *cosines,
                        int64_t n) {
    int64_t n_same, taken = 0;
    const SamePair *same = neighbours_same(s, q, &n_same);
    for (int64_t i = 0; i < n && taken < s->k; i++) {
        if (is_among(same, n_same, s->source.image[rows[i]])) continue;
        s->row[q * s->k + taken] = rows[i];
        s->cosine[q * s->k + taken++] = cosines[i];
    }
    for (; taken < s->k; taken++) s->row[q * s->k + taken] = -1;
}

static int64_t most_same(const Neighbours *s) {
    int64_t most = 0, n;
    for (int64_t q = 0; q < s->given.n; q++) {
        neighbours_same(s, q, &n);
        if (n > most) most = n;
    }
    return most;
}

static Status look(Neighbours *s, Device *d, Error *err) {
    Status status = MAE_OK;
    int64_t m = s->given.n, n = s->k + most_same(s);
    if (n > s->source.n) n = s->source.n;
    int64_t *rows = mem_alloc_array((size_t)(m * n), sizeof *rows);
    float *cosines = mem_alloc_array((size_t)(m * n), sizeof *cosines);
    s->row = mem_alloc_array((size_t)(m * s->k), sizeof *s->row);
    s->cosine = mem_alloc_array((size_t)(m * s->k), sizeof *s->cosine);
    if (!rows || !cosines || !s->row || !s->cosine) {
        status = error_set(err, MAE_MEMORY, "no memory for neighbours of %" PRId64 " images", m);
        goto done;
    }
    TRY(knn_nearest(d, s->source.features, s->source.n, s->given.features, m, s->given.width, n,
                    call_stop(), rows, cosines, err));
    for (int64_t q = 0; q < m; q++) take_others(s, q, rows + q * n, cosines + q * n, n);
done:
    mem_free(rows);
    mem_free(cosines);
    return status;
}

static void neighbours_free(Neighbours *s) {
    bank_free(&s->source);
    bank_free(&s->given);
    mem_free(s->row);
    mem_free(s->cosine);
    mem_free(s->same);
}

/* --- results ---------------------------------------------------------------------------------- */

/* A class that is not there is null. */
static void tell_class(Result row, const char *class) {
    if (class)
        result_text(row, "class", class);
    else
        result_number(row, "class", NAN);
}

static void tell_image(const Neighbours *s, int64_t q, Result row) {
    int64_t n_same;
    const SamePair *same = neighbours_same(s, q, &n_same);
    result_text(row, "image", dataset_name(s->given.dataset, s->given.image[q]));
    tell_class(row, neighbours_given_class(s, q));
    Result files = result_list(row, "same_file");
    for (int64_t i = 0; i < n_same; i++)
        result_text(files, NULL, dataset_name(s->source.dataset, same[i].image));
    Result list = result_list(row, "neighbours");
    for (int64_t i = 0; i < s->k && s->row[q * s->k + i] >= 0; i++) {
        int64_t near = s->row[q * s->k + i];
        Result one = result_object(list, NULL);
        result_text(one, "image", dataset_name(s->source.dataset, s->source.image[near]));
        result_number(one, "cosine", (double)s->cosine[q * s->k + i]);
        tell_class(one, neighbours_class(s, near));
    }
}

static void tell(const Neighbours *s, const MaeOptions *o, Result out) {
    Result images = result_list(out, "images");
    for (int64_t q = 0; q < s->given.n; q++) tell_image(s, q, result_object(images, NULL));
    result_count(out, "k", s->k);
    result_count(out, "memory", s->source.n);
    result_count(out, "queries", s->given.n);
    result_count(out, "unreadable",
                 dataset_n_left_out(s->source.dataset) + dataset_n_left_out(s->given.dataset));
    if (o->out) result_text(out, "picture", o->out);
}

/* --- the job ---------------------------------------------------------------------------------- */

static Status check_output(const char *path, Error *err) {
    if (!path) return MAE_OK;
    Status status = file_check_ending(path, "a picture", ".png", err);
    return status == MAE_OK ? file_check_output(path, err) : status;
}

static Status neighbours(MaeModel *m, const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    Neighbours s = {.k = o->k};
    TRY(open_sides(&s, m, o, err));
    TRY(fill_banks(&s, m, o, err));
    if (s.k > s.source.n) {
        log_line(LOG_INFO, "--k %" PRId64 ": --data has only %" PRId64 " image%s", s.k, s.source.n,
                 s.source.n == 1 ? "" : "s");
        s.k = s.source.n;
    }
    TRY(look(&s, m->device, err));
    if (o->out) TRY(neighbours_write_sheet(&s, o->out, err));
    tell(&s, o, out);
done:
    neighbours_free(&s);
    return status;
}

Status neighbours_job(const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    MaeModel *m = NULL;
    TRY(check_output(o->out, err));
    TRY(model_open(o, &m, err));
    machine_say_threads(o, m->device, NULL);
    TRY(neighbours(m, o, out, err));
done:
    model_free(m);
    return status;
}

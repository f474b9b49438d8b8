/* mae features: features of a dataset in a file, with a picture of the attention of its first
 * images. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/name.h"
#include "draw/attention_map.h"
#include "formats/csv.h"
#include "formats/npy.h"
#include "infer/session.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"
#include "run/machine.h"

#define FEATURE_BATCH 64
#define MAX_PICTURED 16

/* --- images of a dataset ---------------------------------------------------------------------- */

typedef struct Job {
    MaeModel *model;
    const MaeOptions *options;
    SessionJob images;
    Session *session; /* of the features, with --out */
    int64_t n;        /* images */
    int64_t rows;     /* written */
} Job;

/* --- features --------------------------------------------------------------------------------- */

typedef struct FileSink {
    Dataset *dataset;
    NpyWriter *npy;
    FileWriter *names;
    int64_t values, rows;
    float *kept; /* of a stream, which can only be written when all rows are there */
    int64_t capacity;
} FileSink;

static Status to_file(void *user, Session *session, const Batch *b, Error *err) {
    FileSink *s = user;
    Status status = npy_writer_append(s->npy, session_features(session), b->n * s->values, err);
    s->rows += b->n;
    for (int64_t i = 0; i < b->n && status == MAE_OK; i++) {
        char *name = name_escape(dataset_name(s->dataset, b->samples[i]), NAME_IN_LINE);
        if (!name) return error_set(err, MAE_MEMORY, "no memory for a name");
        status = file_writer_write(s->names, name, strlen(name), err);
        if (status == MAE_OK) status = file_writer_write(s->names, "\n", 1, err);
        mem_free(name);
    }
    return status;
}

/* PATH.npy -> PATH.txt */
static char *names_path(const char *path) {
    size_t n = strlen(path);
    if (n > 4 && strcmp(path + n - 4, ".npy") == 0) n -= 4;
    return mem_printf("%.*s.txt", (int)n, path);
}

/* Neither file without the other. */
static Status commit(FileSink *s, const char *names, Error *err) {
    Status status = file_writer_commit(s->names, err);
    if (status != MAE_OK) return status;
    status = npy_writer_commit(s->npy, err);
    if (status != MAE_OK) file_remove(names, NULL);
    return status;
}

static Status to_memory(void *user, Session *session, const Batch *b, Error *err) {
    FileSink *s = user;
    size_t row = (size_t)s->values * sizeof *s->kept;
    if (s->rows + b->n > s->capacity) {
        int64_t capacity = 2 * s->capacity + b->n;
        float *grown = mem_realloc(s->kept, (size_t)s->capacity * row, (size_t)capacity * row);
        if (!grown)
            return error_set(err, MAE_MEMORY, "no memory for the features of %" PRId64 " images",
                             capacity);
        s->kept = grown;
        s->capacity = capacity;
    }
    memcpy(s->kept + s->rows * s->values, session_features(session), (size_t)b->n * row);
    s->rows += b->n;
    return MAE_OK;
}

static Shape shape_of(const Job *j, int64_t rows) {
    int64_t D = j->model->vit->config.embed_dim, T = session_values(j->session) / D;
    return j->options->pool == POOL_ALL ? SHAPE(rows, T, D) : SHAPE(rows, D);
}

/* The header says how many rows there are, and comes first. */
static Status write_to_stream(Job *j, Error *err) {
    Status status = MAE_OK;
    FileSink s = {.dataset = j->images.data, .values = session_values(j->session)};
    TRY(session_stream(j->session, &j->images, to_memory, &s, err));
    TRY(npy_writer_open(j->options->out, shape_of(j, s.rows), &s.npy, err));
    TRY(npy_writer_append(s.npy, s.kept, s.rows * s.values, err));
    TRY(npy_writer_commit(s.npy, err));
    j->rows = s.rows;
    log_line(LOG_INFO, "the names of the rows are left out: there is no file beside %s",
             file_is_standard_output(j->options->out) ? "standard output" : j->options->out);
done:
    npy_writer_close(s.npy);
    mem_free(s.kept);
    return status;
}

static Status write_features(Job *j, Error *err) {
    Status status = MAE_OK;
    Shape shape = shape_of(j, j->n);
    FileSink s = {.dataset = j->images.data, .values = session_values(j->session)};
    char *names = names_path(j->options->out);
    if (!names) return error_set(err, MAE_MEMORY, "no memory for a path");
    TRY(npy_writer_open(j->options->out, shape, &s.npy, err));
    TRY(file_writer_open(names, &s.names, err));
    TRY(session_stream(j->session, &j->images, to_file, &s, err));
    TRY(npy_writer_set_rows(s.npy, s.rows, err));
    TRY(commit(&s, names, err));
    j->rows = s.rows;
done:
    npy_writer_close(s.npy);
    file_writer_close(s.names);
    mem_free(names);
    return status;
}

/* --- features as text ------------------------------------------------------------------------- */

typedef struct CsvSink {
    Dataset *dataset;
    CsvWriter *csv;
    int64_t T, D, rows; /* T: rows an image; 1 without tokens */
    bool tokens;
} CsvSink;

static Status write_head(CsvSink *s, Error *err) {
    Status status = MAE_OK;
    char name[32];
    TRY(csv_writer_text(s->csv, "name", err));
    if (s->tokens) TRY(csv_writer_text(s->csv, "token", err));
    for (int64_t k = 0; k < s->D; k++) {
        snprintf(name, sizeof name, "f%" PRId64, k);
        TRY(csv_writer_text(s->csv, name, err));
    }
    TRY(csv_writer_end_row(s->csv, err));
done:
    return status;
}

static Status to_csv(void *user, Session *session, const Batch *b, Error *err) {
    CsvSink *s = user;
    Status status = MAE_OK;
    const float *values = session_features(session);
    for (int64_t i = 0; i < b->n * s->T; i++) {
        TRY(csv_writer_text(s->csv, dataset_name(s->dataset, b->samples[i / s->T]), err));
        if (s->tokens) TRY(csv_writer_count(s->csv, i % s->T, err));
        TRY(csv_writer_floats(s->csv, values + i * s->D, s->D, err));
        TRY(csv_writer_end_row(s->csv, err));
    }
    s->rows += b->n;
done:
    return status;
}

static Status write_csv(Job *j, Error *err) {
    Status status = MAE_OK;
    int64_t D = j->model->vit->config.embed_dim;
    CsvSink s = {.dataset = j->images.data,
                 .T = session_values(j->session) / D,
                 .D = D,
                 .tokens = j->options->pool == POOL_ALL};
    TRY(csv_writer_open(j->options->out, &s.csv, err));
    TRY(write_head(&s, err));
    TRY(session_stream(j->session, &j->images, to_csv, &s, err));
    TRY(csv_writer_commit(s.csv, err));
    j->rows = s.rows;
done:
    csv_writer_close(s.csv);
    return status;
}

/* --- attention -------------------------------------------------------------------------------- */

typedef struct PictureSink {
    const ModelConfig *config;
    Image seen;    /* by the model, after resizing */
    float *maps;   /* [H,P] */
    Image picture; /* all rows, made with the first one */
    int64_t n_rows, filled;
} PictureSink;

static Status add_row(PictureSink *s, const Image *row, Error *err) {
    int64_t row_bytes = row->width * 3, step = row->height + ATTENTION_GAP;
    if (s->filled == 0) {
        Status status =
            image_new(&s->picture, MAE_U8, row->width, step * s->n_rows - ATTENTION_GAP, 3, err);
        if (status != MAE_OK) return status;
        memset(s->picture.pixels, 255, (size_t)(s->picture.height * row_bytes));
    }
    ASSERT(row->channels == 3 && row->width == s->picture.width && s->filled < s->n_rows,
           "row %lld of %lld", (long long)s->filled, (long long)s->n_rows);
    memcpy(s->picture.pixels + s->filled++ * step * row_bytes, row->pixels,
           (size_t)(row->height * row_bytes));
    return MAE_OK;
}

static Status to_picture(void *user, Session *session, const Batch *b, Error *err) {
    PictureSink *s = user;
    const ModelConfig *c = s->config;
    int64_t image_bytes = c->image_height * c->image_width * c->channels;
    Status status = MAE_OK;
    Image row = {0};
    for (int64_t i = 0; i < b->n; i++) {
        memcpy(s->seen.pixels, b->pixels + i * image_bytes, (size_t)image_bytes);
        session_attention(session, i, s->maps);
        TRY(attention_picture(&s->seen, s->maps, c->heads, model_grid_height(c),
                              model_grid_width(c), &row, err));
        TRY(add_row(s, &row, err));
        image_free(&row);
        row = (Image){0};
    }
done:
    image_free(&row);
    return status;
}

/* Never 0, which is the last one: what lies above the block is not needed. */
static int64_t attention_block(const Job *j) {
    return j->options->block ? j->options->block : j->model->vit->config.depth;
}

static Status write_attention(Job *j, Error *err) {
    Status status = MAE_OK;
    Vit *v = j->model->vit;
    const ModelConfig *c = &v->config;
    Session *session = NULL;
    SessionJob images = j->images;
    PictureSink s = {.config = c, .n_rows = j->n < MAX_PICTURED ? j->n : MAX_PICTURED};
    SessionOptions o = {
        .batch = s.n_rows, .pool = POOL_CLS, .block = attention_block(j), .attention = true};
    TRY(session_new(v, o, &session, err));
    TRY(image_new(&s.seen, MAE_U8, c->image_width, c->image_height, c->channels, err));
    s.maps = mem_alloc_array((size_t)(c->heads * model_patches(c)), sizeof *s.maps);
    if (!s.maps) {
        status = error_set(err, MAE_MEMORY, "no memory for attention maps");
        goto done;
    }
    images.limit = s.n_rows;
    TRY(session_stream(session, &images, to_picture, &s, err));
    int64_t step = (s.picture.height + ATTENTION_GAP) / s.n_rows;
    s.picture.height = step * s.filled - ATTENTION_GAP; /* without those left out */
    TRY(image_write_png(j->options->attention, &s.picture, err));
    j->rows = s.filled;
done:
    session_free(session);
    image_free(&s.seen);
    image_free(&s.picture);
    mem_free(s.maps);
    return status;
}

/* --- a dataset -------------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && strcasecmp(path + n - m, ending) == 0;
}

/* The name decides what is written, the format where there is nothing to see in the name. */
static bool is_csv(const MaeOptions *o) {
    return ends_in(o->out, ".csv") || (TableFormat)o->table_format == TABLE_CSV;
}

static Status check_table(const MaeOptions *o, Error *err) {
    Status status = MAE_OK;
    const char *format = table_format_words[o->table_format];
    bool npy = ends_in(o->out, ".npy"), csv = ends_in(o->out, ".csv");
    TRY(file_check_ending(o->out, "a table of features", ".npy .csv", err));
    TRY(file_check_output(o->out, err));
    if (!npy && !csv && !file_is_stream(o->out))
        return error_set(err, MAE_USAGE, "--out %s: a table of features ends in .npy or .csv",
                         o->out);
    if ((npy && o->table_format == TABLE_CSV) || (csv && o->table_format == TABLE_NPY))
        return error_set(err, MAE_USAGE, "--out %s is no %s, as --format says", o->out, format);
done:
    return status;
}

static Status check_outputs(const MaeOptions *o, Error *err) {
    Status status = MAE_OK;
    if (!o->out && !o->attention)
        return error_set(
            err, MAE_USAGE,
            "no output; name a file with --out FILE.npy, --out FILE.csv or --attention PNG");
    if (o->out && o->attention && strcmp(o->out, o->attention) == 0)
        return error_set(err, MAE_USAGE, "--out and --attention are both %s", o->out);
    if (o->out) TRY(check_table(o, err));
    if (o->attention) TRY(file_check_ending(o->attention, "a picture", ".png", err));
    if (o->attention) TRY(file_check_output(o->attention, err));
done:
    return status;
}

static Status write_table(Job *j, Error *err) {
    if (is_csv(j->options)) return write_csv(j, err);
    return file_is_stream(j->options->out) ? write_to_stream(j, err) : write_features(j, err);
}

/* Both outputs, or one of them, and what they hold. */
static void tell(const Job *j, Result out) {
    const MaeOptions *o = j->options;
    const ModelConfig *c = &j->model->vit->config;
    char *names = o->out && !is_csv(o) && !file_is_stream(o->out) ? names_path(o->out) : NULL;
    if (o->out) result_text(out, "features", o->out);
    if (names) result_text(out, "names", names);
    mem_free(names);
    result_count(out, "rows", j->rows);
    result_count(out, "unreadable", dataset_n_left_out(j->images.data));
    if (o->out && o->pool == POOL_ALL) result_count(out, "tokens", 1 + model_patches(c));
    if (o->out) {
        result_count(out, "columns", c->embed_dim);
        result_count(out, "width", c->embed_dim);
        result_text(out, "pool", pool_words[o->pool]);
    }
    result_count(out, "block", o->block);
    if (!o->attention) return;
    result_text(out, "attention", o->attention);
    result_count(out, "attention_block", attention_block(j));
}

/* The picture comes first: it is quick, and what is wrong with it is said before long work. */
static Status features(MaeModel *m, const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &m->vit->config;
    Job j = {.model = m, .options = o};
    Dataset *d = NULL;
    SessionOptions session = {.pool = (PoolKind)o->pool, .block = o->block};
    machine_say_threads(o, m->device, NULL);
    TRY(setup_dataset(o, c->channels, &d, err));
    TRY(setup_eval_job(o, c, d, "features", NULL, &j.images, err));
    j.n = dataset_count(d);
    if (!o->out && j.n > MAX_PICTURED) j.n = MAX_PICTURED;
    session.batch = j.n < FEATURE_BATCH ? j.n : FEATURE_BATCH;
    if (o->out) TRY(session_new(m->vit, session, &j.session, err));
    if (o->attention) TRY(write_attention(&j, err));
    if (o->out) TRY(write_table(&j, err));
    tell(&j, out);
done:
    session_free(j.session);
    dataset_close(d);
    return status;
}

Status features_job(const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    MaeModel *m = NULL;
    TRY(check_outputs(o, err));
    TRY(model_open(o, &m, err));
    TRY(features(m, o, out, err));
done:
    model_free(m);
    return status;
}

/* Images that a program gives: as a dataset, and through the loader, they are those of files, and
 * those that cannot be given are as files that cannot be read. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/loader.h"
#include "data/overlap.h"
#include "given_images.h"
#include "scratch.h"
#include "set_log.h"

Suite *suite_source_memory(void);

static GivenImages given;

/* 12 images of different sizes in three classes. */
static void make_images(void) {
    static const char *const classes[] = {"ant", "bee", "cow"};
    scratch_make();
    for (int i = 0; i < 12; i++)
        scratch_png(scratch_path("set/%s/%02d.png", classes[i / 4], i), i, 20 + i, 31 - i);
    given_open(&given, scratch_path("set"), "frames, of a day");
}

static void remove_images(void) {
    given_close(&given);
    scratch_remove();
}

static Status open_given(const MaeSource *source, DatasetOptions o, Dataset **out, Error *err) {
    if (o.channels == 0) o.channels = 3;
    o.memory = source;
    char text[64];
    snprintf(text, sizeof text, "memory:%s", source->name);
    return dataset_open(text, o, out, err);
}

static Dataset *opened(DatasetOptions o) {
    Error err = {0};
    Dataset *d;
    ck_assert_msg(open_given(&given.source, o, &d, &err) == MAE_OK, "%s", err.message);
    return d;
}

static Dataset *opened_files(DatasetOptions o) {
    Error err = {0};
    Dataset *d;
    if (o.channels == 0) o.channels = 3;
    ck_assert_msg(dataset_open(scratch_path("set"), o, &d, &err) == MAE_OK, "%s", err.message);
    return d;
}

/* --- the dataset ------------------------------------------------------------------------------ */

static void expect_same_images(Dataset *a, Dataset *b) {
    ck_assert_int_eq(dataset_count(a), dataset_count(b));
    ck_assert_int_eq(dataset_available(a), dataset_available(b));
    ck_assert_int_eq(dataset_n_classes(a), dataset_n_classes(b));
    for (int64_t i = 0; i < dataset_count(a); i++) {
        Sample x, y;
        ck_assert_int_eq(dataset_fetch(a, i, &x, NULL), MAE_OK);
        ck_assert_int_eq(dataset_fetch(b, i, &y, NULL), MAE_OK);
        ck_assert_int_eq(x.image.width, y.image.width);
        ck_assert_int_eq(x.image.height, y.image.height);
        ck_assert_mem_eq(x.image.pixels, y.image.pixels,
                         (size_t)(x.image.width * x.image.height * dataset_channels(a)));
        ck_assert_str_eq(dataset_name(a, i), dataset_name(b, i));
        ck_assert_int_eq(dataset_class(a, i), dataset_class(b, i));
        dataset_release(&x);
        dataset_release(&y);
    }
}

START_TEST(every_option_means_the_same_as_with_files) {
    const DatasetOptions options[] = {
        {.channels = 3},
        {.channels = 1},
        {.max_side = 12},
        {.cache_bytes = 4000},
        {.limit = 5, .seed = 3},
        {.limit = -5},
        {.split_share = 0.3, .seed = 4},
        {.split_share = 0.3, .seed = 4, .held_out = true},
    };
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        Dataset *files = opened_files(options[k]), *memory = opened(options[k]);
        given.planar = k % 2;
        expect_same_images(files, memory);
        dataset_close(files);
        dataset_close(memory);
    }
    ck_assert_int_eq(given.fetched, given.released);
}
END_TEST

START_TEST(it_says_what_it_is) {
    Dataset *d = opened((DatasetOptions){0});
    ck_assert_str_eq(dataset_describe(d), "memory frames, of a day: 12 images, 3 classes");
    ck_assert_str_eq(dataset_class_name(d, 1), "bee");
    ck_assert(!dataset_is_numbered(d));
    dataset_close(d);
    given.source.class_names = NULL;
    given.source.image_name = NULL;
    d = opened((DatasetOptions){0});
    ck_assert_str_eq(dataset_name(d, 7), "frames, of a day/7");
    ck_assert_str_eq(dataset_class_name(d, 1), "1");
    ck_assert(dataset_is_numbered(d));
    dataset_close(d);
    given.source.n_classes = 0;
    d = opened((DatasetOptions){0});
    ck_assert_str_eq(dataset_describe(d), "memory frames, of a day: 12 images, no labels");
    ck_assert_int_eq(dataset_class(d, 7), -1);
    dataset_close(d);
    ck_assert_int_eq(given.fetched, 0);
}
END_TEST

static int no_label(void *user, int64_t i) {
    (void)user, (void)i;
    return -1;
}

static int some_labels(void *user, int64_t i) {
    (void)user;
    return i == 3 ? -1 : 0;
}

static int wrong_label(void *user, int64_t i) {
    (void)user;
    return i == 3 ? 3 : 0;
}

static void refuse(MaeSource source, Status wanted, const char *part) {
    Error err = {0};
    Dataset *d = NULL;
    ck_assert_int_eq(open_given(&source, (DatasetOptions){0}, &d, &err), wanted);
    ck_assert_ptr_null(d);
    ck_assert_msg(strstr(err.message, part) != NULL, "'%s' lacks '%s'", err.message, part);
}

START_TEST(a_source_that_cannot_be_is_refused) {
    const MaeSource good = given.source;
    MaeSource s = good;
    static const char *const holes[] = {"a", NULL, "c"};
    s.count = 0;
    refuse(s, MAE_EMPTY, "count 0");
    s = good;
    s.fetch = NULL;
    refuse(s, MAE_USAGE, "no function fetch");
    s = good;
    s.label = NULL;
    refuse(s, MAE_USAGE, "no function label");
    s = good;
    s.n_classes = -2;
    refuse(s, MAE_USAGE, "-2 classes");
    s = good;
    s.class_names = holes;
    refuse(s, MAE_USAGE, "class 1 has no name");
    s = good;
    s.label = wrong_label;
    refuse(s, MAE_USAGE, "class 3, where there are 3");
    s = good;
    s.label = some_labels;
    refuse(s, MAE_FORMAT, "label all or none");
    s = good;
    s.label = no_label;
    given.source = s;
    Dataset *d = opened((DatasetOptions){0});
    ck_assert_int_eq(dataset_n_classes(d), 0);
    dataset_close(d);
    Error err = {0};
    ck_assert_int_eq(dataset_open("memory:day", (DatasetOptions){.channels = 3}, &d, &err),
                     MAE_USAGE);
    ck_assert_msg(strstr(err.message, "memory:day: these images came from a program") != NULL, "%s",
                  err.message);
    ck_assert_int_eq(open_given(&good, (DatasetOptions){.limits.max_entries = 11}, &d, NULL),
                     MAE_UNSUPPORTED);
}
END_TEST

START_TEST(the_same_image_is_found_on_both_sides) {
    Dataset *all = opened((DatasetOptions){0}), *part = opened((DatasetOptions){.limit = -5});
    Dataset *files = opened_files((DatasetOptions){0});
    Overlap o;
    ck_assert_int_eq(dataset_overlap(all, part, &o, NULL), MAE_OK);
    ck_assert_int_eq(o.images, 5);
    ck_assert_int_eq(dataset_overlap(all, files, &o, NULL), MAE_OK);
    ck_assert_int_eq(o.images, 0);
    ck_assert(dataset_is_given(all));
    ck_assert(!dataset_is_given(files));
    dataset_close(all);
    dataset_close(part);
    dataset_close(files);
}
END_TEST

/* --- images that cannot be given -------------------------------------------------------------- */

static void expect_fault(MaeStatus status, const char *reason, Status wanted, const char *message) {
    Dataset *d = opened((DatasetOptions){0});
    Error err = {0};
    Sample s;
    given.broken = 7;
    given.status = status;
    given.reason = reason;
    ck_assert_int_eq(dataset_fetch(d, 7, &s, &err), wanted);
    ck_assert_msg(strncmp(err.message, "frames, of a day/7: ", 20) == 0, "%s", err.message);
    ck_assert_str_eq(err.message + 20, message);
    ck_assert_ptr_null(s.image.pixels);
    dataset_close(d);
}

START_TEST(a_failure_keeps_its_reason) {
    given.source.image_name = NULL;
    expect_fault(MAE_FORMAT, "a torn frame", MAE_FORMAT, "a torn frame");
    expect_fault(MAE_MEMORY, "no memory for a frame", MAE_MEMORY, "no memory for a frame");
    expect_fault(MAE_USAGE, "wrong", MAE_IO, "wrong");
    expect_fault(MAE_INTERRUPTED, NULL, MAE_IO, "the program could not give the image");
    expect_fault((MaeStatus)99, NULL, MAE_IO, "the program could not give the image");
    ck_assert_int_eq(given.released, 0);
    expect_fault(MAE_OK, NULL, MAE_FORMAT, "an image without pixels: the pointer is NULL");
    ck_assert_int_eq(given.released, 1);
}
END_TEST

/* --- the loader ------------------------------------------------------------------------------- */

enum { SIDE = 8, BYTES = SIDE * SIDE * 3 };

static LoaderOptions crops(int n_workers) {
    LoaderOptions o = {
        .batch = 5, .n_workers = n_workers, .seed = 7, .shuffle = true, .repeat = 1, .n_epochs = 4};
    o.augment = (Augment){.kind = AUGMENT_CROP,
                          .height = SIDE,
                          .width = SIDE,
                          .min_scale = 0.2,
                          .max_scale = 1,
                          .min_ratio = 3.0 / 4,
                          .max_ratio = 4.0 / 3,
                          .flip = 0.5};
    return o;
}

/* What a loader gives, up to an error, which it returns. */
typedef struct Record {
    int64_t n, unreadable, samples[64];
    int classes[64];
    uint8_t pixels[64 * BYTES];
} Record;

static Status record(Dataset *d, LoaderOptions o, Record *r, Error *err) {
    Loader *l;
    Batch b;
    Status status = loader_open(d, o, &l, err);
    ck_assert_int_eq(status, MAE_OK);
    memset(r, 0, sizeof *r);
    while ((status = loader_next(l, &b, err)) == MAE_OK && b.n > 0)
        for (int64_t i = 0; i < b.n; i++, r->n++) {
            ck_assert_int_lt(r->n, 64);
            r->samples[r->n] = b.samples[i];
            r->classes[r->n] = b.labels[i].class;
            memcpy(r->pixels + r->n * BYTES, b.pixels + i * BYTES, BYTES);
        }
    r->unreadable = loader_unreadable(l);
    loader_close(l);
    return status;
}

START_TEST(batches_are_those_of_files) {
    Record *a = malloc(sizeof *a), *b = malloc(sizeof *b);
    for (int workers = 0; workers < 5; workers += 2) {
        Dataset *files = opened_files((DatasetOptions){0}), *memory = opened((DatasetOptions){0});
        ck_assert_int_eq(record(files, crops(workers), a, NULL), MAE_OK);
        ck_assert_int_eq(record(memory, crops(workers), b, NULL), MAE_OK);
        ck_assert_int_eq(a->n, 48);
        ck_assert_mem_eq(a, b, sizeof *a);
        dataset_close(files);
        dataset_close(memory);
    }
    ck_assert_int_eq(given.fetched, given.released);
    free(a);
    free(b);
}
END_TEST

static int warnings;
static char warning[1024];

static void hear(void *user, int level, const char *line) {
    (void)user;
    if (level == LOG_WARNING) warnings++;
    snprintf(warning, sizeof warning, "%s", line);
}

START_TEST(what_is_not_given_is_replaced_left_out_or_an_error) {
    Record *r = malloc(sizeof *r);
    Error err = {0};
    given.source.image_name = NULL;
    given.broken = 7;
    given.status = MAE_IO;
    given.reason = "the camera was off";
    Dataset *d = opened((DatasetOptions){0});
    set_log(hear, NULL);
    ck_assert_int_eq(record(d, crops(3), r, &err), MAE_OK);
    set_log(NULL, NULL);
    ck_assert_int_eq(r->n, 48);
    ck_assert_int_eq(r->unreadable, 1);
    ck_assert_int_eq(warnings, 1);
    ck_assert_msg(strstr(warning, "frames, of a day/7: the camera was off") != NULL, "%s", warning);
    for (int64_t i = 0; i < r->n; i++) ck_assert_int_ne(r->samples[i], 7);
    LoaderOptions o = crops(3);
    o.leave_out = true;
    ck_assert_int_eq(record(d, o, r, &err), MAE_OK);
    ck_assert_int_eq(r->n, 44);
    dataset_close(d);
    d = opened((DatasetOptions){0});
    o.strict = true;
    ck_assert_int_eq(record(d, o, r, &err), MAE_IO);
    given.status = MAE_MEMORY;
    ck_assert_int_eq(record(d, crops(3), r, NULL), MAE_MEMORY);
    dataset_close(d);
    free(r);
}
END_TEST

START_TEST(memory_that_is_short_leaks_nothing) {
    for (int64_t n = 1; n < 400; n++) {
        Dataset *d = NULL;
        Sample s = {0};
        mem_fail_after(n);
        Status status = open_given(&given.source, (DatasetOptions){0}, &d, NULL);
        if (status == MAE_OK) status = dataset_fetch(d, 3, &s, NULL);
        mem_fail_after(0);
        ck_assert(status == MAE_OK || status == MAE_MEMORY);
        dataset_release(&s);
        dataset_close(d);
        if (status == MAE_OK) return;
    }
    ck_abort_msg("still short of memory");
}
END_TEST

Suite *suite_source_memory(void) {
    Suite *s = suite_create("source_memory");
    TCase *t = tcase_create("source_memory");
    tcase_add_checked_fixture(t, make_images, remove_images);
    tcase_add_test(t, every_option_means_the_same_as_with_files);
    tcase_add_test(t, it_says_what_it_is);
    tcase_add_test(t, a_source_that_cannot_be_is_refused);
    tcase_add_test(t, the_same_image_is_found_on_both_sides);
    tcase_add_test(t, a_failure_keeps_its_reason);
    tcase_add_test(t, batches_are_those_of_files);
    tcase_add_test(t, what_is_not_given_is_replaced_left_out_or_an_error);
    tcase_add_test(t, memory_that_is_short_leaks_nothing);
    suite_add_tcase(s, t);
    return s;
}

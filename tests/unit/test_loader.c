/* The loader: the same batches for any number of workers, resume, ends, failures, closing early. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "data/loader.h"
#include "kernels/device.h"
#include "scratch.h"
#include "set_log.h"

Suite *suite_loader(void);

#define SIDE 8
#define SAMPLE_BYTES (SIDE * SIDE * 3)

static LoaderOptions options_for(int64_t batch, int n_workers) {
    LoaderOptions o = {.batch = batch, .n_workers = n_workers, .seed = 7, .shuffle = true};
    o.augment = (Augment){.kind = AUGMENT_CROP,
                          .height = SIDE,
                          .width = SIDE,
                          .min_scale = 0.2,
                          .max_scale = 1,
                          .min_ratio = 3.0 / 4,
                          .max_ratio = 4.0 / 3,
                          .flip = 0.5};
    o.repeat = 1;
    return o;
}

static Dataset *open_source(const char *source) {
    Error err = {0};
    Dataset *d = NULL;
    Status status = dataset_open(source, (DatasetOptions){.channels = 3}, &d, &err);
    ck_assert_msg(status == MAE_OK, "%s", err.message);
    return d;
}

static Loader *open_loader(Dataset *d, LoaderOptions o) {
    Error err = {0};
    Loader *l = NULL;
    ck_assert_msg(loader_open(d, o, &l, &err) == MAE_OK, "%s", err.message);
    return l;
}

static Batch next(Loader *l) {
    Error err = {0};
    Batch b;
    ck_assert_msg(loader_next(l, &b, &err) == MAE_OK, "%s", err.message);
    return b;
}

/* Everything a loader gives, one record a sample. */
typedef struct Record {
    int64_t epoch, batch, n, sample;
    int label;
    uint8_t pixels[SAMPLE_BYTES];
} Record;

static int64_t record_all(Dataset *d, LoaderOptions o, Record *out, int64_t room) {
    Loader *l = open_loader(d, o);
    int64_t n = 0;
    for (Batch b = next(l); b.n > 0; b = next(l))
        for (int64_t i = 0; i < b.n; i++, n++) {
            ck_assert_int_lt(n, room);
            memset(&out[n], 0, sizeof out[n]);
            out[n].epoch = b.epoch;
            out[n].batch = b.index;
            out[n].n = b.n;
            out[n].sample = b.samples[i];
            out[n].label = b.labels[i].class;
            memcpy(out[n].pixels, b.pixels + i * SAMPLE_BYTES, SAMPLE_BYTES);
        }
    ck_assert_int_eq(next(l).n, 0);
    loader_close(l);
    return n;
}

START_TEST(same_for_any_number_of_workers) {
    Dataset *d = open_source("synthetic:23x20x20");
    Record *first = calloc(100, sizeof *first), *other = calloc(100, sizeof *other);
    LoaderOptions o = options_for(5, 0);
    o.n_epochs = 3;
    int64_t n = record_all(d, o, first, 100);
    ck_assert_int_eq(n, 3 * 23);
    const int workers[] = {1, 2, 4};
    for (int w = 0; w < 3; w++)
        for (int ahead = 0; ahead < 3; ahead++) {
            o.n_workers = workers[w];
            o.n_ahead = ahead;
            ck_assert_int_eq(record_all(d, o, other, 100), n);
            ck_assert_int_eq(memcmp(first, other, (size_t)n * sizeof *first), 0);
        }
    for (int64_t i = 0; i < n; i++) {
        ck_assert_int_eq(first[i].epoch, i / 23);
        ck_assert_int_eq(first[i].batch, i % 23 / 5);
        ck_assert_int_eq(first[i].n, i % 23 < 20 ? 5 : 3);
        ck_assert_int_eq(first[i].sample, rng_permute(7, (uint64_t)(i / 23), 23, i % 23));
        ck_assert_int_eq(first[i].label, first[i].sample % 10);
    }
    free(first);
    free(other);
    dataset_close(d);
}
END_TEST

/* ---- normalised images ---- */

static const float MEAN[3] = {0.485f, 0.456f, 0.406f}, STD[3] = {0.229f, 0.224f, 0.225f};

/* RandAugment and erasing, as in fine-tuning. */
static LoaderOptions fine_tuning(int64_t batch, int n_workers) {
    LoaderOptions o = options_for(batch, n_workers);
    o.n_epochs = 2;
    o.augment.randaugment = (RandAugment){2, 9, 0.5, true, 0.5};
    o.augment.erase = (Erase){0.5, 0.02, 1.0 / 3, 0.3, 1, ERASE_PIXEL};
    return o;
}

/* The images of all batches, one after the other; pixels must not depend on them. */
static int64_t record_images(Dataset *d, LoaderOptions o, const Record *want, float *out) {
    const float mean[3] = {MEAN[0], MEAN[1], MEAN[2]}, std[3] = {STD[0], STD[1], STD[2]};
    int64_t n = 0;
    o.mean = mean;
    o.std = std;
    Loader *l = open_loader(d, o);
    for (Batch b = next(l); b.n > 0; b = next(l))
        for (int64_t i = 0; i < b.n; i++, n++) {
            ck_assert_ptr_nonnull(b.images);
            ck_assert_mem_eq(b.pixels + i * SAMPLE_BYTES, want[n].pixels, SAMPLE_BYTES);
            memcpy(out + n * SAMPLE_BYTES, b.images + i * SAMPLE_BYTES, SAMPLE_BYTES * sizeof *out);
            for (int64_t k = 0; k < SAMPLE_BYTES; k++) b.images[i * SAMPLE_BYTES + k] = -1;
        }
    loader_close(l);
    return n;
}

/* Without erasing the bits of the kernel, which the model applies to pixels otherwise. */
START_TEST(images_are_the_kernels) {
    enum { N = 2 * 23 };
    Device *device = NULL;
    PatchGrid grid = {.height = SIDE, .width = SIDE, .channels = 3, .patch = 1};
    Dataset *d = open_source("synthetic:23x20x20");
    Record *r = calloc(N + 1, sizeof *r);
    float *got = calloc(N * SAMPLE_BYTES, sizeof *got), *want = calloc(SAMPLE_BYTES, sizeof *want);
    LoaderOptions o = fine_tuning(5, 2);
    o.augment.erase.probability = 0;
    ck_assert_int_eq(record_all(d, o, r, N + 1), N);
    ck_assert_int_eq(record_images(d, o, r, got), N);
    ck_assert_int_eq(device_open("ref", 1, NULL, &device, NULL), MAE_OK);
    for (int64_t i = 0; i < N; i++) {
        device->kernels.image_normalize(device, want, r[i].pixels, NUMBER_U8, MEAN, STD, 1, grid);
        ck_assert_mem_eq(got + i * SAMPLE_BYTES, want, SAMPLE_BYTES * sizeof *want);
    }
    device_close(device);
    free(r);
    free(got);
    free(want);
    dataset_close(d);
}
END_TEST

START_TEST(images_same_for_any_number_of_workers) {
    enum { N = 2 * 23 };
    Dataset *d = open_source("synthetic:23x20x20");
    Record *r = calloc(N + 1, sizeof *r);
    size_t bytes = N * SAMPLE_BYTES * sizeof(float);
    float *first = calloc(1, bytes), *other = calloc(1, bytes);
    LoaderOptions o = fine_tuning(5, 0);
    ck_assert_int_eq(record_all(d, o, r, N + 1), N);
    ck_assert_int_eq(record_images(d, o, r, first), N);
    for (int workers = 1; workers <= 4; workers++) {
        o.n_workers = workers;
        o.n_ahead = workers % 3;
        ck_assert_int_eq(record_images(d, o, r, other), N);
        ck_assert_mem_eq(first, other, bytes);
    }
    o.augment.erase.probability = 0;
    record_images(d, o, r, other);
    int n_erased = 0;
    for (int i = 0; i < N; i++)
        n_erased += memcmp(first + i * SAMPLE_BYTES, other + i * SAMPLE_BYTES,
                           SAMPLE_BYTES * sizeof *first) != 0;
    ck_assert(n_erased > N / 4 && n_erased < N * 3 / 4); /* 23 of 46, within 3.4 deviations */
    free(r);
    free(first);
    free(other);
    dataset_close(d);
}
END_TEST

START_TEST(no_images_unless_asked) {
    Dataset *d = open_source("synthetic:6x20x20");
    Loader *l = open_loader(d, options_for(2, 1));
    ck_assert_ptr_null(next(l).images);
    loader_close(l);
    dataset_close(d);
}
END_TEST

START_TEST(resume_is_the_tail) {
    Dataset *d = open_source("synthetic:23x20x20");
    Record *full = calloc(100, sizeof *full), *tail = calloc(100, sizeof *tail);
    LoaderOptions o = options_for(5, 2);
    o.n_epochs = 3;
    o.drop_last = true;
    ck_assert_int_eq(record_all(d, o, full, 100), 60);
    for (int64_t epoch = 0; epoch <= 3; epoch++)
        for (int64_t batch = 0; batch <= 4; batch++) {
            int64_t skipped = 5 * (4 * epoch + batch), left = skipped < 60 ? 60 - skipped : 0;
            o.start_epoch = epoch;
            o.start_batch = batch;
            ck_assert_int_eq(record_all(d, o, tail, 100), left);
            if (left)
                ck_assert_int_eq(memcmp(full + skipped, tail, (size_t)left * sizeof *full), 0);
        }
    free(full);
    free(tail);
    dataset_close(d);
}
END_TEST

START_TEST(repeat_and_order) {
    Dataset *d = open_source("synthetic:7x20x20");
    Record *r = calloc(100, sizeof *r);
    LoaderOptions o = options_for(4, 2);
    o.repeat = 3;
    o.n_epochs = 1;
    ck_assert_int_eq(record_all(d, o, r, 100), 21);
    int seen[21] = {0};
    for (int i = 0; i < 21; i++) {
        ck_assert(r[i].sample >= 0 && r[i].sample < 21 && !seen[r[i].sample]++);
        ck_assert_int_eq(r[i].label, r[i].sample % 7);
        for (int k = 0; k < i; k++)
            ck_assert_int_ne(memcmp(r[i].pixels, r[k].pixels, SAMPLE_BYTES), 0);
    }
    o.shuffle = false;
    o.drop_last = true;
    ck_assert_int_eq(record_all(d, o, r, 100), 20);
    for (int i = 0; i < 20; i++) ck_assert_int_eq(r[i].sample, i);
    free(r);
    dataset_close(d);
}
END_TEST

/* ---- crops of JPEG ---- */

/* A picture of 90 x 70 with whatever the quality leaves of it; to be cut off with cut > 0. */
static void write_jpeg(const char *path, int number, long cut) {
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL, row[90 * 3];
    unsigned long n = 0;
    j.err = jpeg_std_error(&errors);
    jpeg_create_compress(&j);
    jpeg_mem_dest(&j, &bytes, &n);
    j.image_width = 90;
    j.image_height = 70;
    j.input_components = 3;
    j.in_color_space = JCS_RGB;
    jpeg_set_defaults(&j);
    jpeg_start_compress(&j, TRUE);
    while (j.next_scanline < j.image_height) {
        JSAMPROW rows[] = {row};
        for (int x = 0; x < 90; x++)
            for (int c = 0; c < 3; c++)
                row[3 * x + c] = scratch_pixel(number, x, (int)j.next_scanline, c);
        jpeg_write_scanlines(&j, rows, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    ck_assert_int_eq(file_write_all(path, bytes, n - (size_t)cut, NULL), MAE_OK);
    free(bytes);
}

/* With a cache whole images are decoded, without one only what the crop needs: the same batches,
 * also where the end of a file is missing. */
START_TEST(crops_of_part_and_whole) {
    Record *part = calloc(100, sizeof *part), *whole = calloc(100, sizeof *whole);
    DatasetOptions cached = {.channels = 3, .cache_bytes = 1 << 20};
    ck_assert_int_eq(file_make_directories(scratch_path("crops"), NULL), MAE_OK);
    for (int i = 0; i < 20; i++) write_jpeg(scratch_path("crops/%02d.jpg", i), i, i % 2 ? 150 : 0);
    Dataset *d = open_source(scratch_path("crops")), *c = NULL;
    ck_assert_int_eq(dataset_open(scratch_path("crops"), cached, &c, NULL), MAE_OK);
    LoaderOptions o = options_for(4, 2);
    o.n_epochs = 4;
    ck_assert_int_eq(record_all(d, o, part, 100), 80);
    ck_assert_int_eq(record_all(c, o, whole, 100), 80);
    ck_assert_mem_eq(part, whole, 80 * sizeof *part);
    for (int i = 0; i < 80; i++) ck_assert_int_eq(part[i].sample % 2, 0);
    dataset_close(d);
    dataset_close(c);
    free(part);
    free(whole);
}
END_TEST

/* ---- unreadable images ---- */

static int n_log_lines;
static char last_line[2048];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void count_line(void *user, int level, const char *line) {
    (void)user;
    pthread_mutex_lock(&log_lock);
    ck_assert_int_eq(level, LOG_WARNING);
    n_log_lines++;
    snprintf(last_line, sizeof last_line, "%s", line);
    pthread_mutex_unlock(&log_lock);
}

/* Eight images in one class, of which 2 and 3 are broken. */
static Dataset *open_damaged(void) {
    for (int i = 0; i < 8; i++) {
        char *path = scratch_path("set/x/%d.png", i);
        if (i == 2 || i == 3)
            scratch_text(path, "broken");
        else
            scratch_png(path, i, 12, 12);
    }
    return open_source(scratch_path("set"));
}

START_TEST(unreadable_is_replaced) {
    Dataset *d = open_damaged();
    Record *first = calloc(50, sizeof *first), *r = calloc(50, sizeof *r);
    set_log(count_line, NULL);
    for (int workers = 0; workers <= 4; workers += 2) {
        LoaderOptions o = options_for(3, workers);
        o.shuffle = false;
        o.n_epochs = 2;
        n_log_lines = 0;
        ck_assert_int_eq(record_all(d, o, r, 50), 16);
        ck_assert_int_eq(n_log_lines, 2);
        const int expected[] = {0, 1, 4, 4, 4, 5, 6, 7};
        for (int i = 0; i < 16; i++) ck_assert_int_eq(r[i].sample, expected[i % 8]);
        if (workers == 0) memcpy(first, r, 16 * sizeof *r);
        ck_assert_int_eq(memcmp(first, r, 16 * sizeof *r), 0);
    }
    Loader *l = open_loader(d, options_for(8, 2));
    next(l);
    ck_assert_int_eq(loader_unreadable(l), 2);
    loader_close(l);
    free(first);
    free(r);
    dataset_close(d);
}
END_TEST

START_TEST(replacement_wraps) {
    for (int i = 0; i < 3; i++) scratch_text(scratch_path("w/%d.png", i), "broken");
    scratch_png(scratch_path("w/0.png"), 0, 12, 12);
    Dataset *d = open_source(scratch_path("w"));
    LoaderOptions o = options_for(3, 0);
    o.shuffle = false;
    Loader *l = open_loader(d, o);
    Batch b = next(l);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(b.samples[i], 0);
    loader_close(l);
    dataset_close(d);
}
END_TEST

START_TEST(strict_fails_at_its_batch) {
    Dataset *d = open_damaged();
    for (int workers = 0; workers <= 4; workers += 2) {
        LoaderOptions o = options_for(2, workers);
        o.shuffle = false;
        o.strict = true;
        Loader *l = open_loader(d, o);
        ck_assert_int_eq(next(l).n, 2);
        for (int again = 0; again < 2; again++) {
            Error err = {0};
            Batch b;
            ck_assert_int_eq(loader_next(l, &b, &err), MAE_FORMAT);
            ck_assert_msg(strstr(err.message, "2.png") != NULL, "%s", err.message);
            ck_assert_int_eq(b.n, 0);
        }
        loader_close(l);
    }
    dataset_close(d);
}
END_TEST

START_TEST(nothing_readable) {
    for (int i = 0; i < 3; i++) scratch_text(scratch_path("n/%d.png", i), "broken");
    Dataset *d = open_source(scratch_path("n"));
    for (int workers = 0; workers <= 2; workers += 2) {
        Loader *l = open_loader(d, options_for(2, workers));
        Error err = {0};
        Batch b;
        ck_assert_int_eq(loader_next(l, &b, &err), MAE_EMPTY);
        ck_assert_ptr_nonnull(strstr(err.message, "none of the 3 images"));
        ck_assert_int_eq(loader_unreadable(l), 3);
        loader_close(l);
    }
    dataset_close(d);
}
END_TEST

/* ---- beginnings and ends ---- */

/* Every sample of a batch goes to one process, partners of mixing (i and n-1-i) to the same one. */
static void check_places(int64_t n_ranks, int64_t batch) {
    int64_t whole = n_ranks * batch;
    int *taken = calloc((size_t)whole, sizeof *taken);
    for (int64_t r = 0; r < n_ranks; r++)
        for (int64_t i = 0; i < batch; i++) {
            int64_t place = loader_place(r, n_ranks, batch, i);
            ck_assert(place >= 0 && place < whole);
            taken[place]++;
            if (batch % 2 == 0)
                ck_assert_int_eq(loader_place(r, n_ranks, batch, batch - 1 - i), whole - 1 - place);
        }
    for (int64_t i = 0; i < whole; i++) ck_assert_int_eq(taken[i], 1);
    free(taken);
}

START_TEST(places_of_processes) {
    for (int64_t n_ranks = 1; n_ranks <= 5; n_ranks++)
        for (int64_t batch = 1; batch <= 6; batch++) check_places(n_ranks, batch);
    for (int64_t i = 0; i < 7; i++) ck_assert_int_eq(loader_place(0, 1, 7, i), i);
}
END_TEST

/* Several processes together see what one sees, each its part of every batch, also with an image
 * that cannot be read. */
static void check_ranks(Dataset *d, int64_t n_ranks, int64_t batch, const Record *alone, int64_t n,
                        Record *part) {
    int64_t whole = n_ranks * batch;
    LoaderOptions o = options_for(batch, 2);
    o.drop_last = true;
    o.n_epochs = 2;
    o.n_ranks = n_ranks;
    for (o.rank = 0; o.rank < n_ranks; o.rank++) {
        ck_assert_int_eq(record_all(d, o, part, n), n / n_ranks);
        for (int64_t i = 0; i < n / n_ranks; i++) {
            int64_t place = loader_place(o.rank, n_ranks, batch, i % batch);
            Record want = alone[i / batch * whole + place];
            want.n = batch;
            ck_assert_int_eq(memcmp(&part[i], &want, sizeof want), 0);
        }
    }
}

START_TEST(processes_share_batches) {
    Dataset *d = open_source("synthetic:26x20x20");
    Record *alone = calloc(100, sizeof *alone), *part = calloc(100, sizeof *part);
    const int64_t ranks[] = {2, 3, 4, 12}, batches[] = {6, 4, 3, 1};
    LoaderOptions o = options_for(12, 1);
    o.drop_last = true;
    o.n_epochs = 2;
    int64_t n = record_all(d, o, alone, 100);
    ck_assert_int_eq(n, 48);
    for (int i = 0; i < 4; i++) check_ranks(d, ranks[i], batches[i], alone, n, part);
    free(alone);
    free(part);
    dataset_close(d);
}
END_TEST

START_TEST(a_part_of_the_images) {
    Dataset *d = open_source("synthetic:9x20x20");
    Record all[9], part[9];
    LoaderOptions o = options_for(4, 1);
    o.shuffle = false;
    o.n_epochs = 1;
    ck_assert_int_eq(record_all(d, o, all, 9), 9);
    o.first = 3;
    o.limit = 8;
    ck_assert_int_eq(record_all(d, o, part, 9), 5);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(part[i].sample, 3 + i);
        ck_assert_int_eq(memcmp(part[i].pixels, all[3 + i].pixels, SAMPLE_BYTES), 0);
    }
    dataset_close(d);
}
END_TEST

START_TEST(closing_in_the_middle) {
    Dataset *d = open_source("synthetic:40x32x32");
    for (int round = 0; round < 40; round++) {
        LoaderOptions o = options_for(1 + round % 5, 1 + round % 4);
        o.n_ahead = 1 + round % 3;
        o.n_epochs = round % 2;
        Loader *l = open_loader(d, o);
        for (int k = 0; k < round % 7; k++) next(l);
        if (round % 3 == 0) usleep(500);
        loader_close(l);
    }
    loader_close(NULL);
    dataset_close(d);
}
END_TEST

START_TEST(too_small) {
    Dataset *d = open_source("synthetic:10x8x8");
    LoaderOptions o = options_for(64, 2);
    o.drop_last = true;
    Error err = {0};
    Loader *l = NULL;
    ck_assert_int_eq(loader_open(d, o, &l, &err), MAE_EMPTY);
    ck_assert_ptr_null(l);
    const char *const parts[] = {"synthetic 10x8x8: 10 images", "one batch of 64", "to 10 or less",
                                 "at least 7 times"};
    for (int k = 0; k < 4; k++)
        ck_assert_msg(strstr(err.message, parts[k]) != NULL, "'%s' lacks '%s'", err.message,
                      parts[k]);
    o.repeat = 7;
    l = open_loader(d, o);
    ck_assert_int_eq(loader_batches_per_epoch(l), 1);
    ck_assert_int_eq(next(l).n, 64);
    loader_close(l);
    dataset_close(d);
}
END_TEST

START_TEST(memory_runs_out) {
    Dataset *d = open_source("synthetic:6x8x8");
    for (int n = 1; n < 200; n++) {
        LoaderOptions o = options_for(2, 2);
        o.n_epochs = 1;
        o.augment.randaugment = (RandAugment){9, 9, 0, true, 1};
        o.mean = MEAN;
        o.std = STD;
        Error err = {0};
        Loader *l = NULL;
        Batch b = {.n = 1};
        mem_fail_after(n);
        Status status = loader_open(d, o, &l, &err);
        while (status == MAE_OK && b.n > 0) status = loader_next(l, &b, &err);
        mem_fail_after(0);
        loader_close(l);
        if (status == MAE_OK) {
            dataset_close(d);
            return;
        }
        ck_assert_msg(status == MAE_MEMORY, "allocation %d: %s", n, err.message);
    }
    ck_abort_msg("never succeeded");
}
END_TEST

Suite *suite_loader(void) {
    Suite *s = suite_create("loader");
    TCase *c = tcase_create("loader");
    tcase_add_checked_fixture(c, scratch_make, scratch_remove);
    tcase_add_test(c, same_for_any_number_of_workers);
    tcase_add_test(c, images_are_the_kernels);
    tcase_add_test(c, images_same_for_any_number_of_workers);
    tcase_add_test(c, no_images_unless_asked);
    tcase_add_test(c, resume_is_the_tail);
    tcase_add_test(c, repeat_and_order);
    tcase_add_test(c, unreadable_is_replaced);
    tcase_add_test(c, replacement_wraps);
    tcase_add_test(c, strict_fails_at_its_batch);
    tcase_add_test(c, nothing_readable);
    tcase_add_test(c, places_of_processes);
    tcase_add_test(c, processes_share_batches);
    tcase_add_test(c, a_part_of_the_images);
    tcase_add_test(c, closing_in_the_middle);
    tcase_add_test(c, too_small);
    tcase_add_test(c, memory_runs_out);
    tcase_add_test(c, crops_of_part_and_whole);
    suite_add_tcase(s, c);
    return s;
}

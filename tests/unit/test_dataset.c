/* Sources of every kind, made in a temporary folder and read back. */
#include <check.h>
#include <archive.h>
#include <archive_entry.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "scratch.h"

Suite *suite_dataset(void);

static const DatasetOptions rgb = {.channels = 3};

static Dataset *open_source(const char *source, DatasetOptions options) {
    Error err = {0};
    Dataset *d = NULL;
    ck_assert_msg(dataset_open(source, options, &d, &err) == MAE_OK, "%s", err.message);
    return d;
}

static void refuse(const char *source, Status expected, const char *part) {
    Error err = {0};
    Dataset *d = NULL;
    ck_assert_int_eq(dataset_open(source, rgb, &d, &err), expected);
    ck_assert_ptr_null(d);
    ck_assert_msg(strstr(err.message, part) != NULL, "'%s' lacks '%s'", err.message, part);
}

static Sample fetch(Dataset *d, int64_t index) {
    Error err = {0};
    Sample s = {0};
    ck_assert_msg(dataset_fetch(d, index, &s, &err) == MAE_OK, "%s", err.message);
    return s;
}

/* Sample index of d is the picture that scratch_png made. */
static void expect_png(Dataset *d, int64_t index, int number, int64_t width, int64_t height) {
    Sample s = fetch(d, index);
    ck_assert_int_eq(s.image.width, width);
    ck_assert_int_eq(s.image.height, height);
    for (int64_t i = 0; i < width * height * 3; i++)
        ck_assert_int_eq(s.image.pixels[i],
                         scratch_pixel(number, i / 3 % width, i / 3 / width, (int)(i % 3)));
    dataset_release(&s);
}

static void expect_end(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    ck_assert_msg(n >= m && strcmp(text + n - m, end) == 0, "'%s' does not end in '%s'", text, end);
}

START_TEST(folder_of_classes) {
    scratch_png(scratch_path("set/cat/2.png"), 1, 6, 5);
    scratch_png(scratch_path("set/cat/deep/1.PNG"), 2, 6, 5);
    scratch_png(scratch_path("set/cat-big/1.png"), 3, 6, 5);
    scratch_png(scratch_path("set/Dog/1.png"), 4, 6, 5);
    scratch_png(scratch_path("set/.hidden/1.png"), 5, 6, 5);
    scratch_png(scratch_path("set/cat/.1.png"), 6, 6, 5);
    scratch_text(scratch_path("set/cat/readme.txt"), "no image");
    Dataset *d = open_source(scratch_path("set/"), rgb);
    ck_assert_int_eq(dataset_count(d), 4);
    ck_assert_int_eq(dataset_n_classes(d), 3);
    ck_assert_str_eq(dataset_class_name(d, 0), "Dog");
    ck_assert_str_eq(dataset_class_name(d, 1), "cat");
    ck_assert_str_eq(dataset_class_name(d, 2), "cat-big");
    const int labels[] = {0, 1, 1, 2}, numbers[] = {4, 1, 2, 3};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(dataset_class(d, i), labels[i]);
        expect_png(d, i, numbers[i], 6, 5);
    }
    expect_end(dataset_name(d, 2), "set/cat/deep/1.PNG");
    expect_end(dataset_describe(d), "4 images, 3 classes");
    dataset_close(d);
}
END_TEST

START_TEST(folder_flat_and_mixed) {
    scratch_png(scratch_path("flat/b.png"), 2, 4, 4);
    scratch_png(scratch_path("flat/a.png"), 1, 4, 4);
    Dataset *d = open_source(scratch_path("flat"), rgb);
    ck_assert_int_eq(dataset_n_classes(d), 0);
    ck_assert_int_eq(dataset_class(d, 0), -1);
    expect_png(d, 0, 1, 4, 4);
    expect_end(dataset_describe(d), "2 images, no labels");
    dataset_close(d);
    scratch_png(scratch_path("flat/sub/c.png"), 3, 4, 4);
    d = open_source(scratch_path("flat"), rgb);
    ck_assert_int_eq(dataset_count(d), 3);
    ck_assert_int_eq(dataset_n_classes(d), 0);
    ck_assert_ptr_nonnull(strstr(dataset_describe(d), "beside the sub-folders"));
    dataset_close(d);
}
END_TEST

START_TEST(folder_follows_links_once) {
    scratch_png(scratch_path("real/a/1.png"), 1, 4, 4);
    scratch_png(scratch_path("other/1.png"), 2, 4, 4);
    ck_assert_int_eq(symlink("../other", scratch_path("real/b")), 0);
    ck_assert_int_eq(symlink("..", scratch_path("real/a/loop")), 0);
    Dataset *d = open_source(scratch_path("real"), rgb);
    ck_assert_int_eq(dataset_count(d), 2);
    ck_assert_int_eq(dataset_n_classes(d), 2);
    expect_png(d, 1, 2, 4, 4);
    dataset_close(d);
}
END_TEST

START_TEST(nothing_found) {
    scratch_text(scratch_path("empty/readme.txt"), "x");
    refuse(scratch_path("empty"), MAE_EMPTY, ".webp");
    refuse(scratch_path("empty"), MAE_EMPTY, scratch_path("empty"));
    refuse(scratch_path("missing"), MAE_IO, "no such file");
    refuse(scratch_path("empty/readme.md"), MAE_IO, "readme.md");
    scratch_text(scratch_path("photo.bin"), "x");
    refuse(scratch_path("photo.bin"), MAE_UNSUPPORTED, "prefix");
    refuse("folder:", MAE_USAGE, "colon");
    refuse("", MAE_USAGE, "empty source");
    scratch_text(scratch_path("empty.txt"), "\n\n");
    refuse(scratch_path("empty.txt"), MAE_EMPTY, "path<TAB>label");
}
END_TEST

START_TEST(list_with_numbers_and_names) {
    scratch_png(scratch_path("l/x/1.png"), 1, 4, 4);
    scratch_png(scratch_path("l/2.png"), 2, 4, 4);
    char text[1024];
    snprintf(text, sizeof text, "x/1.png\t3\r\n\n%s\t0", scratch_path("l/2.png"));
    scratch_text(scratch_path("l/n.tsv"), text);
    Dataset *d = open_source(scratch_path("l/n.tsv"), rgb);
    ck_assert_int_eq(dataset_count(d), 2);
    ck_assert_int_eq(dataset_n_classes(d), 4);
    ck_assert_int_eq(dataset_class(d, 0), 3);
    ck_assert_int_eq(dataset_class(d, 1), 0);
    expect_png(d, 0, 1, 4, 4);
    expect_png(d, 1, 2, 4, 4);
    dataset_close(d);
    scratch_text(scratch_path("l/names.txt"), "x/1.png\tzebra\n2.png\tant\n");
    d = open_source(scratch_path("l/names.txt"), rgb);
    ck_assert_int_eq(dataset_n_classes(d), 2);
    ck_assert_str_eq(dataset_class_name(d, dataset_class(d, 0)), "zebra");
    ck_assert_int_eq(dataset_class(d, 1), 0);
    dataset_close(d);
    scratch_text(scratch_path("l/plain.lst"), "x/1.png\n2.png\n");
    d = open_source(scratch_path("l/plain.lst"), rgb);
    ck_assert_int_eq(dataset_n_classes(d), 0);
    dataset_close(d);
    scratch_text(scratch_path("l/some.txt"), "x/1.png\t1\n2.png\n");
    refuse(scratch_path("l/some.txt"), MAE_FORMAT, "label all or none");
}
END_TEST

/* ---- tar ---- */

static struct archive *tar_create(const char *path, bool gzip) {
    struct archive *a = archive_write_new();
    archive_write_set_format_pax_restricted(a);
    if (gzip) archive_write_add_filter_gzip(a);
    ck_assert_int_eq(archive_write_open_filename(a, path), ARCHIVE_OK);
    return a;
}

static void tar_add(struct archive *a, const char *name, const void *data, size_t bytes) {
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_size(e, (la_int64_t)bytes);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    ck_assert_int_eq(archive_write_header(a, e), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_data(a, data, bytes), (la_ssize_t)bytes);
    archive_entry_free(e);
}

static void tar_add_png(struct archive *a, const char *name, int number) {
    uint8_t *data;
    size_t bytes;
    Error err = {0};
    scratch_png(scratch_path("tmp.png"), number, 5, 4);
    ck_assert_int_eq(file_read(scratch_path("tmp.png"), 1 << 20, &data, &bytes, &err), MAE_OK);
    tar_add(a, name, data, bytes);
    mem_free(data);
}

static void tar_finish(struct archive *a) {
    ck_assert_int_eq(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

START_TEST(tar_shards) {
    char longest[301];
    memset(longest, 'n', 296);
    memcpy(longest + 296, ".png", 5);
    struct archive *a = tar_create(scratch_path("s-08.tar"), false);
    tar_add(a, "d.x/0001.cls", "2\n", 2);
    tar_add_png(a, "d.x/0001.png", 1);
    tar_add_png(a, "d.x/0001.seg.png", 9);
    tar_add(a, "only-text.cls", "7", 1);
    tar_add_png(a, "0002.png", 2);
    tar_add(a, "0002.json", "{}", 2);
    tar_add(a, "0002.cls", "0", 1);
    tar_finish(a);
    a = tar_create(scratch_path("s-09.tar"), false);
    tar_add_png(a, longest, 3);
    longest[297] = 'c', longest[298] = 'l', longest[299] = 's';
    tar_add(a, longest, "1", 1);
    tar_finish(a);
    tar_finish(tar_create(scratch_path("s-10.tar"), false));
    Dataset *d = open_source(scratch_path("s-{08..10}.tar"), rgb);
    ck_assert_int_eq(dataset_count(d), 3);
    ck_assert_int_eq(dataset_n_classes(d), 3);
    const int labels[] = {2, 0, 1};
    for (int i = 2; i >= 0; i--) {
        ck_assert_int_eq(dataset_class(d, i), labels[i]);
        expect_png(d, i, i + 1, 5, 4);
    }
    expect_end(dataset_name(d, 0), "s-08.tar:d.x/0001.png");
    dataset_close(d);
    refuse(scratch_path("s-{08..11}.tar"), MAE_IO, "s-11.tar");
    refuse(scratch_path("s-{8,9}.tar"), MAE_IO, "s-{8");
    refuse(scratch_path("s-10.tar"), MAE_EMPTY, ".jfif");
}
END_TEST

START_TEST(tar_refused) {
    struct archive *a = tar_create(scratch_path("z.tar"), true);
    tar_add_png(a, "1.png", 1);
    tar_finish(a);
    refuse(scratch_path("z.tar"), MAE_UNSUPPORTED, "gzip");
    scratch_text(scratch_path("junk.tar"), "this is no archive at all");
    refuse(scratch_path("junk.tar"), MAE_FORMAT, "junk.tar");
    a = tar_create(scratch_path("half.tar"), false);
    tar_add_png(a, "1.png", 1);
    tar_add(a, "1.cls", "1", 1);
    tar_add_png(a, "2.png", 1);
    tar_finish(a);
    refuse(scratch_path("half.tar"), MAE_FORMAT, "has no label");
}
END_TEST

START_TEST(tar_changed_while_open) {
    struct archive *a = tar_create(scratch_path("c.tar"), false);
    tar_add_png(a, "1.png", 1);
    tar_finish(a);
    Dataset *d = open_source(scratch_path("c.tar"), rgb);
    ck_assert_int_eq(truncate(scratch_path("c.tar"), 520), 0);
    Error err = {0};
    Sample s = {0};
    ck_assert_int_eq(dataset_fetch(d, 0, &s, &err), MAE_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "c.tar:1.png"));
    dataset_close(d);
}
END_TEST

/* ---- CIFAR ---- */

static void cifar_file(const char *path, int label_bytes, int n, int first) {
    size_t record = (size_t)label_bytes + 3072;
    uint8_t *data = calloc((size_t)n, record);
    for (int i = 0; i < n; i++) {
        uint8_t *r = data + (size_t)i * record;
        r[label_bytes - 1] = (uint8_t)((first + i) % 10);
        for (int k = 0; k < 3072; k++)
            r[label_bytes + k] = scratch_pixel(first + i, k % 32, k / 32 % 32, k / 1024);
    }
    scratch_write(path, data, (size_t)n * record);
    free(data);
}

START_TEST(cifar_ten) {
    for (int k = 1; k <= 5; k++) cifar_file(scratch_path("c10/data_batch_%d.bin", k), 1, 3, 3 * k);
    cifar_file(scratch_path("c10/test_batch.bin"), 1, 2, 1);
    scratch_text(scratch_path("c10/batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    Dataset *d = open_source(scratch_path("c10"), rgb);
    ck_assert_int_eq(dataset_count(d), 15);
    ck_assert_int_eq(dataset_n_classes(d), 10);
    ck_assert_str_eq(dataset_class_name(d, 9), "j");
    ck_assert_int_eq(dataset_class(d, 14), (15 + 2) % 10);
    ck_assert_str_eq(dataset_name(d, 4), "data_batch_2.bin#1");
    expect_png(d, 4, 7, 32, 32);
    dataset_close(d);
    d = open_source(scratch_path("c10:test"), rgb);
    ck_assert_int_eq(dataset_count(d), 2);
    expect_png(d, 1, 2, 32, 32);
    ck_assert_ptr_nonnull(strstr(dataset_describe(d), "(test)"));
    dataset_close(d);
    ck_assert_int_eq(truncate(scratch_path("c10/data_batch_3.bin"), 3000), 0);
    refuse(scratch_path("c10:train"), MAE_FORMAT, "data_batch_3.bin");
    ck_assert_int_eq(unlink(scratch_path("c10/data_batch_3.bin")), 0);
    refuse(scratch_path("c10:train"), MAE_IO, "data_batch_3.bin");
}
END_TEST

START_TEST(cifar_hundred) {
    cifar_file(scratch_path("c100/train.bin"), 2, 4, 5);
    cifar_file(scratch_path("c100/test.bin"), 2, 1, 5);
    char source[600];
    snprintf(source, sizeof source, "cifar100:%s:train", scratch_path("c100"));
    Dataset *d = open_source(source, rgb);
    ck_assert_int_eq(dataset_count(d), 4);
    ck_assert_int_eq(dataset_n_classes(d), 100);
    ck_assert_int_eq(dataset_class(d, 3), 8);
    ck_assert_str_eq(dataset_class_name(d, 99), "99");
    expect_png(d, 3, 8, 32, 32);
    dataset_close(d);
}
END_TEST

/* While training: records that are still there are read, the others are errors. */
START_TEST(cifar_cut_short_under_way) {
    char source[600];
    cifar_file(scratch_path("c10/test_batch.bin"), 1, 4, 1);
    snprintf(source, sizeof source, "cifar10:%s:test", scratch_path("c10"));
    Dataset *d = open_source(source, rgb);
    ck_assert_int_eq(truncate(scratch_path("c10/test_batch.bin"), 2 * 3073 + 100), 0);
    for (int64_t i = 0; i < 4; i++) {
        Error err = {0};
        Sample s = {0};
        Status status = dataset_fetch(d, i, &s, &err);
        ck_assert_int_eq(status, i < 2 ? MAE_OK : MAE_IO);
        if (i >= 2) ck_assert_ptr_nonnull(strstr(err.message, "test_batch.bin#"));
        dataset_release(&s);
    }
    dataset_close(d);
}
END_TEST

/* ---- made-up sources ---- */

START_TEST(synthetic_images) {
    Dataset *d = open_source("synthetic:25x30x41", rgb),
            *e = open_source("synthetic:25x30x41", rgb);
    ck_assert_int_eq(dataset_count(d), 25);
    ck_assert_int_eq(dataset_n_classes(d), 10);
    ck_assert_int_eq(dataset_class(d, 17), 7);
    Sample a = fetch(d, 17), b = fetch(e, 17), c = fetch(d, 7);
    ck_assert_int_eq(a.image.height, 30);
    ck_assert_int_eq(a.image.width, 41);
    ck_assert_int_eq(memcmp(a.image.pixels, b.image.pixels, 30 * 41 * 3), 0);
    ck_assert_int_ne(memcmp(a.image.pixels, c.image.pixels, 30 * 41 * 3), 0);
    dataset_release(&a);
    dataset_release(&b);
    dataset_release(&c);
    dataset_close(d);
    dataset_close(e);
    d = open_source("synthetic:1x1x1", rgb);
    a = fetch(d, 0);
    dataset_release(&a);
    dataset_close(d);
    refuse("synthetic:0", MAE_USAGE, "synthetic:NxHEIGHTxWIDTH");
    refuse("synthetic:5x3", MAE_USAGE, "synthetic:5x3");
    refuse("synthetic:99999999999999999999", MAE_USAGE, "expected");
}
END_TEST

START_TEST(tiles_of_photos) {
    scratch_png(scratch_path("p/a.png"), 1, 35, 9); /* tiles of 4, two rows */
    scratch_png(scratch_path("p/b.png"), 2, 16, 7); /* tiles of 2, three rows */
    char source[600];
    snprintf(source, sizeof source, "tiles:%s", scratch_path("p"));
    Dataset *d = open_source(source, rgb);
    ck_assert_int_eq(dataset_count(d), 16 + 24);
    ck_assert_int_eq(dataset_n_classes(d), 2);
    ck_assert_str_eq(dataset_class_name(d, 1), "b.png");
    Sample s = fetch(d, 8 + 3); /* row 1, column 3 of a.png */
    ck_assert_int_eq(s.image.width, 4);
    ck_assert_int_eq(s.image.height, 4);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 4; x++)
            ck_assert_int_eq(s.image.pixels[3 * (4 * y + x) + 1],
                             scratch_pixel(1, 12 + x, 4 + y, 1));
    dataset_release(&s);
    dataset_close(d);
    const char *const split[] = {"train", "test"};
    for (int k = 0; k < 2; k++) {
        snprintf(source, sizeof source, "tiles:%s:%s", scratch_path("p"), split[k]);
        d = open_source(source, rgb);
        ck_assert_int_eq(dataset_count(d), 8 + 12);
        ck_assert_int_eq(dataset_class(d, 7), 0);
        ck_assert_int_eq(dataset_class(d, 8), 1);
        ck_assert_str_eq(dataset_name(d, 0), k ? "a.png#0,1" : "a.png#0,0");
        ck_assert_str_eq(dataset_name(d, 4), k ? "a.png#1,0" : "a.png#1,1");
        dataset_close(d);
    }
    scratch_png(scratch_path("p/c.png"), 3, 7, 7);
    refuse(source, MAE_SHAPE, "c.png");
}
END_TEST

/* ---- the dataset itself ---- */

START_TEST(joined_sources) {
    scratch_png(scratch_path("a/x/1.png"), 1, 4, 4);
    scratch_png(scratch_path("b/x/1.png"), 2, 4, 4);
    scratch_png(scratch_path("c/y/1.png"), 3, 4, 4);
    scratch_png(scratch_path("with,comma/1.png"), 4, 4, 4);
    char source[1200];
    snprintf(source, sizeof source, "%s,folder:%s", scratch_path("a"), scratch_path("b"));
    Dataset *d = open_source(source, rgb);
    ck_assert_int_eq(dataset_count(d), 2);
    ck_assert_int_eq(dataset_n_classes(d), 1);
    expect_png(d, 1, 2, 4, 4);
    dataset_close(d);
    snprintf(source, sizeof source, "%s,%s", scratch_path("a"), scratch_path("c"));
    d = open_source(source, rgb);
    ck_assert_int_eq(dataset_n_classes(d), 0);
    ck_assert_int_eq(dataset_class(d, 0), -1);
    ck_assert_ptr_nonnull(strstr(dataset_describe(d), "classes differ"));
    dataset_close(d);
    d = open_source(scratch_path("with,comma"), rgb);
    expect_png(d, 0, 4, 4, 4);
    dataset_close(d);
    snprintf(source, sizeof source, "%s,%s", scratch_path("a"), scratch_path("nowhere"));
    refuse(source, MAE_IO, "nowhere");
}
END_TEST

START_TEST(cache_has_a_budget) {
    DatasetOptions options = {.channels = 3, .cache_bytes = 2 * 10 * 10 * 3 + 5};
    Dataset *d = open_source("synthetic:3x10x10", options),
            *plain = open_source("synthetic:3x10x10", rgb);
    const bool kept[] = {true, true, false};
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 3; i++) {
            Sample s = fetch(d, i), t = fetch(plain, i);
            ck_assert(s.borrowed == kept[i] && !t.borrowed);
            ck_assert_int_eq(memcmp(s.image.pixels, t.image.pixels, 300), 0);
            dataset_release(&s);
            dataset_release(&t);
        }
    dataset_close(d);
    dataset_close(plain);
}
END_TEST

START_TEST(grey_and_max_side) {
    DatasetOptions options = {.channels = 1, .max_side = 15};
    Dataset *d = open_source("synthetic:2x30x40", options),
            *plain = open_source("synthetic:2x30x40", rgb);
    Sample s = fetch(d, 1);
    ck_assert_int_eq(s.image.channels, 1);
    ck_assert_int_eq(s.image.height, 15);
    ck_assert_int_eq(s.image.width, 20);
    dataset_release(&s);
    dataset_close(d);
    d = open_source("synthetic:2x30x40", (DatasetOptions){.channels = 1, .max_side = 30});
    s = fetch(d, 1);
    Sample t = fetch(plain, 1);
    for (int i = 0; i < 30 * 40; i++) {
        const uint8_t *p = t.image.pixels + 3 * i;
        double grey = 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
        ck_assert_int_le(abs(s.image.pixels[i] - (int)(grey + 0.5)), 1);
    }
    dataset_release(&s);
    dataset_release(&t);
    dataset_close(d);
    dataset_close(plain);
}
END_TEST

static void *fetch_all(void *user) {
    Dataset *d = user;
    for (int i = 0; i < 200; i++) {
        Sample s = fetch(d, i % 10);
        ck_assert_int_eq(s.image.width, 16);
        dataset_release(&s);
    }
    return NULL;
}

START_TEST(fetch_from_threads) {
    DatasetOptions options = {.channels = 3, .cache_bytes = 5 * 16 * 16 * 3};
    Dataset *d = open_source("synthetic:10x16x16", options);
    pthread_t threads[4];
    for (int k = 0; k < 4; k++)
        ck_assert_int_eq(pthread_create(&threads[k], NULL, fetch_all, d), 0);
    for (int k = 0; k < 4; k++) pthread_join(threads[k], NULL);
    dataset_close(d);
}
END_TEST

/* Each allocation in turn fails: an error, never a crash or a leak (the sanitizers see to that). */
START_TEST(memory_runs_out) {
    struct archive *a = tar_create(scratch_path("m.tar"), false);
    tar_add_png(a, "1.png", 1);
    tar_add(a, "1.cls", "1", 1);
    tar_finish(a);
    scratch_png(scratch_path("m/x/1.png"), 1, 16, 16);
    scratch_text(scratch_path("m.txt"), "m/x/1.png\tname\n");
    char source[2400];
    snprintf(source, sizeof source, "%s,%s,%s,tiles:%s,synthetic:2", scratch_path("m.tar"),
             scratch_path("m"), scratch_path("m.txt"), scratch_path("m"));
    for (int n = 1; n < 1000; n++) {
        Error err = {0};
        Dataset *d = NULL;
        Sample s = {0};
        mem_fail_after(n);
        Status status =
            dataset_open(source, (DatasetOptions){.channels = 3, .cache_bytes = 1 << 20}, &d, &err);
        for (int i = 0; i < 5 && status == MAE_OK; i++) {
            status = dataset_fetch(d, i, &s, &err);
            dataset_release(&s);
        }
        mem_fail_after(0);
        dataset_close(d);
        if (status == MAE_OK) return;
        ck_assert_msg(status == MAE_MEMORY, "allocation %d: %s", n, err.message);
    }
    ck_abort_msg("never succeeded");
}
END_TEST

START_TEST(a_held_out_share_is_the_rest) {
    DatasetOptions o = {.channels = 3, .split_share = 0.25, .seed = 7}, h = o;
    h.held_out = true;
    Dataset *all = open_source("synthetic:40x8x8", rgb), *kept = open_source("synthetic:40x8x8", o);
    Dataset *held = open_source("synthetic:40x8x8", h);
    ck_assert_int_eq(dataset_count(kept), 30);
    ck_assert_int_eq(dataset_count(held), 10);
    int64_t k = 0, n = 0;
    for (int64_t i = 0; i < 40; i++) {
        const char *name = dataset_name(all, i);
        bool in_kept = k < 30 && strcmp(dataset_name(kept, k), name) == 0;
        bool in_held = n < 10 && strcmp(dataset_name(held, n), name) == 0;
        ck_assert_msg(in_kept != in_held, "%s", name);
        ck_assert_int_eq(dataset_class(in_kept ? kept : held, in_kept ? k : n),
                         dataset_class(all, i));
        k += in_kept;
        n += in_held;
    }
    dataset_close(all);
    dataset_close(kept);
    dataset_close(held);
}
END_TEST

Suite *suite_dataset(void) {
    Suite *s = suite_create("dataset");
    TCase *c = tcase_create("dataset");
    tcase_add_checked_fixture(c, scratch_make, scratch_remove);
    tcase_add_test(c, a_held_out_share_is_the_rest);
    tcase_add_test(c, folder_of_classes);
    tcase_add_test(c, folder_flat_and_mixed);
    tcase_add_test(c, folder_follows_links_once);
    tcase_add_test(c, nothing_found);
    tcase_add_test(c, list_with_numbers_and_names);
    tcase_add_test(c, tar_shards);
    tcase_add_test(c, tar_refused);
    tcase_add_test(c, tar_changed_while_open);
    tcase_add_test(c, cifar_ten);
    tcase_add_test(c, cifar_hundred);
    tcase_add_test(c, cifar_cut_short_under_way);
    tcase_add_test(c, synthetic_images);
    tcase_add_test(c, tiles_of_photos);
    tcase_add_test(c, joined_sources);
    tcase_add_test(c, cache_has_a_budget);
    tcase_add_test(c, grey_and_max_side);
    tcase_add_test(c, fetch_from_threads);
    tcase_add_test(c, memory_runs_out);
    suite_add_tcase(s, c);
    return s;
}

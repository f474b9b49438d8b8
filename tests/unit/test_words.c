/* Images as words of a command line name them: files, sources, and a list on standard input; and
 * which of two sets are the same. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "data/dataset.h"
#include "data/overlap.h"
#include "scratch.h"

Suite *suite_words(void);

static const DatasetOptions rgb = {.channels = 3};

static void make_images(void) {
    scratch_make();
    scratch_make_folder("set");
    scratch_png(scratch_path("one.png"), 1, 6, 5);
    scratch_png(scratch_path("noending"), 2, 6, 5);
    scratch_png(scratch_path("a,b.png"), 3, 6, 5);
    scratch_png(scratch_path("set/4.png"), 4, 6, 5);
    scratch_png(scratch_path("set/5.png"), 5, 6, 5);
    scratch_text(scratch_path("list.txt"), "one.png\nset/4.png\n");
}

static Dataset *open_words(const char *const *words, int64_t n) {
    Error err = {0};
    Dataset *d = NULL;
    ck_assert_msg(dataset_open_words(words, n, rgb, &d, &err) == MAE_OK, "%s", err.message);
    return d;
}

/* number: of the scratch image; 0: it cannot be read. */
static void expect(Dataset *d, const int *number, int64_t n) {
    ck_assert_int_eq(dataset_count(d), n);
    for (int64_t i = 0; i < n; i++) {
        Error err = {0};
        Sample s = {0};
        Status status = dataset_fetch(d, i, &s, &err);
        ck_assert_msg((status == MAE_OK) == (number[i] > 0), "%lld: %s", (long long)i, err.message);
        if (status != MAE_OK) continue;
        ck_assert_int_eq(s.image.pixels[0], scratch_pixel(number[i], 0, 0, 0));
        dataset_release(&s);
    }
    dataset_close(d);
}

/* Runs the rest of a test with this text on standard input. */
static void type_in(const char *text) {
    scratch_text(scratch_path("input"), text);
    int fd = open(scratch_path("input"), O_RDONLY);
    ck_assert_int_eq(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    close(fd);
}

START_TEST(files_and_sources_in_their_order) {
    const char *words[] = {scratch_path("one.png"),  scratch_path("none.png"),
                           scratch_path("set"),      scratch_path("a,b.png"),
                           scratch_path("noending"), scratch_path("list.txt"),
                           "synthetic:2x6x5"};
    expect(open_words(words, 6), (const int[]){1, 0, 4, 5, 3, 2, 1, 4}, 8);
    Dataset *d = open_words(words, 7);
    ck_assert_int_eq(dataset_count(d), 10);
    ck_assert_str_eq(dataset_name(d, 0), words[0]);
    ck_assert_str_eq(dataset_name(d, 1), words[1]);
    dataset_close(d);
}
END_TEST

START_TEST(a_dash_is_a_list_on_standard_input) {
    const char *words[] = {scratch_path("one.png"), "-", scratch_path("noending")};
    ck_assert_int_eq(chdir(scratch_path("set")), 0); /* where relative paths start */
    type_in("5.png\n\n# a remark\nnone.png\n./4.png\n");
    expect(open_words(words, 3), (const int[]){1, 5, 0, 4, 2}, 5);
}
END_TEST

static void refuse(const char *word, Status expected, const char *part) {
    Error err = {0};
    Dataset *d = NULL;
    ck_assert_int_eq(dataset_open_words(&word, 1, rgb, &d, &err), expected);
    ck_assert_ptr_null(d);
    ck_assert_msg(strstr(err.message, part) != NULL, "'%s' lacks '%s'", err.message, part);
}

START_TEST(words_without_images) {
    scratch_make_folder("empty");
    refuse(scratch_path("empty"), MAE_EMPTY, "no images in this folder");
    refuse("list:", MAE_USAGE, "nothing after the colon");
    refuse(scratch_path("none.txt"), MAE_IO, "none.txt");
    type_in("\n");
    refuse("-", MAE_EMPTY, "standard input: the list names no image");
}
END_TEST

START_TEST(memory_runs_out) {
    const char *words[] = {scratch_path("one.png"), "-", scratch_path("set")};
    for (int n = 1; n < 1000; n++) {
        Error err = {0};
        Dataset *d = NULL;
        type_in(scratch_path("one.png"));
        mem_fail_after(n);
        Status status = dataset_open_words(words, 3, rgb, &d, &err);
        mem_fail_after(0);
        dataset_close(d);
        if (status == MAE_OK) return;
        ck_assert_msg(status == MAE_MEMORY, "allocation %d: %s", n, err.message);
    }
    ck_abort_msg("never succeeded");
}
END_TEST

/* --- the same images -------------------------------------------------------------------------- */

static void note(void *user, int64_t i, int64_t j) {
    char *text = user;
    snprintf(text + strlen(text), 64, "%lld-%lld ", (long long)i, (long long)j);
}

START_TEST(pairs_of_the_same_image) {
    char pairs[256] = "";
    ck_assert_int_eq(link(scratch_path("set/5.png"), scratch_path("set/6.png")), 0);
    const char *words[] = {scratch_path("set/5.png"), scratch_path("one.png"),
                           scratch_path("none.png"), scratch_path("set/4.png"), "synthetic:3x6x5"};
    const char *source[] = {scratch_path("set"), "synthetic:2x6x5"};
    Dataset *a = open_words(words, 5), *b = open_words(source, 2);
    ck_assert_int_eq(dataset_pairs(a, b, note, pairs, NULL), MAE_OK);
    ck_assert_str_eq(pairs, "0-1 0-2 3-0 4-3 5-4 ");
    dataset_close(a);
    dataset_close(b);
}
END_TEST

Suite *suite_words(void) {
    Suite *s = suite_create("words");
    TCase *t = tcase_create("words");
    tcase_add_checked_fixture(t, make_images, scratch_remove);
    tcase_add_test(t, files_and_sources_in_their_order);
    tcase_add_test(t, a_dash_is_a_list_on_standard_input);
    tcase_add_test(t, words_without_images);
    tcase_add_test(t, memory_runs_out);
    tcase_add_test(t, pairs_of_the_same_image);
    suite_add_tcase(s, t);
    return s;
}

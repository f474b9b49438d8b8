/* What sources take, leave out and say, for the odd layouts that people have. */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "scratch.h"
#include "set_log.h"

Suite *suite_sources(void);

static char heard[8192]; /* lines, a letter for the level in front */

static void hear(void *user, int level, const char *line) {
    size_t n = strlen(heard);
    (void)user;
    snprintf(heard + n, sizeof heard - n, "%c %s\n", level == LOG_WARNING ? 'w' : 'i', line);
}

static Dataset *open_source(const char *source) {
    Error err = {0};
    Dataset *d = NULL;
    heard[0] = '\0';
    set_log(hear, NULL);
    Status status = dataset_open(source, (DatasetOptions){.channels = 3}, &d, &err);
    set_log(NULL, NULL);
    ck_assert_msg(status == MAE_OK, "%s", err.message);
    return d;
}

static void refuse(const char *source, const char *part) {
    Error err = {0};
    Dataset *d = NULL;
    ck_assert_int_ne(dataset_open(source, (DatasetOptions){.channels = 3}, &d, &err), MAE_OK);
    ck_assert_msg(strstr(err.message, part) != NULL, "'%s' lacks '%s'", err.message, part);
}

static void said(const char *part) {
    ck_assert_msg(strstr(heard, part) != NULL, "'%s' lacks '%s'", heard, part);
}

static void said_nothing(void) {
    ck_assert_msg(heard[0] == '\0', "%s", heard);
}

/* The images are those that scratch_png made with these numbers, with these labels. */
static void expect(Dataset *d, int64_t n, const int *numbers, const int *labels) {
    ck_assert_int_eq(dataset_count(d), n);
    for (int64_t i = 0; i < n; i++) {
        Sample s;
        Error err = {0};
        ck_assert_msg(dataset_fetch(d, i, &s, &err) == MAE_OK, "%s", err.message);
        ck_assert_int_eq(s.image.pixels[0], scratch_pixel(numbers[i], 0, 0, 0));
        ck_assert_int_eq(dataset_class(d, i), labels ? labels[i] : -1);
        dataset_release(&s);
    }
    dataset_close(d);
}

/* --- tar -------------------------------------------------------------------------------------- */

static FILE *tar;

static void tar_begin(const char *name) {
    scratch_text(scratch_path("%s", name), "");
    tar = fopen(scratch_path("%s", name), "wb");
    ck_assert_ptr_nonnull(tar);
}

/* A header as ustar has it, and the data. type: '0' file, '1' hard link, '2' symbolic link. */
static void tar_add(const char *name, char type, const char *link, const void *data, size_t bytes) {
    char block[512] = "", zeros[512] = "";
    unsigned sum = 0;
    snprintf(block, 100, "%s", name);
    snprintf(block + 100, 8, "0000644");
    snprintf(block + 108, 8, "0000000");
    snprintf(block + 116, 8, "0000000");
    snprintf(block + 124, 12, "%011zo", bytes);
    snprintf(block + 136, 12, "00000000000");
    memset(block + 148, ' ', 8);
    block[156] = type;
    snprintf(block + 157, 100, "%s", link);
    memcpy(block + 257, "ustar\00000", 8);
    for (int i = 0; i < 512; i++) sum += (unsigned char)block[i];
    snprintf(block + 148, 7, "%06o", sum);
    fwrite(block, 1, 512, tar);
    fwrite(data, 1, bytes, tar);
    fwrite(zeros, 1, (512 - bytes % 512) % 512, tar);
}

static void tar_text(const char *name, const char *text) {
    tar_add(name, '0', "", text, strlen(text));
}

static void tar_png(const char *name, int number) {
    uint8_t *data;
    size_t bytes;
    scratch_png(scratch_path("tmp.png"), number, 5, 4);
    ck_assert_int_eq(file_read(scratch_path("tmp.png"), 1 << 20, &data, &bytes, NULL), MAE_OK);
    tar_add(name, '0', "", data, bytes);
    mem_free(data);
}

static void tar_link(const char *name, const char *to) {
    tar_add(name, '2', to, "", 0);
}

static void tar_hard(const char *name, const char *to) {
    tar_add(name, '1', to, "", 0);
}

static void tar_end_of_archive(void) {
    char zeros[1024] = "";
    fwrite(zeros, 1, sizeof zeros, tar);
}

static const char *tar_finish(const char *name) {
    tar_end_of_archive();
    ck_assert_int_eq(fclose(tar), 0);
    return scratch_path("%s", name);
}

START_TEST(tar_names_with_dots) {
    tar_begin("d.tar");
    tar_png("IMG_2023.05.01.png", 1);
    tar_png("IMG_2023.05.02.png", 2);
    tar_png("IMG_2023.png", 3);
    tar_png("b/Screenshot 12.30.11.png", 4);
    tar_png("./.cache/a.b.png", 5);
    Dataset *d = open_source(tar_finish("d.tar"));
    said_nothing();
    expect(d, 5, (int[]){1, 2, 3, 4, 5}, NULL);
}
END_TEST

START_TEST(tar_labels_by_stem) {
    tar_begin("l.tar");
    tar_png("a.b.png", 1);
    tar_text("a.b.cls", "1");
    tar_text("a.c.cls", "2");
    tar_png("a.c.png", 2);
    tar_text("v.cls", "3");
    tar_png("v.left.png", 3);
    tar_png("v.right.png", 4);
    tar_text("v.right.cls", "0");
    Dataset *d = open_source(tar_finish("l.tar"));
    said_nothing();
    expect(d, 4, (int[]){1, 2, 3, 4}, (int[]){1, 2, 3, 0});
}
END_TEST

START_TEST(tar_masks_and_others_are_left_out) {
    tar_begin("m.tar");
    tar_png("x.seg.png", 8);
    tar_png("x.png", 1);
    tar_text("x.cls", "0");
    tar_text("x.json", "{}");
    tar_png("y.1.png", 2);
    tar_png("y.1.depth.raw.png", 9);
    tar_text("y.1.cls", "1");
    tar_png("y.1.webp", 7);
    tar_png("._y.1.png", 6);
    tar_png("__MACOSX/y.1.png", 6);
    tar_png("./.hidden/.y.png", 6);
    tar_text("y.gif", "GIF89a");
    Dataset *d = open_source(tar_finish("m.tar"));
    said("w ");
    said("left out: 1 .gif (y.gif), 1 .json (x.json); readable are .jpg");
    said("as masks are: 3 (x.seg.png, ...)");
    expect(d, 2, (int[]){1, 2}, (int[]){0, 1});
}
END_TEST

START_TEST(tar_labels_far_from_images) {
    tar_begin("f.tar");
    tar_text("0.cls", "1");
    tar_text("1.cls", "0");
    tar_png("0.png", 1);
    tar_png("1.png", 2);
    Dataset *d = open_source(tar_finish("f.tar"));
    said("w ");
    said("labels without an image of their name next to them");
    said(": 2 (0.cls, ...)");
    expect(d, 2, (int[]){1, 2}, NULL);
}
END_TEST

START_TEST(tar_joined_by_cat) {
    tar_begin("j.tar");
    tar_png("0.png", 1);
    tar_text("0.cls", "0");
    tar_end_of_archive();
    tar_end_of_archive();
    tar_text("0.cls", "1");
    tar_png("0.png", 2);
    tar_end_of_archive();
    tar_png("IMG.1.png", 3);
    tar_text("IMG.1.cls", "2");
    Dataset *d = open_source(tar_finish("j.tar"));
    said_nothing();
    expect(d, 3, (int[]){1, 2, 3}, (int[]){0, 1, 2});
}
END_TEST

START_TEST(tar_links_are_what_they_name) {
    tar_begin("k.tar");
    tar_png("store/aa", 1);
    tar_png("./store/bb", 2);
    tar_hard("1.png", "store/aa");
    tar_hard("2.png", "store/bb");
    tar_link("s/3.png", "../store/aa");
    tar_link("s/4.png", "./3.png");
    tar_link("early.png", "late.png");
    tar_png("late.png", 3);
    tar_png("late.png", 4); /* replaces the one before it, when unpacked */
    tar_hard("last.png", "late.png");
    tar_link("out.png", "../elsewhere.png");
    tar_link("loop.png", "loop.png");
    tar_link("link.txt", "nowhere.txt");
    Dataset *d = open_source(tar_finish("k.tar"));
    said("w ");
    said("links to what is not in the same tar: 2 (out.png to elsewhere.png, ...)");
    ck_assert_ptr_null(strstr(heard, "without an ending"));
    expect(d, 7, (int[]){1, 2, 1, 1, 3, 3, 4}, NULL);
    tar_begin("n.tar");
    tar_hard("a.png", "b.png");
    refuse(tar_finish("n.tar"), "not in the same tar (a.png to b.png)");
}
END_TEST

START_TEST(tar_linked_labels) {
    tar_begin("q.tar");
    tar_text("0.cls", "1");
    tar_png("0.png", 1);
    tar_hard("1.cls", "0.cls");
    tar_hard("1.png", "0.png");
    Dataset *d = open_source(tar_finish("q.tar"));
    said_nothing();
    expect(d, 2, (int[]){1, 1}, (int[]){1, 1});
}
END_TEST

/* --- folders ---------------------------------------------------------------------------------- */

START_TEST(folder_says_what_it_leaves_out) {
    scratch_png(scratch_path("f/a.png"), 1, 4, 4);
    scratch_png(scratch_path("f/b.jfif"), 2, 4, 4);
    scratch_png(scratch_path("f/c.JPE"), 3, 4, 4);
    for (int i = 0; i < 3; i++) scratch_text(scratch_path("f/scan%d.TIF", i), "II*");
    scratch_text(scratch_path("f/x.heic"), "x");
    scratch_text(scratch_path("f/notes.txt"), "x");
    scratch_text(scratch_path("f/README"), "x");
    Dataset *d = open_source(scratch_path("f"));
    said("w ");
    said("left out: 3 .tif (scan0.TIF, ...), 1 .heic (x.heic), 1 without an ending (README), 1 "
         ".txt (notes.txt); readable are .jpg");
    expect(d, 3, (int[]){1, 2, 3}, NULL);
    scratch_png(scratch_path("g/a.png"), 1, 4, 4);
    scratch_text(scratch_path("g/labels.csv"), "x");
    d = open_source(scratch_path("g"));
    said("i ");
    said("g: left out: 1 .csv (labels.csv)\n");
    dataset_close(d);
    scratch_text(scratch_path("h/a.gif"), "x");
    refuse(scratch_path("h"), "left out: 1 .gif (a.gif)");
}
END_TEST

START_TEST(folder_knows_clutter_and_runs) {
    scratch_png(scratch_path("c/cat/1.png"), 1, 4, 4);
    scratch_png(scratch_path("c/cat/@eaDir/1.png"), 9, 4, 4);
    scratch_png(scratch_path("c/cat/._1.png"), 9, 4, 4);
    scratch_png(scratch_path("c/__MACOSX/cat/1.png"), 9, 4, 4);
    scratch_png(scratch_path("c/.cache/1.png"), 9, 4, 4);
    scratch_text(scratch_path("c/cat/Thumbs.db"), "x");
    scratch_text(scratch_path("c/.DS_Store"), "x");
    Dataset *d = open_source(scratch_path("c"));
    said_nothing();
    expect(d, 1, (int[]){1}, (int[]){0});
    scratch_png(scratch_path("c/run/reconstructions/2.png"), 9, 4, 4);
    scratch_text(scratch_path("c/run/config.json"), "{}");
    scratch_text(scratch_path("c/run/log.jsonl"), "");
    d = open_source(scratch_path("c"));
    said("i ");
    said("left out: pictures of 1 training run (");
    ck_assert_int_eq(dataset_n_classes(d), 1);
    expect(d, 1, (int[]){1}, (int[]){0});
    refuse(scratch_path("c/run"), "pictures of training runs are no data");
    scratch_png(scratch_path("c/run/a.png"), 2, 4,
                4); /* somebody's own, where he was told to look */
    d = open_source(scratch_path("c/run"));
    expect(d, 1, (int[]){2}, NULL);
}
END_TEST

START_TEST(folder_of_parts) {
    scratch_png(scratch_path("p/train/cat/1.png"), 1, 4, 4);
    scratch_png(scratch_path("p/Val/cat/1.png"), 2, 4, 4);
    Dataset *d = open_source(scratch_path("p"));
    said("w ");
    said("its sub-folders Val and train are taken as the classes");
    dataset_close(d);
    scratch_png(scratch_path("p/bus/1.png"), 1, 4, 4);
    d = open_source(scratch_path("p"));
    said_nothing();
    dataset_close(d);
}
END_TEST

START_TEST(folder_read_twice_through_links) {
    scratch_png(scratch_path("w/a/1.png"), 1, 4, 4);
    scratch_make_folder("w/b");
    ck_assert_int_eq(symlink("..", scratch_path("w/a/up")), 0); /* a loop is just not followed */
    Dataset *d = open_source(scratch_path("w"));
    said_nothing();
    dataset_close(d);
    ck_assert_int_eq(symlink("../a", scratch_path("w/b/again")), 0);
    d = open_source(scratch_path("w"));
    said("w ");
    said("images of 1 folder count more than once");
    expect(d, 2, (int[]){1, 1}, (int[]){0, 1});
}
END_TEST

/* What is held out is of the same folder, which has been spoken of. */
START_TEST(both_parts_say_it_once) {
    Dataset *d;
    DatasetOptions options = {.channels = 3, .split_share = 0.5};
    scratch_png(scratch_path("v/1.png"), 1, 4, 4);
    scratch_png(scratch_path("v/2.png"), 1, 4, 4);
    scratch_text(scratch_path("v/a.tif"), "x");
    for (int k = 0; k < 2; k++) {
        heard[0] = '\0';
        options.held_out = k == 1;
        set_log(hear, NULL);
        ck_assert_int_eq(dataset_open(scratch_path("v"), options, &d, NULL), MAE_OK);
        set_log(NULL, NULL);
        ck_assert_int_eq(heard[0] != '\0', k == 0);
        dataset_close(d);
    }
}
END_TEST

/* --- lists ------------------------------------------------------------------------------------ */

static void make_pictures(void) {
    scratch_png(scratch_path("a.png"), 1, 4, 4);
    scratch_png(scratch_path("b.png"), 2, 4, 4);
}

static const char *list_of(const char *text) {
    scratch_text(scratch_path("list.txt"), text);
    return scratch_path("list.txt");
}

START_TEST(list_layouts_that_are_read) {
    static const char *const texts[] = {
        "\xef\xbb\xbf"
        "a.png\t0\nb.png\t1\n",
        "\xef\xbb\xbf"
        "a.png\t0\r\nb.png\t1\r\n",
        "\n  \n\r\na.png\t0\n \nb.png\t1\n\n",
        "path\tlabel\na.png\t0\nb.png\t1",
        "\xef\xbb\xbf"
        "Image_Path\tClass\r\na.png\t0\r\nb.png\t1",
        "#path\tlabel\na.png\t0\nb.png\t1",
        "# made by hand\n#\na.png\t0\n# c.png\t4\nb.png\t1",
    };
    make_pictures();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        Dataset *d = open_source(list_of(texts[i]));
        if (i < 3) said_nothing();
        if (i > 2 && i < 6) said("is taken as a header");
        if (i == 6) said("left out: 3 lines that begin with #");
        ck_assert_int_eq(dataset_n_classes(d), 2);
        expect(d, 2, (int[]){1, 2}, (int[]){0, 1});
    }
    Dataset *d = open_source(list_of("path\na.png\nb.png\n"));
    expect(d, 2, (int[]){1, 2}, NULL);
}
END_TEST

START_TEST(list_files_that_look_like_headers) {
    make_pictures();
    scratch_png(scratch_path("path"), 3, 4, 4);
    scratch_png(scratch_path("# odd.png"), 4, 4, 4);
    expect(open_source(list_of("path\tlabel\na.png\tx\n")), 2, (int[]){3, 1}, (int[]){0, 1});
    expect(open_source(list_of("./# odd.png\na.png\n")), 2, (int[]){4, 1}, NULL);
}
END_TEST

START_TEST(list_layouts_that_are_refused) {
    make_pictures();
    refuse(list_of("path\npath\na.png\n"), "if it is a header, remove it");
    refuse(list_of("a.png,0\nb.png,1\n"), "line 1 (a.png,0) has ',' between its columns");
    refuse(list_of("path,label\na.png,0\n"), "line 2 (a.png,0) has ',' between its columns");
    refuse(list_of("\"a.png\",\"cat\"\n"), "has ',' between");
    refuse(list_of("a.png;0\n"), "has ';' between");
    refuse(list_of("a.png 0\n"), "has ' ' between");
    refuse(list_of("a.png\t0\t1\n"), "line 1 has more than two columns");
    refuse(list_of("a.png\n\t1\n"), "line 2 has a label but no path");
    refuse(list_of("Bild\tKlasse\na.png\t0\nb.png\t1\n"), "if it is a header, remove it");
    scratch_write(scratch_path("w.txt"),
                  "\xff\xfe"
                  "a\0.\0p\0n\0g\0",
                  12);
    refuse(scratch_path("w.txt"), "UTF-16");
    scratch_write(scratch_path("w.txt"), "a\0.\0p\0n\0g\0", 10);
    refuse(scratch_path("w.txt"), "zero bytes");
}
END_TEST

START_TEST(list_names_with_separators) {
    make_pictures();
    scratch_png(scratch_path("c, d.png"), 3, 4, 4);
    scratch_png(scratch_path("e.png 7"), 4, 4, 4);
    scratch_png(scratch_path("caf\xe9\n.png"), 5, 4, 4);
    expect(open_source(list_of("c, d.png\ne.png 7\n\\caf\\xE9\\n.png\n")), 3, (int[]){3, 4, 5},
           NULL);
}
END_TEST

/* --- all of them ------------------------------------------------------------------------------ */

START_TEST(memory_runs_out) {
    make_pictures();
    scratch_text(scratch_path("a.tif"), "x");
    tar_begin("m.tar");
    tar_png("a.png", 1);
    tar_png("a.seg.png", 1);
    tar_hard("b.png", "a.png");
    tar_hard("c.png", "no.png");
    tar_text("d.cls", "1");
    tar_text("e.gif", "1");
    tar_finish("m.tar");
    scratch_text(scratch_path("r/run/config.json"), "{}");
    scratch_text(scratch_path("r/run/log.jsonl"), "{}");
    scratch_png(scratch_path("r/train/1.png"), 1, 4, 4);
    scratch_png(scratch_path("r/val/1.png"), 1, 4, 4);
    list_of("path\n# x\n\\a.png\n\\b\\n.png\n");
    char source[2400];
    snprintf(source, sizeof source, "%s,%s,%s", scratch_path("m.tar"), scratch_path("r"),
             scratch_path("list.txt"));
    for (int n = 1; n < 1000; n++) {
        Error err = {0};
        Dataset *d = NULL;
        mem_fail_after(n);
        Status status = dataset_open(source, (DatasetOptions){.channels = 3}, &d, &err);
        mem_fail_after(0);
        dataset_close(d);
        if (status == MAE_OK) return;
        ck_assert_msg(status == MAE_MEMORY, "allocation %d: %s", n, err.message);
    }
    ck_abort_msg("never succeeded");
}
END_TEST

/* --- CIFAR ------------------------------------------------------------------------------------ */

START_TEST(cifar_of_python) {
    static const char *const ten[] = {"data_batch_1", "test_batch", "batches.meta"};
    static const char *const hundred[] = {"train", "test", "meta"};
    for (int i = 0; i < 3; i++) {
        scratch_text(scratch_path("d/cifar-10-batches-py/%s", ten[i]), "\x80\2}");
        scratch_text(scratch_path("e/%s", hundred[i]), "\x80\2}");
    }
    refuse(scratch_path("d/cifar-10-batches-py"), "Python version of CIFAR-10 ");
    refuse(scratch_path("d/cifar-10-batches-py"), "cifar-10-binary.tar.gz");
    char source[512];
    snprintf(source, sizeof source, "cifar10:%s:test", scratch_path("d/cifar-10-batches-py"));
    refuse(source, "Python version of CIFAR-10 ");
    snprintf(source, sizeof source, "cifar10:%s", scratch_path("d"));
    refuse(source, "cifar-10-batches-py; name that folder");
    refuse(scratch_path("e"), "cifar-100-binary.tar.gz");
}
END_TEST

Suite *suite_sources(void) {
    Suite *s = suite_create("sources");
    TCase *t = tcase_create("sources");
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_test(t, tar_names_with_dots);
    tcase_add_test(t, tar_labels_by_stem);
    tcase_add_test(t, tar_masks_and_others_are_left_out);
    tcase_add_test(t, tar_labels_far_from_images);
    tcase_add_test(t, tar_joined_by_cat);
    tcase_add_test(t, tar_links_are_what_they_name);
    tcase_add_test(t, tar_linked_labels);
    tcase_add_test(t, folder_says_what_it_leaves_out);
    tcase_add_test(t, folder_knows_clutter_and_runs);
    tcase_add_test(t, folder_of_parts);
    tcase_add_test(t, folder_read_twice_through_links);
    tcase_add_test(t, both_parts_say_it_once);
    tcase_add_test(t, list_layouts_that_are_read);
    tcase_add_test(t, list_files_that_look_like_headers);
    tcase_add_test(t, list_layouts_that_are_refused);
    tcase_add_test(t, list_names_with_separators);
    tcase_add_test(t, memory_runs_out);
    tcase_add_test(t, cifar_of_python);
    suite_add_tcase(s, t);
    return s;
}

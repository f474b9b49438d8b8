/* What is refused for its size rather than read: each limit at its edge, with what is said. */
#include <check.h>
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "formats/safetensors.h"
#include "formats/tensorfile.h"
#include "jobs/setup.h"
#include "mae.h"
#include "scratch.h"

Suite *suite_limits(void);

static void expect_words(const char *message, const char *words) {
    ck_assert_msg(strstr(message, words) != NULL, "\"%s\" lacks: %s", message, words);
}

/* --- images ----------------------------------------------------------------------------------- */

static const char *corpus_path(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "tests/fuzz/corpus/%s", name);
    return path;
}

static Status load(const char *path, int64_t max_pixels, Image *im, Error *err) {
    *err = (Error){0};
    return image_load_crop(path, 3, max_pixels, NULL, im, err);
}

/* The bytes of the file are all the memory that is taken. */
static void refuse_unread(const char *path, int64_t max_pixels, const char *words) {
    Image im;
    Error err;
    int64_t before = mem_allocations();
    ck_assert_int_eq(load(path, max_pixels, &im, &err), MAE_UNSUPPORTED);
    ck_assert_int_eq(mem_allocations(), before + 1);
    ck_assert_ptr_null(im.pixels);
    expect_words(err.message, path);
    expect_words(err.message, words);
}

/* At its number of pixels an image is read, one below it is not. */
START_TEST(pixels_of_each_format) {
    static const char *const names[] = {
        "jpeg/rgb_420", "jpeg/progressive",     "jpeg/grey", "png/rgb", "png/grey16",
        "webp/lossy",   "webp/lossless_palette"};
    const char *path = corpus_path(names[_i]);
    char words[160];
    Image im;
    Error err;
    ck_assert_msg(load(path, 0, &im, &err) == MAE_OK, "%s", err.message);
    long long width = im.width, height = im.height;
    image_free(&im);
    ck_assert_int_eq(load(path, width * height, &im, &err), MAE_OK);
    image_free(&im);
    snprintf(words, sizeof words,
             "%lld x %lld pixels are more than the limit of %lld; shrink the image, or raise the "
             "limit with --max-pixels",
             width, height, width * height - 1);
    refuse_unread(path, width * height - 1, words);
}
END_TEST

static const struct {
    const char *name;
    int64_t max_pixels;
    const char *words;
} headers[] = {
    /* more than any memory, without a limit given */
    {"jpeg/header_of_4_gigapixels", 0, "65500 x 65500 pixels are more than the limit of 178956970"},
    {"png/header_of_a_terapixel", 0,
     "1000000 x 1000000 pixels are more than the limit of 178956970"},
    {"webp/header_of_268_megapixels", 0,
     "16384 x 16384 pixels are more than the limit of 178956970"},
    /* few pixels, but in one row: also when more pixels are allowed */
    {"png/wide_header", IMAGE_PIXELS_CEILING, "2000000 x 1 pixels, where a side may have 1000000"},
    {"webp/animated", 0, "animated WebP"},
};

START_TEST(headers_that_are_enough) {
    refuse_unread(corpus_path(headers[_i].name), headers[_i].max_pixels, headers[_i].words);
}
END_TEST

/* The limit of a dataset reaches every kind that decodes files, tiles: when it is opened. */
START_TEST(pixels_of_sources) {
    static const char *const sources[] = {"folder:%s", "list:%s/list.txt", "tiles:%s"};
    DatasetOptions options = {.channels = 3, .limits = {.max_pixels = 16 * 16 - 1}};
    char source[600];
    Dataset *d;
    Sample s = {0};
    Error err = {0};
    scratch_png(scratch_path("p/a.png"), 1, 16, 16);
    scratch_text(scratch_path("p/list.txt"), "a.png\n");
    for (size_t i = 0; i < 3; i++) {
        snprintf(source, sizeof source, sources[i], scratch_path("p"));
        err = (Error){0};
        Status status = dataset_open(source, options, &d, &err);
        if (status == MAE_OK) status = dataset_fetch(d, 0, &s, &err);
        ck_assert_int_eq(status, MAE_UNSUPPORTED);
        expect_words(err.message, "--max-pixels");
        dataset_close(d);
    }
}
END_TEST

/* An image so narrow that resizing would make it too long: the message says which it is. */
START_TEST(shape_of_an_image) {
    ModelConfig c = {.image_height = 224, .image_width = 224, .channels = 3};
    LoaderOptions o = {.batch = 1, .n_workers = 1, .repeat = 1};
    const char *path = scratch_path("n/narrow.png");
    uint8_t *pixels = malloc(224 * 224 * 3);
    Dataset *d;
    Loader *l;
    Batch b;
    Error err = {0};
    o.augment = (Augment){.kind = AUGMENT_EVAL, .height = 224, .width = 224};
    scratch_png(path, 1, 1, 140000);
    ck_assert_int_eq(setup_eval_image(path, &c, 0, pixels, NULL, &err), MAE_UNSUPPORTED);
    expect_words(err.message, "n/narrow.png: resize: 256 x 35840000");
    err = (Error){0};
    ck_assert_int_eq(dataset_open(scratch_path("n"), (DatasetOptions){.channels = 3}, &d, &err),
                     MAE_OK);
    ck_assert_int_eq(loader_open(d, o, &l, &err), MAE_OK);
    ck_assert_int_eq(loader_next(l, &b, &err), MAE_UNSUPPORTED);
    expect_words(err.message, "n/narrow.png: resize: 256 x");
    loader_close(l);
    dataset_close(d);
    free(pixels);
}
END_TEST

START_TEST(scans_of_a_jpeg) {
    Image im;
    Error err;
    ck_assert_int_eq(load(corpus_path("jpeg/scans_120"), 0, &im, &err), MAE_FORMAT);
    expect_words(err.message, "more than 100 scans");
}
END_TEST

/* What stands beside the pixels changes nothing: the same picture without and with a rotation, a
 * profile that is none, and a comment. */
START_TEST(exif_is_left_alone) {
    Image plain, marked;
    Error err;
    ck_assert_int_eq(load(corpus_path("jpeg/bytes_after"), 0, &plain, &err), MAE_OK);
    ck_assert_int_eq(load(corpus_path("jpeg/exif_turned"), 0, &marked, &err), MAE_OK);
    ck_assert(plain.width == marked.width && plain.height == marked.height);
    ck_assert_mem_eq(plain.pixels, marked.pixels, (size_t)(plain.width * plain.height * 3));
    image_free(&plain);
    image_free(&marked);
}
END_TEST

/* --- chunks of a PNG -------------------------------------------------------------------------- */

static void put_number(FILE *f, uint32_t v) {
    for (int i = 24; i >= 0; i -= 8) fputc((int)(v >> i & 255), f);
}

static void put_chunk(FILE *f, const char *type, const uint8_t *data, size_t bytes) {
    uint32_t sum = (uint32_t)crc32(0, (const Bytef *)type, 4);
    if (bytes) sum = (uint32_t)crc32(sum, data, (uInt)bytes);
    put_number(f, (uint32_t)bytes);
    fwrite(type, 1, 4, f);
    if (bytes) fwrite(data, 1, bytes, f);
    put_number(f, sum);
}

/* A grey pixel of value 77, with so many chunks beside it. */
static void write_png_with(const char *path, const char *type, const uint8_t *data, size_t bytes,
                           int count) {
    static const uint8_t header[] = {0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0}, row[] = {0, 77};
    uint8_t packed[64];
    uLongf n = sizeof packed;
    ck_assert_int_eq(compress(packed, &n, row, sizeof row), Z_OK);
    scratch_text(path, "");
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    fwrite("\x89PNG\r\n\x1a\n", 1, 8, f);
    put_chunk(f, "IHDR", header, sizeof header);
    for (int i = 0; i < count; i++) put_chunk(f, type, data, bytes);
    put_chunk(f, "IDAT", packed, n);
    put_chunk(f, "IEND", NULL, 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void expect_pixel(const char *path) {
    Image im;
    Error err;
    ck_assert_msg(load(path, 0, &im, &err) == MAE_OK, "%s", err.message);
    ck_assert_int_eq(im.pixels[0], 77);
    image_free(&im);
}

static long peak_kb(void) {
    struct rusage usage;
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* 60 texts of 7 MB, packed into 7 kB each, are not unpacked; nor is a text of 9 MB a reason to
 * refuse the picture. */
START_TEST(chunks_beside_the_pixels) {
    enum { TEXT_BYTES = 7000000, LARGE = 9000000 };
    uint8_t *text = calloc(LARGE, 1), *packed = malloc(100000);
    uLongf n = 100000 - 3;
    ck_assert(text && packed);
    memset(text, 'x', LARGE);
    memcpy(packed, "k\0", 3); /* keyword, method 0 */
    ck_assert_int_eq(compress(packed + 3, &n, text, TEXT_BYTES), Z_OK);
    text[1] = 0;
    write_png_with(scratch_path("t.png"), "tEXt", text, LARGE, 1);
    write_png_with(scratch_path("z.png"), "zTXt", packed, (size_t)n + 3, 60);
    expect_pixel(scratch_path("t.png"));
    long before = peak_kb();
    expect_pixel(scratch_path("z.png"));
    ck_assert_int_lt(peak_kb() - before, 100000);
    free(text);
    free(packed);
}
END_TEST

/* --- tar shards and lists --------------------------------------------------------------------- */

typedef struct Entry {
    const char *name;
    int64_t bytes; /* as the header says; one byte follows */
} Entry;

static void write_tar(const char *path, const Entry *entries, int count) {
    scratch_text(path, "");
    struct archive *a = archive_write_new();
    archive_write_set_format_pax_restricted(a);
    ck_assert_int_eq(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (int i = 0; i < count; i++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, entries[i].name);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_size(e, entries[i].bytes);
        ck_assert_int_eq(archive_write_header(a, e), ARCHIVE_OK);
        archive_entry_free(e);
        archive_write_data(a, "x", 1);
    }
    archive_write_free(a);
}

static void refuse_source(const char *source, int64_t max_entries, Status wanted,
                          const char *words) {
    DatasetOptions options = {.channels = 3, .limits = {.max_entries = max_entries}};
    Error err = {0};
    Dataset *d;
    Status status = dataset_open(source, options, &d, &err);
    ck_assert_msg(status == wanted, "%s: status %d", source, status);
    if (wanted != MAE_OK) expect_words(err.message, words);
    dataset_close(d);
}

/* Entries that are no images count too, and those of all shards together. */
START_TEST(entries_of_a_tar) {
    static const Entry entries[] = {{"a.png", 1}, {"a.json", 1}, {"b.png", 1}};
    write_tar(scratch_path("s0.tar"), entries, 3);
    write_tar(scratch_path("s1.tar"), entries, 3);
    refuse_source(scratch_path("s0.tar"), 3, MAE_OK, "");
    refuse_source(scratch_path("s0.tar"), 2, MAE_UNSUPPORTED, "limit of 2 entries");
    refuse_source(scratch_path("s{0..1}.tar"), 6, MAE_OK, "");
    refuse_source(scratch_path("s{0..1}.tar"), 5, MAE_UNSUPPORTED, "--max-entries");
    refuse_source(scratch_path("s{0..1}.tar"), 5, MAE_UNSUPPORTED, "s1.tar");
}
END_TEST

START_TEST(names_in_a_tar) {
    char name[4200];
    Entry entry = {name, 1};
    memset(name, 'x', sizeof name);
    memcpy(name + 4092, ".png", 5);
    write_tar(scratch_path("long.tar"), &entry, 1);
    refuse_source(scratch_path("long.tar"), 0, MAE_OK, "");
    memcpy(name + 4092, "x.png", 6);
    write_tar(scratch_path("long.tar"), &entry, 1);
    refuse_source(scratch_path("long.tar"), 0, MAE_FORMAT, "longer than 4096 bytes");
}
END_TEST

/* One image of so many bytes, none of which is stored. */
static void write_hollow_tar(const char *path, long bytes) {
    char block[512] = "a.png";
    unsigned sum = 0;
    memcpy(block + 100, "0000644", 7);
    snprintf(block + 124, 12, "%011lo", bytes);
    memcpy(block + 148, "        0", 9);
    memcpy(block + 257, "ustar\00000", 8);
    for (int i = 0; i < 512; i++) sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    scratch_write(path, block, sizeof block);
    ck_assert_int_eq(truncate(path, 512 + (bytes + 511) / 512 * 512 + 1024), 0);
}

/* An entry that promises too much is one unreadable image, and costs no memory. */
static void expect_unreadable(long bytes, off_t cut_at, Status wanted, const char *words) {
    const char *path = scratch_path("big.tar");
    Dataset *d;
    Sample s;
    Error err = {0};
    write_hollow_tar(path, bytes);
    Status status = dataset_open(path, (DatasetOptions){.channels = 3}, &d, &err);
    ck_assert_msg(status == MAE_OK, "%s", err.message);
    if (cut_at) ck_assert_int_eq(truncate(path, cut_at), 0);
    ck_assert_int_eq(dataset_fetch(d, 0, &s, &err), wanted);
    expect_words(err.message, words);
    dataset_close(d);
}

START_TEST(bytes_of_an_entry) {
    expect_unreadable(1 << 20, 4096, MAE_IO, "1048576 bytes, but the tar ends before");
    expect_unreadable((256 << 20) + 1, 0, MAE_UNSUPPORTED, "may have (268435456)");
}
END_TEST

START_TEST(lines_of_a_list) {
    char line[4200];
    scratch_text(scratch_path("l.txt"), "a.png\n\nb.png\nc.png\n");
    refuse_source(scratch_path("l.txt"), 3, MAE_OK, "");
    refuse_source(scratch_path("l.txt"), 2, MAE_UNSUPPORTED, "limit of 2 entries");
    memset(line, 'x', sizeof line);
    memcpy(line, "a.png\n", 6);
    line[6 + 4096] = '\0';
    scratch_text(scratch_path("l.txt"), line);
    refuse_source(scratch_path("l.txt"), 0, MAE_OK, "");
    memcpy(line + 6 + 4096, "x", 2);
    scratch_text(scratch_path("l.txt"), line);
    refuse_source(scratch_path("l.txt"), 0, MAE_FORMAT, "line 2 is longer than 4096 bytes");
}
END_TEST

/* Opening a pipe that nobody writes to would wait for ever. */
START_TEST(pipes) {
    Image im;
    Error err;
    ck_assert_int_eq(mkfifo(scratch_path("pipe.png"), 0600), 0);
    ck_assert_int_eq(mkfifo(scratch_path("pipe.tar"), 0600), 0);
    ck_assert_int_eq(load(scratch_path("pipe.png"), 0, &im, &err), MAE_IO);
    expect_words(err.message, "not a regular file");
    refuse_source(scratch_path("pipe.tar"), 0, MAE_IO, "not a regular file");
}
END_TEST

/* --- JSON and zip ----------------------------------------------------------------------------- */

/* before + '[' x depth + ']' x depth + after */
static char *nested(const char *before, int depth, const char *after) {
    static char text[512];
    int n = snprintf(text, sizeof text, "%s", before);
    memset(text + n, '[', (size_t)depth);
    memset(text + n + depth, ']', (size_t)depth);
    snprintf(text + n + 2 * depth, sizeof text - (size_t)(n + 2 * depth), "%s", after);
    return text;
}

START_TEST(depth_of_json) {
    json_error_t why;
    const char *in_text = "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\"]";
    char *text = nested("", JSON_MAX_DEPTH, "");
    json_t *root = json_parse(text, strlen(text), &why);
    ck_assert_msg(root != NULL, "%s", why.text);
    json_decref(root);
    text = nested("\n", JSON_MAX_DEPTH + 1, "");
    ck_assert_ptr_null(json_parse(text, strlen(text), &why));
    ck_assert_str_eq(why.text, "nested more than 32 deep");
    ck_assert(why.line == 2 && why.position == JSON_MAX_DEPTH + 1);
    ck_assert_ptr_null(json_parse(text, strlen(text), NULL));
    root = json_parse(in_text, strlen(in_text), &why);
    ck_assert_msg(root != NULL, "%s", why.text);
    json_decref(root);
}
END_TEST

START_TEST(depth_of_a_configuration) {
    MaeOptions o;
    MaeError err = {0};
    options_default(COMMAND_PRETRAIN, &o);
    scratch_text(scratch_path("c.json"), nested("{\"epochs\":\n", 32, "}"));
    ck_assert_int_eq(mae_options_load(&o, scratch_path("c.json"), &err), MAE_USAGE);
    expect_words(err.message, "line 2: nested more than 32 deep");
    options_clear(&o);
}
END_TEST

START_TEST(depth_of_a_safetensors_header) {
    char file[600] = {0};
    const char *text = nested("{\"a\":", 32, "}");
    TensorTable table;
    Error err = {0};
    size_t n = strlen(text);
    file[0] = (char)n;
    memcpy(file + 8, text, n);
    ByteSource source = byte_source_of("x", file, n + 8);
    ck_assert_int_eq(safetensors_parse(&source, &table, &err), MAE_FORMAT);
    expect_words(err.message, "nested more than 32 deep");
}
END_TEST

/* The wide end record says how many there are before any is looked at. */
START_TEST(entries_of_a_zip) {
    uint8_t zip[30 + 56 + 20 + 22] = "PK\3\4";
    TensorFile *f;
    Error err = {0};
    memcpy(zip + 30, "PK\6\6", 4);
    zip[30 + 34] = 0x20; /* 0x200000 entries */
    memcpy(zip + 86, "PK\6\7", 4);
    zip[86 + 8] = 30;
    memcpy(zip + 106, "PK\5\6", 4);
    scratch_write(scratch_path("a.pth"), zip, sizeof zip);
    ck_assert_int_eq(tensorfile_open(scratch_path("a.pth"), &f, &err), MAE_UNSUPPORTED);
    expect_words(err.message, "announces 2097152 entries; at most 1048576");
}
END_TEST

/* Files with a hole, so that the sizes are true and take no disk. */
static void refuse_hole(const char *start, size_t n_start, off_t hole, const char *end,
                        size_t n_end, const char *words) {
    TensorFile *f;
    Error err = {0};
    const char *path = scratch_path("hole.pth");
    scratch_write(path, start, n_start);
    ck_assert_int_eq(truncate(path, (off_t)n_start + hole), 0);
    FILE *file = fopen(path, "ab");
    ck_assert_uint_eq(fwrite(end, 1, n_end, file), n_end);
    fclose(file);
    ck_assert_int_eq(tensorfile_open(path, &f, &err), MAE_UNSUPPORTED);
    ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
}

START_TEST(directory_of_a_zip) {
    char end[22] = "PK\5\6";
    end[10] = 1;                       /* entries */
    memcpy(end + 12, "\0\0\0\x20", 4); /* bytes of the directory */
    refuse_hole("PK\3\4", 4, 0x20000000, end, sizeof end,
                "the directory of the zip archive has 536870912 bytes; at most 268435456");
}
END_TEST

START_TEST(texts_of_a_pickle) {
    refuse_hole("\x80\2X\0\0\0\x80", 7, 0x80000000, ".", 1, "more than 1024 MB of texts");
}
END_TEST

Suite *suite_limits(void) {
    Suite *s = suite_create("limits");
    TCase *c = tcase_create("limits");
    tcase_add_checked_fixture(c, scratch_make, scratch_remove);
    tcase_add_loop_test(c, pixels_of_each_format, 0, 7);
    tcase_add_loop_test(c, headers_that_are_enough, 0, (int)(sizeof headers / sizeof *headers));
    tcase_add_test(c, pixels_of_sources);
    tcase_add_test(c, shape_of_an_image);
    tcase_add_test(c, scans_of_a_jpeg);
    tcase_add_test(c, exif_is_left_alone);
    tcase_add_test(c, chunks_beside_the_pixels);
    tcase_add_test(c, entries_of_a_tar);
    tcase_add_test(c, names_in_a_tar);
    tcase_add_test(c, bytes_of_an_entry);
    tcase_add_test(c, lines_of_a_list);
    tcase_add_test(c, pipes);
    tcase_add_test(c, depth_of_json);
    tcase_add_test(c, depth_of_a_configuration);
    tcase_add_test(c, depth_of_a_safetensors_header);
    tcase_add_test(c, entries_of_a_zip);
    tcase_add_test(c, directory_of_a_zip);
    tcase_add_test(c, texts_of_a_pickle);
    suite_add_tcase(s, c);
    return s;
}

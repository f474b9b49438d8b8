/* One face for all formats: recognition, strides, shards, damage, and every file of the fuzzers'
 * corpus. Small files of each kind lie in tests/fuzz/corpus/tensorfile. */
#include <check.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "formats/safetensors.h"
#include "formats/tensorfile.h"
#include "scratch.h"

Suite *suite_tensorfile(void);

static const char folder[] = "tests/fuzz/corpus/tensorfile";

static TensorFile *open_ok(const char *path) {
    Error err = {0};
    TensorFile *f;
    ck_assert_msg(tensorfile_open(path, &f, &err) == MAE_OK, "%s", err.message);
    return f;
}

static TensorFile *open_corpus(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return open_ok(path);
}

static void refuse(const char *path, Status status, const char *words) {
    Error err = {0};
    TensorFile *f = NULL;
    Status got = tensorfile_open(path, &f, &err);
    ck_assert_msg(got == status && strstr(err.message, words) != NULL, "%s: %s instead of '%s': %s",
                  path, mae_status_name(got), words, err.message);
    ck_assert_ptr_null(f);
}

static void refuse_corpus(const char *name, Status status, const char *words) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    refuse(path, status, words);
}

static void expect(const TensorFile *f, const char *name, Shape shape, const float *want) {
    float got[64], raw[64];
    Error err = {0};
    const TensorEntry *t = tensorfile_find(f, name);
    ck_assert_msg(t != NULL && shape_equal(t->shape, shape) && t->dtype == DTYPE_F32, "%s", name);
    ck_assert_int_eq(tensorfile_read(f, t, got, &err), MAE_OK);
    ck_assert_int_eq(tensorfile_read_raw(f, t, raw, &err), MAE_OK);
    ck_assert_mem_eq(got, want, (size_t)shape_numel(shape) * sizeof(float));
    ck_assert_mem_eq(raw, want, (size_t)shape_numel(shape) * sizeof(float));
}

/* Storages hold 0, 1, 2 .. 7. */
START_TEST(strides) {
    static const char *const names[] = {"small.pth", "zip64.pth"};
    for (int i = 0; i < 2; i++) {
        TensorFile *f = open_corpus(names[i]);
        ck_assert_str_eq(tensorfile_format(f), "torch zip");
        ck_assert_uint_eq(tensorfile_count(f), 3);
        ck_assert_str_eq(tensorfile_at(f, 0)->name, "w");
        expect(f, "w", SHAPE(2, 4), (float[]){0, 1, 2, 3, 4, 5, 6, 7});
        expect(f, "t", SHAPE(3, 2), (float[]){1, 5, 2, 6, 3, 7});
        expect(f, "e", SHAPE(5, 2), (float[]){0, 1, 0, 1, 0, 1, 0, 1, 0, 1});
        ck_assert_ptr_null(tensorfile_find(f, "absent"));
        tensorfile_close(f);
    }
    TensorFile *f = open_corpus("typed.pth"); /* an untyped storage, read as floats from the 2nd */
    expect(f, "v", SHAPE(3), (float[]){1, 3, 5});
    tensorfile_close(f);
    tensorfile_close(NULL);
}
END_TEST

START_TEST(legacy) {
    TensorFile *f = open_corpus("legacy.pth");
    ck_assert_str_eq(tensorfile_format(f), "torch legacy");
    expect(f, "w", SHAPE(2, 4), (float[]){0, 1, 2, 3, 4, 5, 6, 7});
    expect(f, "v", SHAPE(2), (float[]){3, 4}); /* from 1 in the part that starts at 2 */
    tensorfile_close(f);
}
END_TEST

START_TEST(scalars) {
    TensorFile *f = open_corpus("odd.pth");
    ck_assert_str_eq(tensorfile_meta(f, "epoch"), "12");
    ck_assert_str_eq(tensorfile_meta(f, "misc.text"), "Gr\xC3\xB6\xC3\x9F"
                                                      "e \xE2\x9C\x93");
    ck_assert_str_eq(tensorfile_meta(f, "misc.nested.0.step"), "5");
    ck_assert_ptr_null(tensorfile_meta(f, "misc"));
    ck_assert_ptr_null(tensorfile_meta(f, ""));
    MetaEntry last = tensorfile_meta_at(f, tensorfile_meta_count(f) - 1);
    ck_assert_str_eq(last.key, "epoch");
    tensorfile_close(f);
}
END_TEST

START_TEST(strangers) {
    static const struct {
        const char *text;
        size_t bytes;
        Status status;
        const char *words;
    } rows[] = {
        {"", 0, MAE_FORMAT, "is empty"},
        {"\0\0\0\0", 4, MAE_UNSUPPORTED, "no format"},
        {"{\"a\": 1}", 8, MAE_UNSUPPORTED, "no index of shards"},
        {"\n <HTML>", 8, MAE_UNSUPPORTED, "web page"},
        {"\x1f\x8b\x08", 3, MAE_UNSUPPORTED, "gzip"},
        {"GGUF\3", 5, MAE_UNSUPPORTED, "GGUF"},
        {"PK\3\4", 4, MAE_FORMAT, "cut off"},
        {"\x40\0\0\0\0\0\0\0{\"a\":", 13, MAE_FORMAT, "cut off"},
        {"\x80\x02}q", 4, MAE_FORMAT, "cut off"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scratch_write(scratch_path("x.pth"), rows[i].text, rows[i].bytes);
        refuse(scratch_path("x.pth"), rows[i].status, rows[i].words);
    }
    char tar[512] = "sys_info";
    memcpy(tar + 257, "ustar", 5);
    scratch_write(scratch_path("x.pth"), tar, sizeof tar);
    refuse(scratch_path("x.pth"), MAE_UNSUPPORTED, "tar");
    refuse(scratch_path("absent.pth"), MAE_IO, "absent.pth");
    refuse(scratch_path("."), MAE_IO, "model.safetensors");
}
END_TEST

START_TEST(corpus_messages) {
    refuse_corpus("lfs.bin", MAE_UNSUPPORTED, "git lfs pull");
    refuse_corpus("page.pth", MAE_UNSUPPORTED, "web page");
    refuse_corpus("torchscript.pt", MAE_UNSUPPORTED, "TorchScript");
    refuse_corpus("deflated.pth", MAE_UNSUPPORTED, "zip -0");
    refuse_corpus("big_endian.pth", MAE_UNSUPPORTED, "big-endian");
    refuse_corpus("legacy_big.pth", MAE_UNSUPPORTED, "big-endian");
    refuse_corpus("legacy_cut.pth", MAE_FORMAT, "cut off");
    refuse_corpus("short_storage.pth", MAE_FORMAT, "cut off");
    refuse_corpus("overflow.pth", MAE_FORMAT, "beyond its storage");
}
END_TEST

/* What cannot be read beside what can. */
START_TEST(refused_entries) {
    float value;
    Error err = {0};
    TensorFile *f = open_corpus("expanded.pth");
    ck_assert_int_eq(tensorfile_read(f, tensorfile_at(f, 0), &value, &err), MAE_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "more often than is read"));
    tensorfile_close(f);
    f = open_corpus("code.pth");
    ck_assert_uint_eq(tensorfile_count(f), 0);
    ck_assert_uint_eq(tensorfile_meta_count(f), 1);
    ck_assert_str_eq(tensorfile_meta_at(f, 0).value, "an object of os.system");
    tensorfile_close(f);
}
END_TEST

/* --- Shards ----------------------------------------------------------------------------------- */

static const float numbers[] = {0, 1, 2, 3};

static void write_shard(const char *name, const char *tensor, int64_t n) {
    Error err = {0};
    const NamedTensor t = {tensor, DTYPE_F32, {1, {n}}, numbers, (size_t)n * sizeof(float)};
    const MetaEntry m = {"format", "pt"};
    ck_assert_msg(
        safetensors_write(scratch_path("%s", name), &t, 1, &m, 1, NULL, NULL, NULL, &err) == MAE_OK,
        "%s", err.message);
}

static const char *write_index(const char *map) {
    char *path = scratch_path("model.safetensors.index.json"), text[512];
    snprintf(text, sizeof text, "{\"metadata\": {\"total_size\": 24}, \"weight_map\": {%s}}", map);
    scratch_text(path, text);
    return path;
}

START_TEST(shards) {
    write_shard("m-1-of-2.safetensors", "a", 2);
    write_shard("m-2-of-2.safetensors", "b", 4);
    write_index("\"b\": \"m-2-of-2.safetensors\", \"a\": \"m-1-of-2.safetensors\"");
    TensorFile *f = open_ok(scratch_path(".")); /* by the folder */
    ck_assert_str_eq(tensorfile_format(f), "safetensors index");
    ck_assert_uint_eq(tensorfile_count(f), 2);
    expect(f, "a", SHAPE(2), numbers);
    expect(f, "b", SHAPE(4), numbers);
    ck_assert_str_eq(tensorfile_meta(f, "total_size"), "24");
    ck_assert_str_eq(tensorfile_meta(f, "format"), "pt");
    tensorfile_close(f);
    refuse(write_index("\"a\": \"absent.safetensors\""), MAE_IO, "is not beside it");
    refuse(write_index("\"a\": \"../m-1-of-2.safetensors\""), MAE_FORMAT, "no file beside");
    refuse(write_index("\"a\": 5"), MAE_FORMAT, "no file beside");
    refuse(write_index("\"c\": \"m-1-of-2.safetensors\""), MAE_FORMAT, "in none of its shards");
    refuse(write_index(""), MAE_FORMAT, "0 shards");
    write_shard("m-2-of-2.safetensors", "a", 4);
    refuse(write_index("\"a\": \"m-2-of-2.safetensors\", \"x\": \"m-1-of-2.safetensors\""),
           MAE_FORMAT, "two tensors");
}
END_TEST

START_TEST(torch_shards) {
    size_t bytes;
    uint8_t *data;
    ck_assert_int_eq(
        file_read("tests/fuzz/corpus/tensorfile/small.pth", 100000, &data, &bytes, NULL), MAE_OK);
    scratch_write(scratch_path("p-1.bin"), data, bytes);
    scratch_text(scratch_path("pytorch_model.bin.index.json"),
                 "{\"weight_map\": {\"w\": \"p-1.bin\", \"t\": \"p-1.bin\"}}");
    TensorFile *f = open_ok(scratch_path("."));
    ck_assert_str_eq(tensorfile_format(f), "torch index");
    ck_assert_uint_eq(tensorfile_count(f), 3);
    tensorfile_close(f);
    scratch_write(scratch_path("pytorch_model.bin"), data, bytes); /* goes before the index */
    f = open_ok(scratch_path("."));
    ck_assert_str_eq(tensorfile_format(f), "torch zip");
    tensorfile_close(f);
    mem_free(data);
}
END_TEST

/* --- Files that change, and large ones -------------------------------------------------------- */

static char *copy_of(const char *name) {
    char path[256], *copy = scratch_path("%s", name);
    uint8_t *data;
    size_t bytes;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert_int_eq(file_read(path, 100000, &data, &bytes, NULL), MAE_OK);
    scratch_write(copy, data, bytes);
    mem_free(data);
    return copy;
}

/* The file loses its end between opening and reading: the first element of the tensor is there, the
 * last is not. */
static void cut_while_open(const char *path, off_t bytes, const char *name) {
    static float out[50000];
    char words[64];
    TensorFile *f = open_ok(path);
    const TensorEntry *t = tensorfile_find(f, name);
    Error err = {0}, raw = {0};
    ck_assert_int_eq(truncate(path, bytes), 0);
    ck_assert_int_eq(tensorfile_read(f, t, out, &err), MAE_IO);
    ck_assert_int_eq(tensorfile_read_raw(f, t, out, &raw), MAE_IO);
    snprintf(words, sizeof words, "cannot read tensor '%s': the file became shorter", name);
    ck_assert_msg(strstr(err.message, path) && strstr(err.message, words), "%s", err.message);
    ck_assert_str_eq(err.message, raw.message);
    tensorfile_close(f);
}

START_TEST(cut_between_opening_and_reading) {
    static uint16_t halves[50000];
    const NamedTensor t = {"h", DTYPE_BF16, SHAPE(50000), halves, sizeof halves};
    cut_while_open(copy_of("small.pth"), 606, "w");
    cut_while_open(copy_of("small.pth"), 606, "t"); /* in another order */
    cut_while_open(copy_of("legacy.pth"), 433, "w");
    write_shard("s.safetensors", "a", 4);
    Error err = {0};
    char *path = scratch_path("s.safetensors");
    TensorFile *f = open_ok(path);
    ck_assert_int_eq(safetensors_write(path, &t, 1, NULL, 0, NULL, NULL, NULL, &err), MAE_OK);
    expect(f, "a", SHAPE(4), numbers); /* another file of that name changes nothing */
    tensorfile_close(f);
    cut_while_open(path, 90000, "h"); /* converted in pieces */
    write_shard("s.safetensors", "a", 4);
    cut_while_open(path, 8, "a");
}
END_TEST

static void append(FILE *f, const char *bytes, size_t n) {
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
}
#define APPEND(f, literal) append(f, literal, sizeof literal - 1)

/* A numpy array of 20000 floats, then the bytes that it was made of. */
START_TEST(array_in_a_pickle) {
    enum { N = 20000 };
    static float array[N], got[N];
    for (int i = 0; i < N; i++) array[i] = (float)i;
    FILE *p = fopen(scratch_path("a.pkl"), "wb");
    APPEND(p, "\x80\3}(X\1\0\0\0acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
              "K\0\x85"
              "C\1b\x87R(K\1M\x20\x4e\x85"
              "cnumpy\ndtype\nX\2\0\0\0f4"
              "\x89\x88\x87R(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89"
              "B\x80\x38\1\0");
    append(p, (const char *)array, sizeof array);
    APPEND(p, "q\1tbX\1\0\0\0bh\1u.");
    ck_assert_int_eq(fclose(p), 0);
    TensorFile *f = open_ok(scratch_path("a.pkl"));
    ck_assert_int_eq(tensorfile_read(f, tensorfile_find(f, "a"), got, NULL), MAE_OK);
    ck_assert_mem_eq(got, array, sizeof array);
    ck_assert_str_eq(tensorfile_meta(f, "b"), "80000 bytes");
    tensorfile_close(f);
    cut_while_open(scratch_path("a.pkl"), 40000, "a");
}
END_TEST

/* Two elements of a storage of 320 MB, which take no memory on the disk. */
START_TEST(far_apart) {
    float out[2];
    Error err = {0};
    char *path = scratch_path("a.pth");
    FILE *p = fopen(path, "wb");
    APPEND(p, "\x80\2\x8a\nl\xfc\x9c"
              "F\xf9 j\xa8P\x19.\x80\2M\xe9\3."
              "\x80\2}X\15\0\0\0little_endian\x88s."
              "ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\n"
              "S'cpu'\nI80000000\ntQI0\n(I2\nt(I79999999\ntI00\nNtR.(S'0'\nl."
              "\0\xb4\xc4\4\0\0\0\0");
    long at = ftell(p);
    ck_assert_int_eq(fclose(p), 0);
    ck_assert_int_eq(truncate(path, at + 320000000), 0);
    TensorFile *f = open_ok(path);
    ck_assert_int_eq(tensorfile_read(f, tensorfile_at(f, 0), out, &err), MAE_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "the 8 bytes of tensor 'tensor' are spread over"));
    tensorfile_close(f);
}
END_TEST

/* --- Damage ----------------------------------------------------------------------------------- */

/* Every tensor both ways, when the bytes are a file at all. */
static Status read_all(const void *data, size_t bytes) {
    Error err = {0};
    TensorFile *f;
    Status status = tensorfile_parse("x", data, bytes, &f, &err);
    if (status != MAE_OK) {
        ck_assert_int_ne(err.message[0], 0);
        return status;
    }
    for (size_t i = 0; i < tensorfile_count(f); i++) {
        const TensorEntry *t = tensorfile_at(f, i);
        int64_t n = shape_numel(t->shape);
        if (n > 1 << 20) continue; /* expanded tensors may be large without being wrong */
        float *reals = malloc((size_t)n * sizeof *reals + 1);
        void *raw = malloc((size_t)n * dtype_bytes(t->dtype) + 1);
        Status wanted = t->refusal == NULL ? MAE_OK : MAE_UNSUPPORTED;
        ck_assert_int_eq(tensorfile_read(f, t, reals, NULL), wanted);
        ck_assert_int_eq(tensorfile_read_raw(f, t, raw, NULL), wanted);
        free(reals);
        free(raw);
    }
    tensorfile_close(f);
    return MAE_OK;
}

static void replay(const char *directory) {
    struct dirent **names;
    int n = scandir(directory, &names, NULL, alphasort), read = 0;
    ck_assert_msg(n >= 0, "%s", directory);
    for (int i = 0; i < n; i++) {
        char path[512];
        uint8_t *data;
        size_t bytes;
        snprintf(path, sizeof path, "%s/%s", directory, names[i]->d_name);
        free(names[i]);
        if (file_is_directory(path)) continue;
        ck_assert_int_eq(file_read(path, 1 << 24, &data, &bytes, NULL), MAE_OK);
        read_all(data, bytes);
        mem_free(data);
        Error err = {0};
        TensorFile *f;
        if (tensorfile_open(path, &f, &err) == MAE_OK) tensorfile_close(f);
        read++;
    }
    free(names);
    ck_assert_int_gt(read, 10);
}

START_TEST(corpus) {
    replay("tests/fuzz/corpus/tensorfile");
    replay("tests/fuzz/corpus/pickle");
}
END_TEST

static const char *const damaged[] = {"small.pth", "zip64.pth", "legacy.pth", "typed.pth",
                                      "torchscript.pt"};

START_TEST(cut_and_flipped) {
    char path[256];
    uint8_t *data;
    size_t bytes;
    snprintf(path, sizeof path, "%s/%s", folder, damaged[_i]);
    ck_assert_int_eq(file_read(path, 100000, &data, &bytes, NULL), MAE_OK);
    for (size_t n = 0; n < bytes; n++) {
        uint8_t *part = malloc(n + 1);
        memcpy(part, data, n);
        ck_assert_int_ne(read_all(part, n), MAE_OK);
        free(part);
    }
    for (size_t i = 0; i < bytes; i++)
        for (int bit = 0; bit < 8; bit++) {
            data[i] ^= (uint8_t)(1 << bit);
            read_all(data, bytes);
            data[i] ^= (uint8_t)(1 << bit);
        }
    mem_free(data);
}
END_TEST

START_TEST(failing_allocations) {
    static const char *const names[] = {"small.pth", "legacy.pth", "odd.safetensors", "odd.pth"};
    char path[256];
    Status status = MAE_MEMORY;
    snprintf(path, sizeof path, "%s/%s", folder, names[_i]);
    for (int n = 1; status != MAE_OK; n++) {
        Error err = {0};
        TensorFile *f = NULL;
        ck_assert_int_lt(n, 10000);
        mem_fail_after(n);
        status = tensorfile_open(path, &f, &err);
        mem_fail_after(0);
        ck_assert(status == MAE_OK || status == MAE_MEMORY);
        tensorfile_close(f);
    }
}
END_TEST

Suite *suite_tensorfile(void) {
    Suite *s = suite_create("tensorfile");
    TCase *c = tcase_create("tensorfile");
    tcase_add_checked_fixture(c, scratch_make, scratch_remove);
    tcase_add_test(c, strides);
    tcase_add_test(c, legacy);
    tcase_add_test(c, scalars);
    tcase_add_test(c, strangers);
    tcase_add_test(c, corpus_messages);
    tcase_add_test(c, refused_entries);
    tcase_add_test(c, shards);
    tcase_add_test(c, torch_shards);
    tcase_add_test(c, cut_between_opening_and_reading);
    tcase_add_test(c, array_in_a_pickle);
    tcase_add_test(c, far_apart);
    tcase_add_test(c, corpus);
    tcase_add_loop_test(c, cut_and_flipped, 0, sizeof damaged / sizeof damaged[0]);
    tcase_add_loop_test(c, failing_allocations, 0, 4);
    suite_add_tcase(s, c);
    return s;
}

/* safetensors: round trip, determinism, failing allocations, and headers that lie. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "formats/safetensors.h"
#include "formats/tensorfile.h"

Suite *suite_safetensors(void);

static char path[] = "/tmp/mae-safetensors-XXXXXX";

static void enter(void) {
    close(mkstemp(path));
}

static void leave(void) {
    unlink(path);
}

static const uint8_t bytes_u8[] = {1, 2, 3};
static const float floats[] = {1, -2, 3, -4, 5, -6};
static const double doubles[] = {0.125, 8};
static const uint16_t halves[] = {0x3F80};

static const NamedTensor tensors[] = {
    {"bytes", DTYPE_U8, {1, {3}}, bytes_u8, 3},
    {"blocks.0.weight", DTYPE_F32, {2, {2, 3}}, floats, 24},
    {"empty", DTYPE_F32, {2, {0, 3}}, NULL, 0},
    {"scalar", DTYPE_BF16, {0, {0}}, halves, 2},
    {"na\"me \xC3\xA9", DTYPE_F64, {1, {2}}, doubles, 16},
};
static const MetaEntry meta[] = {{"format", "pt"}, {"config", "{\"depth\": 12}"}};
enum { N = sizeof tensors / sizeof tensors[0] };

static void write_example(void) {
    Error err = {0};
    ck_assert_msg(safetensors_write(path, tensors, N, meta, 2, NULL, NULL, NULL, &err) == MAE_OK,
                  "%s", err.message);
}

static TensorFile *open_example(void) {
    Error err = {0};
    TensorFile *f;
    ck_assert_msg(tensorfile_open(path, &f, &err) == MAE_OK, "%s", err.message);
    return f;
}

START_TEST(round_trip) {
    write_example();
    TensorFile *f = open_example();
    ck_assert_uint_eq(tensorfile_count(f), N);
    for (int i = 0; i < N; i++) {
        uint8_t data[32];
        const TensorEntry *t = tensorfile_find(f, tensors[i].name);
        ck_assert(t && t->dtype == tensors[i].dtype && shape_equal(t->shape, tensors[i].shape));
        ck_assert_int_eq(tensorfile_read_raw(f, t, data, NULL), MAE_OK);
        if (tensors[i].bytes > 0) ck_assert_mem_eq(data, tensors[i].data, tensors[i].bytes);
    }
    ck_assert_str_eq(tensorfile_at(f, 0)->name, "na\"me \xC3\xA9");
    ck_assert_str_eq(tensorfile_at(f, N - 1)->name, "bytes");
    ck_assert_uint_eq(tensorfile_meta_count(f), 2);
    ck_assert_str_eq(tensorfile_meta_at(f, 0).key, "format");
    ck_assert_str_eq(tensorfile_meta(f, "config"), "{\"depth\": 12}");
    tensorfile_close(f);
}
END_TEST

/* For readers that map the file. */
START_TEST(data_are_aligned) {
    ByteSource source;
    TensorTable table;
    write_example();
    ck_assert_int_eq(byte_source_open(path, &source, NULL), MAE_OK);
    ck_assert_int_eq(safetensors_parse(&source, &table, NULL), MAE_OK);
    for (size_t i = 0; i < table.n_tensors; i++)
        ck_assert_uint_eq(table.tensor[i].at % dtype_bytes(table.tensor[i].dtype), 0);
    tensor_table_free(&table);
    byte_source_close(&source);
}
END_TEST

START_TEST(same_input_same_bytes) {
    uint8_t *first, *second;
    size_t n_first, n_second;
    write_example();
    ck_assert_int_eq(file_read(path, 100000, &first, &n_first, NULL), MAE_OK);
    write_example();
    ck_assert_int_eq(file_read(path, 100000, &second, &n_second, NULL), MAE_OK);
    ck_assert_uint_eq(n_first, n_second);
    ck_assert_int_eq(memcmp(first, second, n_first), 0);
    mem_free(first);
    mem_free(second);
}
END_TEST

START_TEST(writer_refuses) {
    const NamedTensor twice[] = {tensors[0], tensors[0]};
    NamedTensor bad = tensors[0];
    ck_assert_int_eq(safetensors_write(path, twice, 2, NULL, 0, NULL, NULL, NULL, NULL),
                     MAE_FORMAT);
    bad.name = "\xFF";
    ck_assert_int_eq(safetensors_write(path, &bad, 1, NULL, 0, NULL, NULL, NULL, NULL), MAE_FORMAT);
    bad.name = "__metadata__";
    ck_assert_int_eq(safetensors_write(path, &bad, 1, NULL, 0, NULL, NULL, NULL, NULL), MAE_FORMAT);
    const MetaEntry broken[] = {{"key", "\xFF"}};
    ck_assert_int_eq(safetensors_write(path, tensors, N, broken, 1, NULL, NULL, NULL, NULL),
                     MAE_FORMAT);
    ck_assert_int_eq(safetensors_write(path, NULL, 0, NULL, 0, NULL, NULL, NULL, NULL), MAE_OK);
    TensorFile *f = open_example();
    ck_assert_uint_eq(tensorfile_count(f), 0);
    tensorfile_close(f);
}
END_TEST

START_TEST(every_failing_allocation_is_reported) {
    write_example();
    for (int n = 1, ok = 0; !ok; n++) {
        TensorFile *f = NULL;
        mem_fail_after(n);
        Status status = tensorfile_open(path, &f, NULL);
        mem_fail_after(0);
        ok = status == MAE_OK;
        ck_assert(ok ? n > 4 : status == MAE_MEMORY && f == NULL);
        tensorfile_close(f);
    }
    for (int n = 1, ok = 0; !ok; n++) {
        mem_fail_after(n);
        Status status = safetensors_write(path, tensors, N, meta, 2, NULL, NULL, NULL, NULL);
        mem_fail_after(0);
        ok = status == MAE_OK;
        ck_assert(ok ? n > 3 : status == MAE_MEMORY);
    }
}
END_TEST

static Status parse(const void *data, size_t bytes, Error *err) {
    ByteSource source = byte_source_of("x.safetensors", data, bytes);
    TensorTable table;
    Status status = safetensors_parse(&source, &table, err);
    tensor_table_free(&table);
    return status;
}

/* Length, header, `data_bytes` zeros, in memory of exactly that size, so that a reader that goes
 * beyond it is caught by the sanitizers. */
static Status parse_text(const char *header, uint64_t claimed, size_t data_bytes, Error *err) {
    size_t n = strlen(header), bytes = 8 + n + data_bytes;
    uint8_t *file = malloc(bytes);
    memset(file, 0, bytes);
    for (int i = 0; i < 8; i++) file[i] = (uint8_t)(claimed >> (8 * i));
    memcpy(file + 8, header, n);
    Status status = parse(file, bytes, err);
    free(file);
    return status;
}

#define ENTRY(dtype, shape, offsets)                                                               \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
    const char *header;
    size_t data_bytes;
    const char *message; /* a part of it; NULL: is read */
} headers[] = {
    {"{}", 0, NULL},
    {"{\"a\":" ENTRY("F32", "[2]", "[0,8]") "}  ", 8, NULL},
    {"{\"a\":" ENTRY("F32", "[0]", "[8,8]") ",\"b\":" ENTRY("U8", "[8]", "[0,8]") "}", 8, NULL},
    {"", 0, "header"},
    {"[]", 0, "not a JSON object"},
    {"{\"a\":", 0, "header"},
    {"{} x", 0, "header"},
    {"{\"a\":1}", 0, "'a' is not described"},
    {"{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"a\":" ENTRY("F32", "[1]", "[4,8]") "}", 8,
     "duplicate"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     "duplicate"},
    {"{\"a\":" ENTRY("Q9", "[1]", "[0,1]") "}", 1, "'a' has the unknown dtype 'Q9'"},
    {"{\"a\":" ENTRY("F8_E4M3", "[1]", "[0,1]") "}", 1, NULL},
    {"{\"a\":" ENTRY("F4", "[3]", "[0,2]") ",\"b\":" ENTRY("C64", "[1]", "[2,10]") "}", 10, NULL},
    {"{\"a\":" ENTRY("U16", "[2]", "[0,2]") "}", 2, "2 bytes, its dtype and shape need 4"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "no dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "no data_offsets"},
    {"{\"a\":" ENTRY("F32", "[1]", "[0,4,8]") "}", 4, "no data_offsets"},
    {"{\"a\":" ENTRY("F32", "[2]", "[0,8]") "}", 7, "cut off"},
    {"{\"a\":" ENTRY("F32", "[2]", "[8,0]") "}", 8, "cut off"},
    {"{\"a\":" ENTRY("F32", "[2]", "[-8,0]") "}", 8, "cut off"},
    {"{\"a\":" ENTRY("F32", "[2]", "[0,9223372036854775807]") "}", 8, "cut off"},
    {"{\"a\":" ENTRY("F32", "[2]", "[0,99999999999999999999]") "}", 8, "header"},
    {"{\"a\":" ENTRY("F32", "[2]", "[0,8.0]") "}", 8, "cut off"},
    {"{\"a\":" ENTRY("F32", "[2]", "[0,7]") "}", 7, "7 bytes, its dtype and shape need 8"},
    {"{\"a\":" ENTRY("F32", "[-1]", "[0,4]") "}", 4, "impossible shape"},
    {"{\"a\":" ENTRY("F32", "[4294967296,4294967296]", "[0,4]") "}", 4, "impossible shape"},
    {"{\"a\":" ENTRY("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "dimensions"},
    {"{\"a\":" ENTRY("U8", "[4]", "[0,4]") ",\"b\":" ENTRY("U8", "[4]", "[3,7]") "}", 7,
     "'b' overlaps 'a'"},
    {"{\"a\":" ENTRY("U8", "[4]", "[0,4]") ",\"b\":" ENTRY("U8", "[4]", "[0,4]") "}", 4,
     "'b' overlaps 'a'"},
    {"{\"a\":" ENTRY("U8", "[4]", "[1,5]") "}", 5, "1 bytes before tensor 'a'"},
    {"{\"a\":" ENTRY("U8", "[4]", "[0,4]") "}", 9, "last 5 bytes"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "'k' is not a string"},
};

START_TEST(hostile_headers) {
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        Error err = {0};
        Status status =
            parse_text(headers[i].header, strlen(headers[i].header), headers[i].data_bytes, &err);
        if (headers[i].message == NULL) {
            ck_assert_msg(status == MAE_OK, "%s: %s", headers[i].header, err.message);
            continue;
        }
        ck_assert_msg(status != MAE_OK, "read: %s", headers[i].header);
        ck_assert_ptr_nonnull(strstr(err.message, "x.safetensors: "));
        ck_assert_msg(strstr(err.message, headers[i].message) != NULL, "%s: %s", headers[i].header,
                      err.message);
    }
}
END_TEST

START_TEST(hostile_lengths) {
    Error err = {0};
    ck_assert_int_eq(parse_text("{}", 3, 0, NULL), MAE_FORMAT);
    ck_assert_int_eq(parse_text("{}", UINT64_MAX, 0, NULL), MAE_FORMAT);
    ck_assert_int_eq(parse_text("{}", UINT64_MAX - 7, 0, NULL), MAE_FORMAT);
    ck_assert_int_eq(parse_text("{}", 100000001, 0, &err), MAE_FORMAT);
    for (size_t n = 0; n < 8; n++) ck_assert_int_eq(parse("\1\0\0\0\0\0\0", n, NULL), MAE_FORMAT);
}
END_TEST

/* A file cut anywhere is refused, never read beyond. */
START_TEST(every_truncation_fails) {
    uint8_t *data;
    size_t bytes;
    write_example();
    ck_assert_int_eq(file_read(path, 100000, &data, &bytes, NULL), MAE_OK);
    for (size_t n = 0; n < bytes; n++) {
        uint8_t *part = malloc(n + 1);
        memcpy(part, data, n);
        ck_assert_int_ne(parse(part, n, NULL), MAE_OK);
        free(part);
    }
    mem_free(data);
}
END_TEST

Suite *suite_safetensors(void) {
    Suite *s = suite_create("safetensors");
    TCase *c = tcase_create("safetensors");
    tcase_add_checked_fixture(c, enter, leave);
    tcase_add_test(c, round_trip);
    tcase_add_test(c, same_input_same_bytes);
    tcase_add_test(c, data_are_aligned);
    tcase_add_test(c, writer_refuses);
    tcase_add_test(c, every_failing_allocation_is_reported);
    tcase_add_test(c, hostile_headers);
    tcase_add_test(c, hostile_lengths);
    tcase_add_test(c, every_truncation_fails);
    suite_add_tcase(s, c);
    return s;
}

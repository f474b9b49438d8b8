/* RUN/curves.svg from logs of every kind: whole, empty, of one point, constant, torn, foreign, very
 * long. Nothing here depends on how it looks, only on what must be in it and that it is XML. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "draw/curves.h"
#include "scratch.h"

Suite *suite_curves(void);

/* A tag's quotes are closed and it holds no '<'; returns what follows its '>'. */
static const char *skip_tag(const char *p) {
    bool quoted = false;
    for (p++; *p && (quoted || *p != '>'); p++) {
        ck_assert_int_ne(*p, '<');
        if (*p == '"') quoted = !quoted;
    }
    ck_assert_int_eq(*p, '>');
    return p + 1;
}

/* Tags nest, '&' begins an entity, no control characters: well-formed as far as this writer goes.
 */
static void expect_xml(const char *text) {
    int depth = 0;
    for (const char *p = text; *p;) {
        ck_assert((unsigned char)*p >= 0x20 || *p == '\n');
        if (*p == '&')
            ck_assert_msg(strncmp(p, "&amp;", 5) == 0 || strncmp(p, "&lt;", 4) == 0 ||
                              strncmp(p, "&gt;", 4) == 0 || strncmp(p, "&quot;", 6) == 0 ||
                              strncmp(p, "&#", 2) == 0 || strncmp(p, "&apos;", 6) == 0,
                          "%.20s", p);
        if (*p != '<') {
            p++;
            continue;
        }
        const char *end = skip_tag(p);
        if (p[1] == '/') depth--;
        if (p[1] != '/' && p[1] != '?' && p[1] != '!' && end[-2] != '/') depth++;
        ck_assert_int_ge(depth, 0);
        p = end;
    }
    ck_assert_int_eq(depth, 0);
    ck_assert_ptr_null(strstr(text, "nan"));
    ck_assert_ptr_null(strstr(text, "inf"));
}

/* The picture of RUN "run"; mem_free it. */
static char *picture(const char *run, size_t *bytes) {
    Error err = {0};
    uint8_t *text;
    ck_assert_msg(curves_write(scratch_path("%s", run), &err) == MAE_OK, "%s", err.message);
    Status status = file_read(scratch_path("%s/curves.svg", run), 1 << 20, &text, bytes, &err);
    ck_assert_msg(status == MAE_OK, "%s", err.message);
    ck_assert_ptr_nonnull(strstr((char *)text, "<svg "));
    expect_xml((char *)text);
    return (char *)text;
}

static void expect_picture_of(const char *log) {
    size_t bytes;
    scratch_text(scratch_path("run/log.jsonl"), log);
    mem_free(picture("run", &bytes));
}

START_TEST(awkward_logs) {
    static const char *const logs[] = {
        "",
        "\n\n",
        "{\"kind\":\"step\",\"step\":1,\"epoch\":0.1,\"loss\":1.5,\"lr\":0.1}\n",
        "{\"kind\":\"step\",\"step\":0,\"epoch\":0,\"loss\":0,\"lr\":0}\n",
        "{\"kind\":\"step\",\"step\":1,\"epoch\":1,\"loss\":null,\"lr\":null}\n",
        "{\"kind\":\"step\",\"step\":1,\"epoch\":null,\"loss\":1,\"lr\":1}\n",
        "{\"kind\":\"step\",\"step\":1,\"epoch\":1,\"loss\":2,\"lr\":1e-12}\n"
        "{\"kind\":\"step\",\"step\":2,\"epoch\":2,\"loss\":2,\"lr\":1e-12}\n",
        "{\"kind\":\"step\",\"step\":1,\"epoch\":1,\"loss\":-3,\"lr\":-1}\n"
        "{\"kind\":\"step\",\"step\":2,\"epoch\":1,\"loss\":1e200,\"lr\":1e29}\n",
        "{\"kind\":\"step\",\"step\":1,\"epoch\":1,\"loss\":1e-30,\"lr\":1}\n"
        "{\"kind\":\"step\",\"step\":2,\"epoch\":2,\"loss\":1e29,\"lr\":1}\n",
        "{\"kind\":\"step\",\"step\":1,\"epoch\":1e300,\"loss\":1,\"lr\":1}\n",
        "{\"kind\":\"step\",\"step\":1,\"epoch\":1,\"loss\":0.70000001,\"lr\":1}\n"
        "{\"kind\":\"step\",\"step\":2,\"epoch\":2,\"loss\":0.70000002,\"lr\":1}\n",
        "{\"kind\":\"event\",\"step\":7,\"message\":\"before any line\"}\n",
        "[1,2]\n3\n\"x\"\n{\"kind\":5}\n{\"kind\":\"other\"}\n{\"kind\":\"event\"}\n",
        "{\"kind\":\"step\",\"step\":\"a\",\"epoch\":\"b\",\"loss\":[],\"lr\":{}}\n",
    };
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) expect_picture_of(logs[i]);
}
END_TEST

START_TEST(torn_and_foreign_lines_change_nothing) {
    static const char good[] = "{\"kind\":\"step\",\"step\":1,\"epoch\":1,\"loss\":2,\"lr\":0.1}\n"
                               "{\"kind\":\"step\",\"step\":2,\"epoch\":2,\"loss\":1,\"lr\":0.2}\n";
    char text[512];
    size_t n, m;
    scratch_text(scratch_path("run/log.jsonl"), good);
    char *clean = picture("run", &n);
    snprintf(text, sizeof text, "hello\n{}\n%s\xff\xfe{\n{\"kind\":\"step\",\"step\":3,\"ep", good);
    scratch_text(scratch_path("run/log.jsonl"), text);
    char *torn = picture("run", &m);
    ck_assert(n == m && memcmp(clean, torn, n) == 0);
    mem_free(clean);
    mem_free(torn);
}
END_TEST

START_TEST(names_and_messages_are_escaped) {
    size_t n;
    scratch_text(scratch_path("a<b>&\"c\"\x01\xff/log.jsonl"),
                 "{\"kind\":\"step\",\"step\":10,\"epoch\":1,\"loss\":1,\"lr\":0.1}\n"
                 "{\"kind\":\"event\",\"step\":10,"
                 "\"message\":\"<skipped> & \\\"odd\\\"\\n\\u0002\"}\n");
    char *text = picture("a<b>&\"c\"\x01\xff", &n);
    ck_assert_ptr_nonnull(strstr(text, "a&lt;b&gt;&amp;"));
    ck_assert_ptr_nonnull(strstr(text, "&lt;skipped&gt; &amp; "));
    mem_free(text);
}
END_TEST

START_TEST(accuracy_has_a_panel_only_when_measured) {
    size_t n;
    scratch_text(scratch_path("run/log.jsonl"),
                 "{\"kind\":\"epoch\",\"step\":1,\"epoch\":1,\"loss\":2,\"lr\":0.1}\n");
    char *without = picture("run", &n);
    ck_assert_ptr_null(strstr(without, "ccuracy"));
    scratch_text(scratch_path("run/log.jsonl"),
                 "{\"kind\":\"epoch\",\"step\":1,\"epoch\":1,\"loss\":2,\"lr\":0.1,\"top1\":0.5,"
                 "\"top5\":0.75,\"val_loss\":1.5,\"ema_top1\":0.25}\n");
    char *with = picture("run", &n);
    ck_assert_ptr_nonnull(strstr(with, "ccuracy"));
    ck_assert_ptr_nonnull(strstr(with, "top-5"));
    mem_free(without);
    mem_free(with);
}
END_TEST

/* 200 000 lines, all lines present in each, events by the hundred; bounded, and repeatable. */
START_TEST(long_logs_stay_small) {
    enum { LINES = 200000 };
    size_t room = (size_t)LINES * 240, used = 0, n, m;
    char *log = mem_alloc(room);
    for (int i = 1; i <= LINES; i++)
        used += (size_t)snprintf(
            log + used, room - used,
            i % 1000 == 0
                ? "{\"kind\":\"event\",\"step\":%d,\"message\":\"<<<<<<<<<<<<<<<<<<<<\"}\n"
                : "{\"kind\":\"epoch\",\"step\":%d,\"epoch\":%d.%d,\"loss\":0.%d,"
                  "\"lr\":0.%d,\"top1\":0.%d,\"top5\":0.9%d,\"val_loss\":1.%d}\n",
            i, i / 10, i % 10, 1 + i % 97, 1 + i % 89, 1 + i % 83, i % 79, i % 73);
    scratch_write(scratch_path("run/log.jsonl"), log, used);
    mem_free(log);
    char *first = picture("run", &n), *second = picture("run", &m);
    ck_assert_uint_lt(n, 200 * 1024);
    ck_assert(n == m && memcmp(first, second, n) == 0);
    mem_free(first);
    mem_free(second);
}
END_TEST

START_TEST(failures) {
    Error err = {0};
    ck_assert_int_eq(curves_write(scratch_path("missing"), &err), MAE_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "missing"));
    scratch_text(scratch_path("run/log.jsonl"),
                 "{\"kind\":\"step\",\"step\":1,\"epoch\":1,\"loss\":2,\"lr\":0.1}\n");
    for (int n = 1;; n++) {
        mem_fail_after(n);
        Status status = curves_write(scratch_path("run"), NULL);
        mem_fail_after(0);
        if (status == MAE_OK) break;
        ck_assert_int_eq(status, MAE_MEMORY);
        ck_assert_int_lt(n, 60);
    }
    ck_assert(file_exists(scratch_path("run/curves.svg")));
}
END_TEST

Suite *suite_curves(void) {
    Suite *s = suite_create("curves");
    TCase *c = tcase_create("curves");
    tcase_add_checked_fixture(c, scratch_make, scratch_remove);
    tcase_add_test(c, awkward_logs);
    tcase_add_test(c, torn_and_foreign_lines_change_nothing);
    tcase_add_test(c, names_and_messages_are_escaped);
    tcase_add_test(c, accuracy_has_a_panel_only_when_measured);
    tcase_add_test(c, long_logs_stay_small);
    tcase_add_test(c, failures);
    suite_add_tcase(s, c);
    return s;
}

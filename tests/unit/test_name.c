/* Names in lines and in JSON: what fits stays, what does not comes back from its escape. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/name.h"

Suite *suite_name(void);

static void expect(const char *name, NamePlace place, const char *wanted) {
    char *text = name_escape(name, place);
    ck_assert_str_eq(text, wanted);
    mem_free(text);
}

START_TEST(names_that_fit_stay) {
    static const char *const names[] = {"", "a.png", "d/\xc3\xa9 \xe6\x97\xa5.jpg", "a\\b.png",
                                        "\xf0\x9f\x90\x88.png"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        expect(names[i], NAME_IN_LINE, names[i]);
        expect(names[i], NAME_IN_JSON, names[i]);
    }
    expect("a\nb", NAME_IN_JSON, "a\nb");
}
END_TEST

START_TEST(others_are_escaped) {
    expect("b\nc.png", NAME_IN_LINE, "\\b\\nc.png");
    expect("b\rc\td\x01\x7f", NAME_IN_LINE, "\\b\\rc\\td\\x01\\x7F");
    expect("caf\xe9.png", NAME_IN_LINE, "\\caf\\xE9.png");
    expect("caf\xe9\\.png", NAME_IN_JSON, "\\caf\\xE9\\\\.png");
    expect("\\a", NAME_IN_JSON, "\\\\\\a");
    /* No UTF-8: a long form, a surrogate, beyond the end, cut off. */
    expect("\xc0\x80", NAME_IN_JSON, "\\\\xC0\\x80");
    expect("\xed\xa0\x80", NAME_IN_JSON, "\\\\xED\\xA0\\x80");
    expect("\xf4\x90\x80\x80", NAME_IN_JSON, "\\\\xF4\\x90\\x80\\x80");
    expect("a\xe6\x97", NAME_IN_JSON, "\\a\\xE6\\x97");
}
END_TEST

/* Every byte and many pairs of bytes come back, through both places and through JSON. */
START_TEST(escapes_come_back) {
    for (int a = 1; a < 256; a++)
        for (int b = 1; b < 256; b += 7) {
            const char name[] = {(char)a, 'x', (char)b, (char)a, 0};
            char *line = name_escape(name, NAME_IN_LINE), *text = name_escape(name, NAME_IN_JSON);
            ck_assert(strchr(line, '\n') == NULL && strchr(line, '\r') == NULL);
            ck_assert(name_unescape(line) && strcmp(line, name) == 0);
            json_t *value = json_string(text);
            ck_assert_msg(value != NULL, "%s", text);
            ck_assert(name_unescape(text) && strcmp(text, name) == 0);
            json_decref(value);
            mem_free(line);
            mem_free(text);
        }
}
END_TEST

START_TEST(what_is_no_escape_stays) {
    static const char *const texts[] = {"\\foo.png",   "\\\\server\\share\\a.png",
                                        "\\a\\xZZ",    "\\a\\x00b",
                                        "\\a\\x41\\n", "a\\n",
                                        "\\",          "\\a\\xe9"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char copy[64];
        snprintf(copy, sizeof copy, "%s", texts[i]);
        ck_assert(name_unescape(copy));
        ck_assert_str_eq(copy, texts[i]);
    }
}
END_TEST

Suite *suite_name(void) {
    Suite *s = suite_create("name");
    TCase *t = tcase_create("name");
    tcase_add_test(t, names_that_fit_stay);
    tcase_add_test(t, others_are_escaped);
    tcase_add_test(t, escapes_come_back);
    tcase_add_test(t, what_is_no_escape_stays);
    suite_add_tcase(s, t);
    return s;
}

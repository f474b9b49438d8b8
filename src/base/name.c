/* See name.h. */
#include "base/name.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

/* Bytes of the UTF-8 character at p, 0: it is none. The smallest and largest second byte leave out
 * long forms, surrogates and what is beyond U+10FFFF. */
static int utf8_length(const unsigned char *p) {
    int n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    unsigned low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[0] > 0xf4) return 0;
    for (int i = 1; i < n; i++) {
        if (p[i] < low || p[i] > high) return 0;
        low = 0x80, high = 0xbf;
    }
    return n;
}

static bool is_control(unsigned char c) {
    return c < 0x20 || c == 0x7f;
}

bool name_fits(const char *name, NamePlace place) {
    if (*name == '\\') return false;
    for (const unsigned char *p = (const unsigned char *)name; *p;) {
        int n = utf8_length(p);
        if (n == 0 || (place == NAME_IN_LINE && is_control(*p))) return false;
        p += n;
    }
    return true;
}

/* The letter after a backslash for a byte; 0: it has none. */
static char letter_of(unsigned char c) {
    switch (c) {
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    case '\\': return '\\';
    default: return 0;
    }
}

char *name_escape(const char *name, NamePlace place) {
    if (name_fits(name, place)) return mem_strdup(name);
    char *text = mem_alloc_array(strlen(name) + 1, 4), *to = text;
    if (!text) return NULL;
    *to++ = '\\';
    for (const unsigned char *p = (const unsigned char *)name; *p;) {
        int n = utf8_length(p);
        char letter = letter_of(*p);
        if (letter) {
            *to++ = '\\';
            *to++ = letter;
        } else if (n == 0 || is_control(*p)) {
            to += snprintf(to, 5, "\\x%02X", *p);
        } else {
            memcpy(to, p, (size_t)n);
            to += n;
        }
        p += n ? n : 1;
    }
    *to = '\0';
    return text;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte of the escape at *p, which is moved past it; -1: it is none. */
static int read_escape(const char **p) {
    static const char letters[] = "nrt\\", bytes[] = "\n\r\t\\";
    char c = (*p)[1];
    const char *at = c ? strchr(letters, c) : NULL;
    if (at) {
        *p += 2;
        return bytes[at - letters];
    }
    int high = c == 'x' ? hex_value((*p)[2]) : -1, low = high >= 0 ? hex_value((*p)[3]) : -1;
    if (low < 0) return -1;
    *p += 4;
    return 16 * high + low;
}

/* False when some escape is none. */
static bool decode(const char *text, char *to) {
    for (const char *p = text + 1; *p;) {
        int byte = *p == '\\' ? read_escape(&p) : (unsigned char)*p++;
        if (byte <= 0) return false;
        *to++ = (char)byte;
    }
    *to = '\0';
    return true;
}

bool name_unescape(char *text) {
    if (*text != '\\') return true;
    char *name = mem_alloc(strlen(text) + 1);
    bool ours = name && decode(text, name);
    char *again = ours ? name_escape(name, NAME_IN_LINE) : NULL;
    bool enough = name && (again || !ours);
    if (again && strcmp(again, text) == 0) memcpy(text, name, strlen(name) + 1);
    mem_free(name);
    mem_free(again);
    return enough;
}

int name_distance(const char *written, const char *name) {
    int row[64];
    int length = (int)strnlen(written, 64), m = (int)strlen(name);
    if (length == 64 || m >= 64) return INT_MAX;
    for (int j = 0; j <= m; j++) row[j] = j;
    for (int i = 1; i <= length; i++) {
        int corner = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int change = corner + (written[i - 1] != name[j - 1]);
            corner = row[j];
            int step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < step ? change : step;
        }
    }
    return row[m] < (length >= 6 ? 4 : (length + 1) / 2) ? row[m] : INT_MAX;
}

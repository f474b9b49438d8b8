/* See words.h. */
#include "base/words.h"

#include <stdio.h>
#include <string.h>

WORD_LISTS(WORDS_DEFINE)
#define X(NAMES, WORDS) WORDS_DEFINE(, NAMES, WORDS)
WORD_CHOICES(X)
#undef X

int word_find(const char *const *words, const char *word) {
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0) return i;
    return -1;
}

const char *words_text(const char *const *words, char *buf, size_t bytes) {
    size_t used = 0;
    buf[0] = '\0';
    for (int i = 0; words[i] && used < bytes; i++)
        used += (size_t)snprintf(buf + used, bytes - used, "%s%s", i ? ", " : "", words[i]);
    return buf;
}

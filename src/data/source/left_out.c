/* Endings are few in real data; those beyond the table are counted together. Names that are no
 * plain text are not shown. */
#include "data/source/left_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_picture(const char *ending) {
    static const char *const known[] = {
        ".tif", ".tiff", ".gif",  ".bmp", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".jpx",
        ".svg", ".ppm",  ".pgm",  ".pnm", ".pbm",  ".tga",  ".dng",  ".cr2", ".cr3", ".nef", ".arw",
        ".orf", ".raf",  ".rw2",  ".psd", ".exr",  ".hdr",  ".ico",  ".dcm", ".npy", ".pdf", ".mp4",
        ".mov", ".avi",  ".webm", ".mkv", ".jpg",  ".jpeg", ".png",  ".webp"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(ending, known[i]) == 0) return true;
    return false;
}

static bool is_plain(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* In small letters; false: too long or of odd characters. A name that begins with its only dot has
 * no ending. */
static bool ending_of(const char *name, char *ending) {
    const char *dot = strrchr(name, '.');
    size_t n = 0;
    if (!dot || dot == name) dot = "";
    for (; *dot; dot++) {
        if (n == LEFT_OUT_ENDING_BYTES - 1 || (n > 0 && !is_plain(*dot))) return false;
        ending[n++] = (char)(*dot >= 'A' && *dot <= 'Z' ? *dot + 'a' - 'A' : *dot);
    }
    ending[n] = '\0';
    return true;
}

static LeftOutEnding *find(LeftOut *l, const char *ending) {
    for (int k = 0; k < l->n_endings; k++)
        if (strcmp(l->endings[k].text, ending) == 0) return &l->endings[k];
    if (l->n_endings == LEFT_OUT_ENDINGS) return NULL;
    LeftOutEnding *e = &l->endings[l->n_endings++];
    snprintf(e->text, sizeof e->text, "%s", ending);
    e->picture = is_picture(ending);
    l->pictures = l->pictures || e->picture;
    return e;
}

static bool can_be_shown(const char *name) {
    for (; *name; name++)
        if ((unsigned char)*name < 0x20 || *name == 0x7f) return false;
    return true;
}

void left_out_add(LeftOut *l, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char ending[LEFT_OUT_ENDING_BYTES];
    LeftOutEnding *e = ending_of(name, ending) ? find(l, ending) : NULL;
    if (!e) {
        l->n_others++;
        return;
    }
    e->n++;
    if (strlen(name) < sizeof e->name && can_be_shown(name) &&
        (!*e->name || strcmp(name, e->name) < 0))
        memcpy(e->name, name, strlen(name) + 1);
}

static int by_weight(const void *pa, const void *pb) {
    const LeftOutEnding *a = pa, *b = pb;
    if (a->picture != b->picture) return a->picture ? -1 : 1;
    if (a->n != b->n) return a->n > b->n ? -1 : 1;
    return strcmp(a->text, b->text);
}

const char *left_out_text(LeftOut *l, char *text, size_t bytes) {
    size_t at = 0;
    text[0] = '\0';
    qsort(l->endings, (size_t)l->n_endings, sizeof *l->endings, by_weight);
    for (int k = 0; k < l->n_endings && at < bytes; k++) {
        const LeftOutEnding *e = &l->endings[k];
        at += (size_t)snprintf(text + at, bytes - at, "%s%lld %s", at ? ", " : "", (long long)e->n,
                               *e->text ? e->text : "without an ending");
        if (at < bytes && *e->name)
            at += (size_t)snprintf(text + at, bytes - at, " (%s%s)", e->name,
                                   e->n > 1 ? ", ..." : "");
    }
    if (at < bytes && l->n_others > 0)
        snprintf(text + at, bytes - at, "%s%lld others", at ? ", " : "", (long long)l->n_others);
    return text;
}

/* Counting costs a lock for the images concerned and nothing for the others. The example named is
 * the one with the lowest number, so that it does not depend on which thread was faster. */
#include "data/image/image_notes.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/threads.h"

/* A job that is over sooner says one line, at its end. */
#define EARLY_S 10

static const char *const texts[IMAGE_N_NOTES] = {
    "16-bit grey with values above 255, which became 255",
    "16-bit channels, of which 8 bits were kept",
    "EXIF orientation, which was not applied",
    "transparency, which was dropped",
    "animation, of which the first frame was taken",
};

void image_notes_init(ImageNotes *n) {
    *n = (ImageNotes){0};
    pthread_mutex_init(&n->lock, NULL);
}

void image_notes_free(ImageNotes *n) {
    pthread_mutex_destroy(&n->lock);
}

/* With the lock. */
static void say(ImageNotes *n, const char *where) {
    char line[1400] = "";
    size_t at = 0;
    if (memcmp(n->count, n->said, sizeof n->count) == 0) return;
    for (int k = 0; k < IMAGE_N_NOTES && at < sizeof line; k++) {
        if (n->count[k] == 0) continue;
        at += (size_t)snprintf(line + at, sizeof line - at, "%s%s: %lld (%s%s)", at ? "; " : "",
                               texts[k], (long long)n->count[k], n->name[k],
                               n->count[k] > 1 ? ", ..." : "");
        n->said[k] = n->count[k];
    }
    log_shared(LOG_WARNING, "%.400s: some images were not used in full: %s", where, line);
}

/* With the lock. */
static void count(ImageNotes *n, int k, int64_t index, const char *name) {
    if (n->count[k]++ > 0 && index >= n->least[k]) return;
    n->least[k] = index;
    snprintf(n->name[k], sizeof n->name[k], "%.*s", IMAGE_NOTES_NAME_BYTES - 1, name);
}

void image_notes_add(ImageNotes *n, unsigned notes, int64_t index, const char *name,
                     const char *where) {
    double now = clock_seconds();
    pthread_mutex_lock(&n->lock);
    if (!n->any) n->first_s = now;
    n->any = true;
    for (int k = 0; k < IMAGE_N_NOTES; k++)
        if (notes >> k & 1) count(n, k, index, name);
    if (!n->early && now - n->first_s >= EARLY_S) {
        n->early = true;
        say(n, where);
    }
    pthread_mutex_unlock(&n->lock);
}

void image_notes_say(ImageNotes *n, const char *where) {
    pthread_mutex_lock(&n->lock);
    say(n, where);
    pthread_mutex_unlock(&n->lock);
}

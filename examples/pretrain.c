/* Pre-trains on pictures that are made in memory, and stops by itself: pretrain RUN UPDATES. The
 * same command goes on from there. */
#include <mae.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, PICTURES = 64 };

/* Picture i: a square somewhere on a gradient. Several threads call this at once. */
static MaeStatus fetch(void *user, int64_t i, MaeImage *out, MaeError *err) {
    (void)user;
    if (mae_image_new(MAE_U8, SIDE, SIDE, 3, out, err)) return MAE_MEMORY;
    unsigned char *p = out->memory;
    for (int64_t k = 0; k < SIDE * SIDE * 3; k++) {
        int64_t x = k / 3 % SIDE, y = k / 3 / SIDE;
        p[k] = (unsigned char)(x / 8 == i % 4 && y / 8 == i / 4 % 4 ? 60 * (k % 3) : 4 * x + 3 * y);
    }
    return MAE_OK;
}

typedef struct Watch {
    int64_t last; /* update */
    int enough;
} Watch;

static void progress(void *user, const MaeProgress *p) {
    Watch *w = user;
    if (strcmp(p->phase, "train") != 0) return;
    printf("update %lld: loss %.4f\n", (long long)p->step, p->loss);
    w->enough = p->step >= w->last;
}

static int stop(void *user) {
    return ((Watch *)user)->enough;
}

int main(int argc, char **argv) {
    const char *const settings[][2] = {{"image-size", "32"}, {"patch", "8"},  {"embed-dim", "32"},
                                       {"depth", "2"},       {"heads", "2"},  {"batch", "8"},
                                       {"epochs", "100"},    {"out", argv[1]}};
    MaeError err = {0};
    MaeOptions *o = NULL;
    const MaeSource pictures = {.name = "squares", .count = PICTURES, .fetch = fetch};
    Watch watch = {.last = argc == 3 ? strtoll(argv[2], NULL, 10) : 0};
    const MaeEvents events = {.user = &watch, .progress = progress, .stop = stop};
    if (argc != 3) {
        fprintf(stderr, "usage: %s RUN UPDATES\n", argv[0]);
        return 2;
    }
    MaeStatus status = mae_options_new("pretrain", &o, &err);
    for (size_t i = 0; !status && i < sizeof settings / sizeof *settings; i++)
        status = mae_options_set(o, settings[i][0], settings[i][1], &err);
    if (!status) status = mae_options_set_source(o, "data", &pictures, &err);
    if (!status) status = mae_run(o, &events, NULL, &err);
    if (status) fprintf(stderr, "%s\n", err.message);
    mae_options_free(o);
    return status && status != MAE_INTERRUPTED;
}

/* Features of images in memory, a batch at a time, as a program would have them: images/s of a
 * session of the public header. bench/session.sh sets them beside `mae bench step`.
 *
 *     session MODEL BATCH IMAGES THREADS
 *
 * prints images/s over the median batch and over all of them. */
#include <mae.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SIDE = 224, CHANNELS = 3, MAX_BATCH = 1024 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b) {
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

/* Noise, of which every image is its own. */
static MaeStatus make_images(MaeImage *images, int64_t n, MaeError *err) {
    unsigned state = 1;
    for (int64_t i = 0; i < n; i++) {
        MaeStatus status = mae_image_new(MAE_U8, SIDE, SIDE, CHANNELS, &images[i], err);
        if (status != MAE_OK) return status;
        unsigned char *pixels = images[i].memory;
        for (int k = 0; k < SIDE * SIDE * CHANNELS; k++) {
            state = state * 1664525u + 1013904223u;
            pixels[k] = (unsigned char)(state >> 24);
        }
    }
    return MAE_OK;
}

static MaeStatus open_session(char **word, int64_t batch, MaeModel **model, MaeSession **session,
                              MaeError *err) {
    MaeOptions *o = NULL;
    MaeStatus status = mae_options_new("pretrain", &o, err);
    if (status == MAE_OK) status = mae_options_set(o, "model", word[1], err);
    if (status == MAE_OK) status = mae_options_set(o, "threads", word[4], err);
    if (status == MAE_OK) status = mae_model_new(o, NULL, model, err);
    if (status == MAE_OK) status = mae_session_new(*model, "features", batch, NULL, session, err);
    mae_options_free(o);
    return status;
}

/* The first batch only warms up. seconds[n_batches]. */
static MaeStatus measure(MaeSession *session, const MaeImage *images, int64_t n, int64_t batch,
                         double *seconds, MaeError *err) {
    int64_t n_batches = n / batch;
    for (int64_t k = -1; k < n_batches; k++) {
        MaeTensor features;
        double start = now();
        MaeStatus status = mae_session_run(session, images + (k < 0 ? 0 : k) * batch, batch, err);
        if (status == MAE_OK) status = mae_session_output(session, "features", &features, err);
        if (status != MAE_OK) return status;
        if (k >= 0) seconds[k] = now() - start;
    }
    return MAE_OK;
}

static void report(double *seconds, int64_t n, int64_t batch) {
    double all = 0;
    for (int64_t k = 0; k < n; k++) all += seconds[k];
    qsort(seconds, (size_t)n, sizeof *seconds, compare);
    printf("{\"images_per_s_median\":%.4f,\"images_per_s\":%.4f}\n", (double)batch / seconds[n / 2],
           (double)(n * batch) / all);
}

int main(int argc, char **argv) {
    MaeError err = {0};
    MaeModel *model = NULL;
    MaeSession *session = NULL;
    int64_t batch = argc == 5 ? atoll(argv[2]) : 0, n = argc == 5 ? atoll(argv[3]) : 0;
    if (batch < 1 || batch > MAX_BATCH || n < batch) {
        fprintf(stderr, "usage: session MODEL BATCH IMAGES THREADS\n");
        return 2;
    }
    MaeImage *images = calloc((size_t)n, sizeof *images);
    double *seconds = calloc((size_t)(n / batch), sizeof *seconds);
    int failed = !images || !seconds || make_images(images, n, &err) ||
                 open_session(argv, batch, &model, &session, &err) ||
                 measure(session, images, n, batch, seconds, &err);
    if (failed)
        fprintf(stderr, "%s\n", err.message);
    else
        report(seconds, n / batch, batch);
    for (int64_t i = 0; images && i < n; i++) mae_image_free(&images[i]);
    free(images);
    free(seconds);
    mae_session_free(session);
    mae_model_free(model);
    return failed;
}

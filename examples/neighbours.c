/* The images most like the first one: neighbours CHECKPOINT IMAGE IMAGE... Prints up to five of the
 * others with their cosines. */
#include <mae.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 5 };

/* A row of features of each image: *features[n,*width], to be freed. */
static int look_at(MaeSession *session, char **paths, int64_t n, float **features, int64_t *width,
                   MaeError *err) {
    for (int64_t i = 0; i < n; i++) {
        MaeImage image = {0};
        MaeTensor row;
        int failed = mae_image_load(paths[i], NULL, &image, err) ||
                     mae_session_run(session, &image, 1, err) ||
                     mae_session_output(session, "features", &row, err);
        mae_image_free(&image);
        if (failed) return 1;
        *width = row.dim[1];
        if (!*features) *features = malloc((size_t)(n * *width) * sizeof **features);
        if (!*features) return 1;
        memcpy(*features + i * *width, row.data, (size_t)*width * sizeof **features);
    }
    return 0;
}

int main(int argc, char **argv) {
    MaeError err = {.message = "no memory"};
    MaeModel *model = NULL;
    MaeSession *session = NULL;
    float *features = NULL, cosines[MOST];
    int64_t n = argc - 2, k = n - 1 < MOST ? n - 1 : MOST, width = 0, rows[MOST];
    if (n < 2) {
        fprintf(stderr, "usage: neighbours CHECKPOINT IMAGE IMAGE...\n");
        return 2;
    }
    int failed =
        mae_model_load(argv[1], NULL, NULL, &model, &err) ||
        mae_session_new(model, "features", 1, NULL, &session, &err) ||
        look_at(session, argv + 2, n, &features, &width, &err) ||
        mae_nearest(model, features + width, n - 1, features, 1, width, k, rows, cosines, &err);
    if (failed) fprintf(stderr, "%s\n", err.message);
    for (int64_t i = 0; i < k && !failed; i++)
        printf("%.4f  %s\n", (double)cosines[i], argv[3 + rows[i]]);
    free(features);
    mae_session_free(session);
    mae_model_free(model);
    return failed;
}

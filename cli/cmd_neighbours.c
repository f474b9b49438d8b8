/* mae neighbours: the images of a source that are most like given ones. */
#include "cli.h"

/* A class that is not known is left blank. */
static const char *class_of(const MaeResult *r) {
    const char *class = mae_result_text(r, "class");
    return class ? class : "";
}

static void print_image(FILE *to, const MaeResult *image) {
    const MaeResult *same = mae_result_get(image, "same_file");
    const MaeResult *list = mae_result_get(image, "neighbours");
    const char *class = class_of(image);
    fprintf(to, "%s%s%s%s\n", mae_result_text(image, "image"), *class ? "  (" : "", class,
            *class ? ")" : "");
    for (int64_t i = 0; i < mae_result_count(same, NULL); i++)
        fprintf(to, "  same file  %s\n", mae_result_text(mae_result_at(same, i), NULL));
    for (int64_t i = 0; i < mae_result_count(list, NULL); i++) {
        const MaeResult *one = mae_result_at(list, i);
        class = class_of(one);
        fprintf(to, "  %9.4f  %s%s%s\n", mae_result_number(one, "cosine"),
                mae_result_text(one, "image"), *class ? "  " : "", class);
    }
}

void print_neighbours(FILE *to, const MaeOptions *o, const MaeResult *r) {
    const MaeResult *images = mae_result_get(r, "images");
    (void)o;
    for (int64_t i = 0; i < mae_result_count(images, NULL); i++)
        print_image(to, mae_result_at(images, i));
    fprintf(to, "among %lld images\n", (long long)mae_result_integer(r, "memory"));
    if (mae_result_text(r, "picture")) fprintf(to, "picture %s\n", mae_result_text(r, "picture"));
}

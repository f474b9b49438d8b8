/* mae classify: classes and probabilities of images. */
#include "cli.h"

void print_classes(void *user, const MaeResult *image) {
    const MaeResult *classes = mae_result_get(image, "classes");
    (void)user;
    printf("%s\n", mae_result_text(image, "image"));
    for (int64_t k = 0; k < mae_result_count(classes, NULL); k++) {
        const MaeResult *c = mae_result_at(classes, k);
        printf("  %6.2f %%  %s\n", 100 * mae_result_number(c, "probability"),
               mae_result_text(c, "class"));
    }
}

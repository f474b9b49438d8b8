/* mae knn: how well frozen features tell classes apart, without training anything. */
#include "cli.h"

void print_knn(FILE *to, const MaeOptions *o, const MaeResult *r) {
    int64_t classes = mae_result_integer(r, "classes");
    int64_t unreadable = mae_result_integer(r, "unreadable");
    (void)o;
    fprintf(to, "accuracy   %.2f %%\n", 100 * mae_result_number(r, "accuracy"));
    fprintf(to, "chance     %.2f %%, %lld classes\n", 100.0 / (double)classes, (long long)classes);
    fprintf(to, "neighbours %lld\n", (long long)mae_result_integer(r, "k"));
    fprintf(to, "memory     %lld images\n", (long long)mae_result_integer(r, "memory"));
    fprintf(to, "queries    %lld images\n", (long long)mae_result_integer(r, "queries"));
    if (unreadable) fprintf(to, "unreadable %lld, left out\n", (long long)unreadable);
}

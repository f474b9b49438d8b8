/* See eigen.h. LAPACK's dsyevd; columns of its column-major result are the rows of ours. */
#include "train/eigen.h"

#include "base/memory.h"

extern void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
                    double *w, double *work, const int *lwork, int *iwork, const int *liwork,
                    int *info);

Status eigen_symmetric(double *a, int64_t n, double *values, Error *err) {
    int size = (int)n, info = 0, query = -1, integers = 0;
    double want = 0;
    if (n < 1 || n > 16384) return error_set(err, MAE_SHAPE, "PCA of %lld values", (long long)n);
    dsyevd_("V", "U", &size, a, &size, values, &want, &query, &integers, &query, &info);
    int reals = (int)want;
    double *work = mem_alloc_array((size_t)reals, sizeof *work);
    int *iwork = mem_alloc_array((size_t)integers, sizeof *iwork);
    if (work && iwork)
        dsyevd_("V", "U", &size, a, &size, values, work, &reals, iwork, &integers, &info);
    bool short_of_memory = !work || !iwork;
    mem_free(work);
    mem_free(iwork);
    if (short_of_memory)
        return error_set(err, MAE_MEMORY, "no memory for a PCA of %d values", size);
    if (info != 0) return error_set(err, MAE_NONFINITE, "PCA did not converge (LAPACK %d)", info);
    return MAE_OK;
}

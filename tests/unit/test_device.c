/* What device.h promises to whoever keeps its rules, and how the device "deferred" of the tests
 * finds out who does not. */
#include "deferred.h"

#include <check.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *suite_device(void);

enum { N = 5 };

static Device *device;

static void open_deferred(void) {
    ck_assert_int_eq(device_open("deferred", 1, NULL, &device, NULL), MAE_OK);
}

static void close_deferred(void) {
    device_close(device);
}

/* What a process says and how it ends that reads device memory that it has set to zero. */
static int read_without_waiting(char *said, size_t bytes) {
    int pipe_ends[2], status;
    ck_assert_int_eq(pipe(pipe_ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_ends[1], STDERR_FILENO);
        volatile char *x = device_alloc(device, N);
        device_zero(device, (void *)x, N);
        _exit(x[N - 1]);
    }
    close(pipe_ends[1]);
    ssize_t n = read(pipe_ends[0], said, bytes - 1);
    said[n > 0 ? n : 0] = '\0';
    close(pipe_ends[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

START_TEST(a_missing_wait_is_a_fault) {
    char said[256];
    int status = read_without_waiting(said, sizeof said);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    ck_assert_msg(strstr(said, "a download or device_sync is missing"), "%s", said);
}
END_TEST

/* Host memory may change as soon as a call returns: that of uploads, and arrays that rows read. */
START_TEST(host_memory_is_read_before_a_call_returns) {
    float x[N] = {1, 2, 3, 4, 5}, got[N], *a, *b, *c, *sum;
    float mean[1] = {0.5f}, std[1] = {0.25f};
    const uint8_t pixel = 255;
    double square;
    const size_t bytes = sizeof x;
    a = device_alloc(device, bytes), b = device_alloc(device, bytes);
    c = device_alloc(device, bytes), sum = device_alloc(device, sizeof(double));
    Segment list = {.g = a, .n = N};
    device_upload(device, a, x, bytes);
    device_copy(device, b, a, bytes);
    memset(x, 0, bytes);
    device_upload_floats(device, a, NUMBER_WIDE, x, N);
    x[0] = 9;
    device_upload(device, c, &pixel, 1);
    device->kernels.image_normalize(device, c + 1, c, NUMBER_U8, mean, std, 1,
                                    (PatchGrid){1, 1, 1, 1});
    mean[0] = std[0] = 0;
    device->kernels.sum_squares(device, (double *)sum, &list, 1);
    list = (Segment){0};
    device_download(device, got, b, bytes);
    for (int i = 0; i < N; i++) ck_assert_float_eq(got[i], (float)(i + 1));
    device_download_floats(device, got, a, NUMBER_WIDE, N);
    for (int i = 0; i < N; i++) ck_assert_float_eq(got[i], 0);
    device_download_floats(device, got, c, NUMBER_WIDE, 2);
    ck_assert_float_eq(got[1], 2);
    device_download(device, &square, sum, sizeof square);
    ck_assert_double_eq(square, 0);
    device_free(device, a, bytes);
    device_free(device, b, bytes);
    device_free(device, c, bytes);
    device_free(device, sum, sizeof(double));
}
END_TEST

/* Where the generator of the rows overlooked one, the row would still be that of ref. */
START_TEST(every_row_is_deferred) {
    enum { ROWS = (sizeof(Kernels) - offsetof(Kernels, linear_forward)) / sizeof(void (*)(void)) };
    Device *ref;
    void (*late[ROWS])(void), (*now[ROWS])(void);
    int same = 0;
    ck_assert_int_eq(device_open("ref", 1, NULL, &ref, NULL), MAE_OK);
    memcpy(late, (char *)&device->kernels + offsetof(Kernels, linear_forward), sizeof late);
    memcpy(now, (char *)&ref->kernels + offsetof(Kernels, linear_forward), sizeof now);
    for (int i = 0; i < ROWS; i++) same += late[i] == now[i];
    ck_assert_int_eq(same, 3); /* the sizes of scratch */
    device_close(ref);
}
END_TEST

Suite *suite_device(void) {
    Suite *s = suite_create("device");
    TCase *t = tcase_create("device");
    tcase_add_checked_fixture(t, open_deferred, close_deferred);
    tcase_add_test(t, a_missing_wait_is_a_fault);
    tcase_add_test(t, host_memory_is_read_before_a_call_returns);
    tcase_add_test(t, every_row_is_deferred);
    suite_add_tcase(s, t);
    return s;
}

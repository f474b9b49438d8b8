/* Processors that a process may use: places of OpenMP and quotas of control groups, the latter in
 * folders made for it; and how long threads wait for each other. */
#include <check.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/processors.h"
#include "kernels/device.h"
#include "scratch.h"

Suite *suite_processors(void);

static int quota(void) {
    char *root = scratch_path("x");
    root[strlen(root) - 2] = 0;
    return processors_quota(root);
}

START_TEST(no_group_allows_everything) {
    ck_assert_int_eq(quota(), 0);
    scratch_text(scratch_path("proc/self/cgroup"), "0::/a/b\n1:memory:/c\n");
    ck_assert_int_eq(quota(), 0);
    scratch_text(scratch_path("sys/fs/cgroup/a/b/cpu.max"), "max 100000\n");
    ck_assert_int_eq(quota(), 0);
    scratch_text(scratch_path("sys/fs/cgroup/a/b/cpu.max"), "no number\n");
    ck_assert_int_eq(quota(), 0);
}
END_TEST

/* Of a group and all around it. */
START_TEST(the_least_quota_counts) {
    scratch_text(scratch_path("proc/self/cgroup"), "0::/a/b\n");
    scratch_text(scratch_path("sys/fs/cgroup/a/b/cpu.max"), "350000 100000\n");
    ck_assert_int_eq(quota(), 4);
    scratch_text(scratch_path("sys/fs/cgroup/a/cpu.max"), "200000 100000\n");
    ck_assert_int_eq(quota(), 2);
    scratch_text(scratch_path("sys/fs/cgroup/cpu.max"), "50000 100000\n");
    ck_assert_int_eq(quota(), 1);
}
END_TEST

/* A container may see its own group as the root, whatever its name outside is. */
START_TEST(quotas_of_version_1) {
    scratch_text(scratch_path("proc/self/cgroup"), "9:cpuset:/c\n4:cpu,cpuacct:/docker/1\n0::/\n");
    scratch_text(scratch_path("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us"), "-1\n");
    scratch_text(scratch_path("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us"), "100000\n");
    ck_assert_int_eq(quota(), 0);
    scratch_text(scratch_path("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us"), "150000\n");
    ck_assert_int_eq(quota(), 2);
    scratch_text(scratch_path("proc/self/cgroup"), "4:cpuacct:/a\n3:cpu:/a\n");
    ck_assert_int_eq(quota(), 0);
    scratch_text(scratch_path("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us"), "300000\n");
    scratch_text(scratch_path("sys/fs/cgroup/cpu/a/cpu.cfs_period_us"), "100000\n");
    ck_assert_int_eq(quota(), 3);
}
END_TEST

START_TEST(there_is_a_processor) {
    cpu_set_t set;
    processors_allowed(&set);
    ck_assert_int_ge(CPU_COUNT(&set), 1);
    ck_assert_int_ge(processors_available(), 1);
    ck_assert_int_le(processors_available(), CPU_COUNT(&set));
}
END_TEST

#if defined(_OPENMP) && !defined(__clang__)
static int threads_now(void) {
    DIR *d = opendir("/proc/self/task");
    int n = 0;
    ck_assert_ptr_nonnull(d);
    while (readdir(d)) n++;
    closedir(d);
    return n - 2; /* without "." and ".." */
}

/* Threads that there are more while a device of two threads is open. */
static int threads_of_a_device(void) {
    Device *d;
    int before = threads_now();
    ck_assert_int_eq(device_open("cpu", 2, NULL, &d, NULL), MAE_OK);
    int more = threads_now() - before;
    device_close(d);
    return more;
}

/* The team of kernels/waits.c, unless the user has said how threads wait. */
START_TEST(threads_wait_briefly) {
    unsetenv("OMP_WAIT_POLICY");
    setenv("GOMP_SPINCOUNT", "5", 1);
    ck_assert_int_eq(threads_of_a_device(), 0);
    unsetenv("GOMP_SPINCOUNT");
    setenv("OMP_WAIT_POLICY", "passive", 1);
    ck_assert_int_eq(threads_of_a_device(), 0);
    unsetenv("OMP_WAIT_POLICY");
    if (!processors_are_bound()) ck_assert_int_ge(threads_of_a_device(), 2);
}
END_TEST
#endif

Suite *suite_processors(void) {
    Suite *suite = suite_create("processors");
    TCase *t = tcase_create("processors");
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_test(t, no_group_allows_everything);
    tcase_add_test(t, the_least_quota_counts);
    tcase_add_test(t, quotas_of_version_1);
    tcase_add_test(t, there_is_a_processor);
#if defined(_OPENMP) && !defined(__clang__)
    tcase_add_test(t, threads_wait_briefly);
#endif
    suite_add_tcase(suite, t);
    return suite;
}

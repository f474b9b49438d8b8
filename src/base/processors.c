/* See processors.h. OpenMP is asked where it has been told something, Linux for the rest. */
#include "base/processors.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif

/* --- places ----------------------------------------------------------------------------------- */

#ifdef _OPENMP

bool processors_are_bound(void) {
    return omp_get_proc_bind() != omp_proc_bind_false && omp_get_num_places() > 0;
}

static void add_place(cpu_set_t *set, int place) {
    int ids[CPU_SETSIZE], n = omp_get_place_num_procs(place);
    if (n < 1 || n > CPU_SETSIZE) return;
    omp_get_place_proc_ids(place, ids);
    for (int i = 0; i < n; i++)
        if (ids[i] >= 0 && ids[i] < CPU_SETSIZE) CPU_SET(ids[i], set);
}

static void add_places(cpu_set_t *set) {
    for (int i = 0; i < omp_get_num_places(); i++) add_place(set, i);
}

int processors_told_threads(void) {
    const char *told = getenv("OMP_NUM_THREADS");
    return told && strtol(told, NULL, 10) > 0 ? omp_get_max_threads() : 0;
}

int processors_thread_limit(void) {
    int n = omp_get_thread_limit();
    return n < 1 ? INT_MAX : n;
}

#else

bool processors_are_bound(void) {
    return false;
}

static void add_places(cpu_set_t *set) {
    (void)set;
}

int processors_told_threads(void) {
    return 0;
}

int processors_thread_limit(void) {
    return INT_MAX;
}

#endif

void processors_allowed(cpu_set_t *set) {
    CPU_ZERO(set);
    if (sched_getaffinity(0, sizeof *set, set) != 0) CPU_ZERO(set);
    if (processors_are_bound()) add_places(set);
}

void processors_unbind_thread(void) {
    cpu_set_t set;
    if (!processors_are_bound()) return;
    processors_allowed(&set);
    (void)sched_setaffinity(0, sizeof set, &set); /* as good without it */
}

int processors_threads(int processors) {
    int told = processors_told_threads(), n = told > 0 ? told : processors;
    return n < processors_thread_limit() ? n : processors_thread_limit();
}

/* --- control groups --------------------------------------------------------------------------- */

/* cpu.max: "QUOTA PERIOD" or "max PERIOD". */
static double quota_v2(const char *folder) {
    char path[PATH_MAX];
    double quota, period;
    snprintf(path, sizeof path, "%.3000s/cpu.max", folder);
    FILE *f = fopen(path, "re");
    int n = f ? fscanf(f, "%lf %lf", &quota, &period) : 0;
    if (f) fclose(f);
    return n == 2 && period > 0 ? quota / period : 0;
}

static double read_number(const char *folder, const char *name) {
    char path[PATH_MAX];
    double x = 0;
    snprintf(path, sizeof path, "%.3000s/%s", folder, name);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%lf", &x) != 1) x = 0;
    if (f) fclose(f);
    return x;
}

/* The quota is -1 where there is none. */
static double quota_v1(const char *folder) {
    double quota = read_number(folder, "cpu.cfs_quota_us");
    double period = read_number(folder, "cpu.cfs_period_us");
    return quota > 0 && period > 0 ? quota / period : 0;
}

/* The least of a group and those around it: what is not there, as in a container that sees its own
 * group as the root, allows everything. */
static double least_of(const char *mount, char *group, double (*quota)(const char *)) {
    double least = 0;
    for (;;) {
        char folder[PATH_MAX];
        snprintf(folder, sizeof folder, "%.1500s%.1500s", mount, group);
        double q = quota(folder);
        if (q > 0 && (least == 0 || q < least)) least = q;
        char *slash = strrchr(group, '/');
        if (!slash) return least;
        *slash = 0;
    }
}

static bool has_word(const char *list, size_t n, const char *word) {
    size_t length = strlen(word);
    for (const char *end = list + n; list < end; list += strcspn(list, ",:") + 1)
        if (strcspn(list, ",:") == length && strncmp(list, word, length) == 0) return true;
    return false;
}

/* A line of /proc/self/cgroup: "0::/group" of version 2, "3:cpu,cpuacct:/group" of version 1. */
static double quota_of(const char *root, char *line) {
    char mount[1024];
    char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
    if (!group) return 0;
    size_t n = (size_t)(group - ++names);
    group++;
    group[strcspn(group, "\n")] = 0;
    if (n > 0 && !has_word(names, n, "cpu")) return 0;
    snprintf(mount, sizeof mount, "%.512s/sys/fs/cgroup%s%.*s", root, n > 0 ? "/" : "", (int)n,
             names);
    return least_of(mount, group, n > 0 ? quota_v1 : quota_v2);
}

int processors_quota(const char *root) {
    char path[1024], line[2048];
    double least = 0;
    snprintf(path, sizeof path, "%.512s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        double q = quota_of(root, line);
        if (q > 0 && (least == 0 || q < least)) least = q;
    }
    if (f) fclose(f);
    if (least <= 0 || least > CPU_SETSIZE) return 0;
    int whole = (int)least;
    return (double)whole < least ? whole + 1 : whole;
}

int processors_available(void) {
    cpu_set_t set;
    processors_allowed(&set);
    int n = CPU_COUNT(&set), quota = processors_quota("");
    if (n < 1) n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (quota > 0 && quota < n) n = quota;
    return n < 1 ? 1 : n;
}

/* Which processors this process may use, and how many threads of OpenMP it has been told to run on
 * them. Nothing here changes the environment. */
#ifndef BASE_PROCESSORS_H
#define BASE_PROCESSORS_H

#include <sched.h>
#include <stdbool.h>

/* Those of the affinity mask (taskset, a batch system, mpirun). Where OpenMP binds threads to
 * places (OMP_PROC_BIND, OMP_PLACES, GOMP_CPU_AFFINITY), the first thread has one of them since the
 * program started: then those of all places. */
void processors_allowed(cpu_set_t *set);
/* How many, at least 1; fewer where control groups allow less time. */
int processors_available(void);
bool processors_are_bound(void); /* by OpenMP, a thread each to its place */
/* The calling thread, which OpenMP does not know, may run on all that are allowed; it has inherited
 * the place of its maker. */
void processors_unbind_thread(void);
/* Processors' worth of time that control groups (cgroup v2 and v1) allow, rounded up; 0: all. root:
 * put before /proc and /sys, "" but for tests. */
int processors_quota(const char *root);

/* OMP_NUM_THREADS, as OpenMP understands it; 0: not set, or no number. */
int processors_told_threads(void);
/* OMP_THREAD_LIMIT: more threads do not start. */
int processors_thread_limit(void);
/* Threads to run on so many processors: what OpenMP was told, otherwise one each. */
int processors_threads(int processors);

#endif

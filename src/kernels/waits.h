/* How long threads of OpenMP poll before they sleep when they wait for each other. */
#ifndef KERNELS_WAITS_H
#define KERNELS_WAITS_H

/* Between the two, while a device with so many threads is open, all threads of libgomp in this
 * process wait briefly. Nothing where the user has said how they wait (OMP_WAIT_POLICY,
 * GOMP_SPINCOUNT), where OpenMP binds threads, or without libgomp. */
void waits_shorten(int n_threads);
void waits_restore(int n_threads);

#endif

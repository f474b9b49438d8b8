/* Threads outside the kernels: a mutex-and-condition vocabulary over C11/pthreads is not wrapped;
 * this file only answers what time it is and how much memory is in use; processors.h knows where
 * threads may run. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include <stdint.h>

double clock_seconds(void);      /* never goes back */
int64_t process_rss_bytes(void); /* resident set now, 0 when unknown */
int64_t process_peak_rss_bytes(void);
int64_t system_free_bytes(void); /* could be taken without swapping, 0 when unknown */

#endif

/* Threads outside the kernels: a mutex-and-condition vocabulary over C11/pthreads is not wrapped;
 * this file only answers how many processors there are and what time it is. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include <stdint.h>

int threads_available(void);     /* processors this process may use, >= 1 */
double clock_seconds(void);      /* never goes back */
int64_t process_rss_bytes(void); /* resident set now, 0 when unknown */
int64_t process_peak_rss_bytes(void);

#endif

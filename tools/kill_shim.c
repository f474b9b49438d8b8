/* Preloaded into the command by kill_loop.sh, together with tests/unit/file_faults.c: takes the plan
 * from the environment. MAE_KILL_AT=N kills the process before its N-th operation on files,
 * MAE_SLOW_US=N makes every one of them take that many microseconds longer. */
#include <stdlib.h>

#include "file_faults.h"

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

static void __attribute__((constructor)) plan(void) {
    faults_delay(number("MAE_SLOW_US"));
    faults_kill_at(number("MAE_KILL_AT"));
}

/* See set_log.h. */
#include "set_log.h"

#include "base/listener.h"

void set_log(void (*log)(void *user, int level, const char *line), void *user) {
    static _Thread_local Listener listener;
    static _Thread_local Call call;
    MaeEvents events = {.log = log, .user = user};
    if (call_of_thread() == &call) {
        call_end(&call);
        listener_close(&listener);
    }
    if (!log) return;
    listener_open(&listener, &events);
    (void)call_begin(&call, &listener, NULL);
}

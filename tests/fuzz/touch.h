/* Reads every byte, so that a sanitizer sees a range that reaches too far. */
#ifndef FUZZ_TOUCH_H
#define FUZZ_TOUCH_H

#include <stddef.h>
#include <stdint.h>

static inline void touch(const void *data, size_t bytes) {
    const volatile uint8_t *p = data;
    for (size_t i = 0; i < bytes; i++) (void)p[i];
}

#endif

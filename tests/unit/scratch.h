/* A temporary folder for one test, and small files to put in it. Every function fails the test when
 * it cannot do what it says. */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

void scratch_make(void); /* for tcase_add_checked_fixture */
void scratch_remove(void);
/* printf of a path below the folder; valid for the next seven calls. */
char *scratch_path(const char *format, ...) PRINTF_LIKE(1, 2);
/* Folders below it, by name. A copy replaces what was there. */
void scratch_make_folder(const char *name);
void scratch_remove_folder(const char *name); /* one that is not there is fine */
void scratch_copy_folder(const char *from, const char *to);
bool scratch_is_empty(const char *name);
/* Folders on the way are made. */
void scratch_write(const char *path, const void *data, size_t bytes);
void scratch_text(const char *path, const char *text);
/* A PNG whose pixels are scratch_pixel(number, x, y, channel). */
void scratch_png(const char *path, int number, int64_t width, int64_t height);
uint8_t scratch_pixel(int number, int64_t x, int64_t y, int channel);

#endif

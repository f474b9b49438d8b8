/* Pictures of files, given from memory: what a program does with MaeSource. */
#ifndef TESTS_UNIT_GIVEN_IMAGES_H
#define TESTS_UNIT_GIVEN_IMAGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "data/dataset.h"
#include "mae.h"

#define GIVEN_MAX_CLASSES 16

/* The images of a source of files, in its order, with its labels and names. */
typedef struct GivenImages {
    Dataset *files;
    MaeSource source; /* to hand over; may be changed before */
    const char *class_names[GIVEN_MAX_CLASSES];
    bool planar;        /* the pixels lie as planes, mirrored */
    int64_t broken;     /* this image cannot be given, with status and message; -1: none */
    MaeStatus status;   /* MAE_OK: it comes without pixels */
    const char *reason; /* NULL: no message */
    _Atomic int64_t fetched, released;
} GivenImages;

/* Fails the test when text cannot be opened. g stays where it is until it is closed. */
void given_open(GivenImages *g, const char *text, const char *name);
void given_close(GivenImages *g);

#endif

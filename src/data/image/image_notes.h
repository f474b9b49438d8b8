/* What decoding to 8-bit RGB leaves out of an image, and how many images of a job that was: one
 * line for all of them instead of one for each. */
#ifndef DATA_IMAGE_IMAGE_NOTES_H
#define DATA_IMAGE_IMAGE_NOTES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Bits of Image.notes. */
typedef enum ImageNote {
    IMAGE_CLIPPED = 1,      /* 16-bit grey: values above 255 became 255 */
    IMAGE_CUT = 2,          /* 16 bits a channel: the high 8 are kept */
    IMAGE_TURNED = 4,       /* EXIF says that it is to be turned or mirrored; it is not */
    IMAGE_TRANSPARENT = 8,  /* not all is opaque; the transparency is dropped */
    IMAGE_FIRST_FRAME = 16, /* of an animation */
    IMAGE_N_NOTES = 5
} ImageNote;

#define IMAGE_NOTES_NAME_BYTES 128

/* Safe from any thread between init and free. Zeroed memory is not yet one. */
typedef struct ImageNotes {
    pthread_mutex_t lock;
    int64_t count[IMAGE_N_NOTES], said[IMAGE_N_NOTES];
    int64_t least[IMAGE_N_NOTES]; /* the lowest number of an image that has it, and its name */
    char name[IMAGE_N_NOTES][IMAGE_NOTES_NAME_BYTES];
    double first_s; /* when the first one came */
    bool any, early;
} ImageNotes;

void image_notes_init(ImageNotes *n);
void image_notes_free(ImageNotes *n);
/* `notes` of image number `index`, once for each image. In a job that lasts, a first line comes
 * early. where: as in image_notes_say. */
void image_notes_add(ImageNotes *n, unsigned notes, int64_t index, const char *name,
                     const char *where);
/* One warning with what has been counted; nothing when nothing is new. where: whose images. */
void image_notes_say(ImageNotes *n, const char *where);

#endif

/* Finds the EXIF orientation of a file without decoding it: walks over the segments of a JPEG or
 * the chunks of a PNG or WebP, and over the entries of the first directory of the TIFF inside. What
 * is damaged has no orientation. Also says whether a PNG is animated, which libpng does not. */
#include <string.h>

#include "data/image/image_codec.h"
#include "data/image/image_notes.h"

typedef struct Bytes {
    const uint8_t *p;
    size_t n;
} Bytes;

static uint32_t number(const uint8_t *p, int bytes, bool little) {
    uint32_t v = 0;
    for (int i = 0; i < bytes; i++) v = v << 8 | p[little ? bytes - 1 - i : i];
    return v;
}

/* 1 to 8; 0: none. */
static int tiff_orientation(Bytes b) {
    enum { ORIENTATION = 0x0112, SHORT = 3 };
    if (b.n < 8 || (memcmp(b.p, "II*\0", 4) != 0 && memcmp(b.p, "MM\0*", 4) != 0)) return 0;
    bool little = b.p[0] == 'I';
    size_t at = number(b.p + 4, 4, little);
    if (at > b.n - 2) return 0;
    size_t entries = number(b.p + at, 2, little);
    at += 2;
    for (; entries > 0 && b.n - at >= 12; entries--, at += 12) {
        if (number(b.p + at, 2, little) != ORIENTATION) continue;
        uint32_t value = number(b.p + at + 8, 2, little);
        return number(b.p + at + 2, 2, little) == SHORT && value <= 8 ? (int)value : 0;
    }
    return 0;
}

/* JPEG and WebP begin with a word that PNG leaves out. */
static int exif_orientation(Bytes b) {
    if (b.n >= 6 && memcmp(b.p, "Exif\0\0", 6) == 0) b.p += 6, b.n -= 6;
    return tiff_orientation(b);
}

static unsigned note_of(int orientation) {
    return orientation > 1 ? IMAGE_TURNED : 0;
}

/* Segments FF marker, length, up to the pixels. */
unsigned image_jpeg_notes(const uint8_t *b, size_t n) {
    enum { START_OF_SCAN = 0xda, APP1 = 0xe1 };
    size_t at = 2;
    while (at < n && n - at >= 4 && b[at] == 0xff && b[at + 1] != START_OF_SCAN) {
        if (b[at + 1] == 0xff) {
            at++; /* filling */
            continue;
        }
        size_t length = number(b + at + 2, 2, false);
        if (length < 2 || length > n - at - 2) return 0;
        Bytes segment = {b + at + 4, length - 2};
        if (b[at + 1] == APP1 && segment.n >= 6 && memcmp(segment.p, "Exif\0\0", 6) == 0)
            return note_of(exif_orientation(segment));
        at += 2 + length;
    }
    return 0;
}

/* Chunks length, name, data, sum. */
unsigned image_png_notes(const uint8_t *b, size_t n) {
    unsigned notes = 0;
    for (size_t at = 8; at < n && n - at >= 12;) {
        size_t length = number(b + at, 4, false);
        if (length > n - at - 12) break;
        Bytes chunk = {b + at + 8, length};
        if (memcmp(b + at + 4, "eXIf", 4) == 0) notes |= note_of(exif_orientation(chunk));
        if (memcmp(b + at + 4, "acTL", 4) == 0 && length >= 4 && number(chunk.p, 4, false) > 1)
            notes |= IMAGE_FIRST_FRAME;
        at += 12 + length;
    }
    return notes;
}

/* Chunks name, length, data filled up to an even number. */
unsigned image_webp_notes(const uint8_t *b, size_t n) {
    unsigned notes = 0;
    for (size_t at = 12; at < n && n - at >= 8;) {
        size_t length = number(b + at + 4, 4, true);
        if (length > n - at - 8) break;
        Bytes chunk = {b + at + 8, length};
        if (memcmp(b + at, "EXIF", 4) == 0) notes |= note_of(exif_orientation(chunk));
        at += 8 + length + length % 2;
    }
    return notes;
}

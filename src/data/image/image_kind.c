/* One table of first bytes. What people hold for photos comes in kinds of its own: pictures of
 * other formats, pages and pointers that were stored instead of a picture, files of other uses. */
#include "data/image/image_kind.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define CONVERT "; convert it to JPEG or PNG"
#define RAW CONVERT " with the program that develops it"

typedef struct Kind {
    size_t at, n; /* bytes[at, at + n) are magic */
    const char *magic, *text;
} Kind;

#define KIND(at, magic, text)                                                                      \
    { at, sizeof magic - 1, magic, text }

/* The first row that fits counts. */
static const Kind kinds[] = {
    KIND(0, "GIF87a", "a GIF" CONVERT),
    KIND(0, "GIF89a", "a GIF" CONVERT),
    KIND(4, "ftypavif", "an AVIF" CONVERT),
    KIND(4, "ftypavis", "an AVIF" CONVERT),
    KIND(4, "ftyphei", "a HEIC picture, as telephones take them" CONVERT),
    KIND(4, "ftyphev", "a HEIC picture, as telephones take them" CONVERT),
    KIND(4, "ftypmif1", "a HEIF picture, as telephones take them" CONVERT),
    KIND(4, "ftypmsf1", "a HEIF picture, as telephones take them" CONVERT),
    KIND(4, "ftypcrx ", "a raw photo of a Canon camera" RAW),
    KIND(4, "ftyp", "a film (MP4 or QuickTime); extract its frames as JPEG or PNG"),
    KIND(0, "FUJIFILMCCD-RAW", "a raw photo of a Fuji camera" RAW),
    KIND(8, "CR\002", "a raw photo of a Canon camera" RAW),
    KIND(0, "II*\0", "a TIFF, or a raw photo" CONVERT),
    KIND(0, "MM\0*", "a TIFF, or a raw photo" CONVERT),
    KIND(0, "II+\0", "a BigTIFF" CONVERT),
    KIND(0, "MM\0+", "a BigTIFF" CONVERT),
    KIND(0, "\xff\x0a", "a JPEG XL" CONVERT),
    KIND(0, "\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL" CONVERT),
    KIND(0, "\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000" CONVERT),
    KIND(0, "\xff\x4f\xff\x51", "a JPEG 2000" CONVERT),
    KIND(0, "\xff\xd8", "a JPEG that is cut off or damaged at its start; copy it again"),
    KIND(0, "8BPS", "a Photoshop document" CONVERT),
    KIND(0, "gimp xcf", "a GIMP document" CONVERT),
    KIND(0, "\0\0\1\0", "a Windows icon" CONVERT),
    KIND(0, "v/1\x01", "an OpenEXR" CONVERT),
    KIND(0, "#?RADIANCE", "a Radiance HDR" CONVERT),
    KIND(0, "qoif", "a QOI" CONVERT),
    KIND(0, "DDS ", "a DirectDraw texture" CONVERT),
    KIND(0, "AT&TFORM", "a DjVu" CONVERT),
    KIND(0, "%PDF-", "a PDF; extract its pictures as JPEG or PNG"),
    KIND(0, "%!PS", "a PostScript file" CONVERT),
    KIND(128, "DICM", "a DICOM" CONVERT),
    KIND(0, "\x93NUMPY", "a NumPy array; save it as PNG"),
    KIND(0, "\x89HDF\r\n", "an HDF5 file; save its pictures as PNG"),
    KIND(0, "SIMPLE  =", "a FITS" CONVERT),
    KIND(344, "n+1\0", "a NIfTI volume; save its slices as PNG"),
    KIND(0, "version https://git-lfs",
         "the pointer of a large-file store (Git LFS) instead of the file; fetch it with "
         "`git lfs pull`"),
    KIND(0, "/annex/objects/",
         "the pointer of a large-file store (git-annex) instead of the file; fetch it with "
         "`git annex get`"),
    KIND(0, "PK\3\4", "a zip archive; unpack it"),
    KIND(0, "\x1f\x8b", "compressed with gzip; unpack it"),
    KIND(0,
         "\xfd"
         "7zXZ",
         "compressed with xz; unpack it"),
    KIND(0, "(\xb5/\xfd", "compressed with zstd; unpack it"),
    KIND(0, "7z\xbc\xaf", "a 7z archive; unpack it"),
    KIND(0, "Rar!", "a rar archive; unpack it"),
    KIND(257, "ustar", "a tar archive; name it as the source, or unpack it"),
    KIND(0, "\0\5\x16\7", "macOS's notes on a file (AppleDouble), without the file; remove it"),
    KIND(0, "\x1a\x45\xdf\xa3", "a film (Matroska or WebM); extract its frames as JPEG or PNG"),
    KIND(0, "\x89PNG", "a PNG that went through a text conversion; copy it again, as binary"),
};

static bool has_at(const uint8_t *b, size_t n, const Kind *k) {
    return n >= k->at + k->n && memcmp(b + k->at, k->magic, k->n) == 0;
}

/* BM, the size of the file, four zeros. */
static bool is_bmp(const uint8_t *b, size_t n) {
    return n >= 26 && memcmp(b, "BM", 2) == 0 && memcmp(b + 6, "\0\0\0\0", 4) == 0;
}

/* P1 to P7, and white space. */
static bool is_netpbm(const uint8_t *b, size_t n) {
    return n >= 3 && b[0] == 'P' && b[1] >= '1' && b[1] <= '7' && (b[2] == '\n' || b[2] == ' ');
}

/* RIFF....: films and sounds; WebP has been seen before. */
static bool is_riff(const uint8_t *b, size_t n) {
    return n >= 12 && memcmp(b, "RIFF", 4) == 0;
}

static bool is_zero(const uint8_t *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (b[i]) return false;
    return true;
}

static bool starts(const char *text, size_t n, const char *word) {
    return n >= strlen(word) && strncasecmp(text, word, strlen(word)) == 0;
}

static bool holds(const char *text, size_t n, const char *word) {
    for (; n >= strlen(word); text++, n--)
        if (starts(text, n, word)) return true;
    return false;
}

/* How far one looks for the tag that says what a marked-up text is. */
enum { LOOK_BYTES = 1024 };

static const char *kind_of_text(const char *text, size_t n) {
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) text += 3, n -= 3;
    while (n > 0 && strchr(" \t\r\n", *text) && *text) text++, n--;
    if (n > LOOK_BYTES) n = LOOK_BYTES;
    if (starts(text, n, "<!doctype html") || starts(text, n, "<html") || starts(text, n, "<head"))
        return "an HTML page, as a download that failed leaves it; download it again";
    if (n > 0 && *text == '<' && holds(text, n, "<svg")) return "an SVG" CONVERT;
    if (n > 0 && *text == '<' && holds(text, n, "<html"))
        return "an HTML page, as a download that failed leaves it; download it again";
    if (starts(text, n, "<?xml"))
        return "an XML text, as a download that failed leaves it; download it again";
    if (n > 0 && (*text == '{' || *text == '['))
        return "a JSON text, as a download that failed leaves it; download it again";
    return NULL;
}

/* A text that is the path into an annex, as git-annex leaves it where links cannot be made. */
static bool is_annex_path(const char *text, size_t n) {
    return n < 4096 && starts(text, n, "../") && holds(text, n, ".git/annex/objects/");
}

const char *image_kind(const void *bytes, size_t n) {
    const uint8_t *b = bytes;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        if (has_at(b, n, &kinds[k])) return kinds[k].text;
    if (is_bmp(b, n)) return "a BMP" CONVERT;
    if (is_netpbm(b, n)) return "a PNM (PBM, PGM or PPM)" CONVERT;
    if (is_riff(b, n)) return "a film or sound (RIFF); extract frames as JPEG or PNG";
    if (is_zero(b, n))
        return "nothing but zero bytes, as a copy that failed leaves it; copy it again";
    if (is_annex_path(bytes, n))
        return "the pointer of a large-file store (git-annex) instead of the file; fetch it with "
               "`git annex get`";
    return kind_of_text(bytes, n);
}

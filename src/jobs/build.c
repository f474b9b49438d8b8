/* What the library was built of. Versions are those of the libraries that are loaded, where these
 * can be asked, and of their headers otherwise. */
#include <archive.h>
#include <jansson.h>
#include <png.h>
#include <stdio.h>
#include <webp/decode.h>
#include <zlib.h>
/* Last: it leans on stdio.h. */
#include <jpeglib.h>

#include "dist/comm.h"
#include "jobs/jobs.h"

#define TEXT(x) TEXT_OF(x)
#define TEXT_OF(x) #x
#ifdef LIBJPEG_TURBO_VERSION
#define JPEG "libjpeg-turbo " TEXT(LIBJPEG_TURBO_VERSION)
#else
#define JPEG "libjpeg " TEXT(JPEG_LIB_VERSION)
#endif
#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "GCC " __VERSION__
#endif
#ifdef _OPENMP
#define OPENMP TEXT(_OPENMP)
#else
#define OPENMP "no"
#endif

void build_describe(Result out) {
    char text[128];
    int webp = WebPGetDecoderVersion();
    result_text(out, "version", MAE_VERSION);
    result_text(out, "compiler", COMPILER);
    result_text(out, "openmp", OPENMP);
    comm_library(text, sizeof text);
    result_text(out, "mpi", text);
    snprintf(text, sizeof text, JPEG ", libpng %s, libwebp %d.%d.%d", png_get_libpng_ver(NULL),
             webp >> 16, webp >> 8 & 255, webp & 255);
    result_text(out, "codecs", text);
    snprintf(text, sizeof text, "%s, jansson " JANSSON_VERSION ", zlib %s",
             archive_version_string(), zlibVersion());
    result_text(out, "libraries", text);
}

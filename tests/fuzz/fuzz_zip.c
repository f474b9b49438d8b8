/* Any bytes as a zip archive: opened, every entry found by its name and located. */
#include "formats/zip.h"
#include "replay.h"
#include "touch.h"

static void read_entry(const Zip *z, const ZipEntry *e) {
    Error err = {0};
    uint64_t at, bytes = z->source->bytes;
    ASSERT(zip_find(z, e->name, e->name_bytes) == e, "%.*s", (int)e->name_bytes, e->name);
    touch(e->name, e->name_bytes);
    if (zip_locate(z, e, &at, &err) != MAE_OK) {
        ASSERT(err.message[0] != 0, "a failure without a message");
        return;
    }
    ASSERT(at <= bytes && e->bytes <= bytes - at, "an entry outside");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    Error err = {0};
    Zip zip;
    ByteSource source = byte_source_of("fuzz", data, bytes);
    if (zip_open(&source, &zip, &err) != MAE_OK) {
        ASSERT(err.message[0] != 0, "a failure without a message");
        return 0;
    }
    for (size_t i = 0; i < zip.n; i++) {
        read_entry(&zip, &zip.entry[i]);
        zip_name_ends(&zip.entry[i], "/data.pkl");
    }
    zip_find(&zip, (const char *)data, bytes < 16 ? bytes : 16);
    zip_close(&zip);
    return 0;
}

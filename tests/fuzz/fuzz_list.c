/* Any bytes as a list of images, whose reading is repeated here in the plainest way, and as a file
 * of classes. Only names in the folder itself are opened. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/name.h"
#include "checkpoint/classes.h"
#include "decode_image.h"
#include "replay.h"

enum { LIST_ENTRIES = 100, N_MODEL_CLASSES = 10 };

/* The next line of the text, cut off; NULL after the last. */
static char *next_line(char **text) {
    char *line = *text;
    if (!line) return NULL;
    *text = strchr(line, '\n');
    if (*text) *(*text)++ = '\0';
    size_t n = strlen(line);
    if (n > 0 && line[n - 1] == '\r') line[n - 1] = '\0';
    return line;
}

/* What is no entry: blank, or said to be none. */
static bool is_left_out(const char *line) {
    return line[strspn(line, " \r")] == '\0' ||
           (line[0] == '#' && (line[1] == ' ' || line[1] == '\0'));
}

static bool ends_in(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Numbers are classes of that number, other texts are classes of that name. */
static void check_label(const Dataset *d, int label, const char *text) {
    int n = dataset_n_classes(d);
    if (n == 0) {
        ASSERT(label == -1 && (!text || !*text), "label %d, '%s'", label, text ? text : "");
        return;
    }
    ASSERT(text && label >= 0 && label < n, "label %d of %d", label, n);
    ASSERT(strcmp(dataset_class_name(d, label), text) == 0 || strtol(text, NULL, 10) == label,
           "class %d is not '%s'", label, text);
}

/* The first line may be a header: then there is one entry less than lines. */
static void check_items(const Dataset *d, char *text, int64_t n_lines) {
    int64_t i = dataset_count(d) - n_lines;
    ASSERT(i == 0 || i == -1, "%lld items of %lld lines", (long long)dataset_count(d),
           (long long)n_lines);
    for (char *line; (line = next_line(&text)) != NULL;) {
        char *tab = strchr(line, '\t');
        if (is_left_out(line)) continue;
        if (tab) *tab++ = '\0';
        if (i < 0) {
            i++;
            continue;
        }
        ASSERT(name_unescape(line), "no memory");
        ASSERT(i < dataset_count(d), "%lld items", (long long)dataset_count(d));
        ASSERT(ends_in(dataset_name(d, i), line), "%s is not %s", dataset_name(d, i), line);
        check_label(d, dataset_class(d, i), tab);
        i++;
    }
    ASSERT(i == dataset_count(d), "%lld of %lld", (long long)i, (long long)dataset_count(d));
}

static int64_t count_lines(const char *text) {
    char *copy = mem_strdup(text), *rest = copy;
    int64_t n = 0;
    ASSERT(copy != NULL, "no memory");
    for (char *line; (line = next_line(&rest)) != NULL;) n += !is_left_out(line);
    mem_free(copy);
    return n;
}

static void fetch_own(Dataset *d) {
    const char *folder = fuzz_path("%s", "");
    for (int64_t i = 0; i < dataset_count(d); i++) {
        const char *name = dataset_name(d, i);
        Sample s;
        Error err = {0};
        if (strncmp(name, folder, strlen(folder)) != 0 || strchr(name + strlen(folder), '/') ||
            strstr(name, ".."))
            continue;
        Status status = dataset_fetch(d, i, &s, &err);
        fuzz_check_image(status, &s.image, 3, &err);
        if (status == MAE_OK) dataset_release(&s);
    }
}

/* The one file that is there. */
static void make_image(void) {
    static bool made;
    Image im;
    Error err = {0};
    if (made) return;
    ASSERT(image_new(&im, MAE_U8, 3, 2, 3, &err) == MAE_OK, "%s", err.message);
    ASSERT(image_write_png(fuzz_path("a.png"), &im, &err) == MAE_OK, "%s", err.message);
    image_free(&im);
    made = true;
}

static void read_list(const char *path, char *text) {
    const DatasetOptions options = {.channels = 3,
                                    .limits = {FUZZ_MAX_PIXELS, .max_entries = LIST_ENTRIES}};
    Error err = {0};
    Dataset *d;
    if (dataset_open(path, options, &d, &err) != MAE_OK) {
        ASSERT(err.message[0] != 0, "a failure without a message");
        return;
    }
    ASSERT(dataset_count(d) <= LIST_ENTRIES, "%lld items", (long long)dataset_count(d));
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) text += 3;
    check_items(d, text, count_lines(text));
    fetch_own(d);
    dataset_close(d);
}

static void read_classes(const char *path) {
    static Dataset *d;
    Error err = {0};
    int *map;
    uint8_t allowed[N_MODEL_CLASSES];
    if (!d)
        ASSERT(dataset_open("synthetic:10x4x4", (DatasetOptions){.channels = 3}, &d, &err) ==
                   MAE_OK,
               "%s", err.message);
    if (classes_map_file(path, NULL, N_MODEL_CLASSES, d, &map, allowed, &err) != MAE_OK) {
        ASSERT(err.message[0] != 0 && !map, "a failure without a message");
        return;
    }
    for (int i = 0; i < dataset_n_classes(d); i++)
        ASSERT(map[i] >= 0 && map[i] < N_MODEL_CLASSES && allowed[map[i]] == 1, "class %d", i);
    mem_free(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    char *text = malloc(bytes + 1);
    ASSERT(text != NULL, "no memory");
    if (bytes) memcpy(text, data, bytes);
    text[bytes] = '\0';
    make_image();
    fuzz_write(fuzz_path("list.txt"), data, bytes);
    read_list(fuzz_path("list.txt"), text);
    read_classes(fuzz_path("list.txt"));
    free(text);
    return 0;
}

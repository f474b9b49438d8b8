/* memory:NAME. Images that a program gives, one by one, when they are asked for (MaeSource). Names
 * and classes are asked for once, while the source is opened; pixels from any thread. Without the
 * program there is nothing to open: a run that it began says so. */
#include "data/image/image_caller.h"
#include "data/source/source.h"

#include <string.h>

static Status refuse(const MaeSource *m, Error *err) {
    if (m->count < 1)
        return error_set(err, MAE_EMPTY, "%s: the source has no images (count %lld)", m->name,
                         (long long)m->count);
    if (!m->fetch)
        return error_set(err, MAE_USAGE, "%s: the source has no function fetch", m->name);
    if (m->n_classes < 0 || (m->n_classes > 0 && !m->label))
        return error_set(err, MAE_USAGE, "%s: %d classes %s; with labels give both, without set 0",
                         m->name, m->n_classes, m->label ? "cannot be" : "but no function label");
    return MAE_OK;
}

static Status copy_class_names(Source *s, const MaeSource *m, Error *err) {
    if (!m->class_names) return source_number_classes(s, m->n_classes, err);
    s->class_names = arena_alloc(s->arena, (size_t)m->n_classes * sizeof *s->class_names);
    if (!s->class_names) return source_no_memory(err);
    for (int c = 0; c < m->n_classes; c++) {
        if (!m->class_names[c] || !*m->class_names[c])
            return error_set(err, MAE_USAGE, "%s: class %d has no name", m->name, c);
        s->class_names[c] = arena_strdup(s->arena, m->class_names[c]);
        if (!s->class_names[c]) return source_no_memory(err);
    }
    s->n_classes = m->n_classes;
    return MAE_OK;
}

static Status add_image(Source *s, const MaeSource *m, int64_t i, Error *err) {
    const char *name = m->image_name ? m->image_name(m->user, i) : NULL;
    SourceItem item = {.class = -1, .offset = i};
    if (name && strlen(name) > SOURCE_MAX_NAME_BYTES)
        return error_set(err, MAE_USAGE, "%s: the name of image %lld is longer than %d bytes",
                         m->name, (long long)i, SOURCE_MAX_NAME_BYTES);
    item.name = name && *name ? arena_strdup(s->arena, name)
                              : arena_printf(s->arena, "%s/%lld", m->name, (long long)i);
    if (m->n_classes > 0) item.class = m->label(m->user, i);
    if (!item.name) return source_no_memory(err);
    if (item.class < -1 || item.class >= m->n_classes)
        return error_set(err, MAE_USAGE, "%s: class %d, where there are %d", item.name, item.class,
                         m->n_classes);
    if (item.class >= 0) item.text = s->class_names[item.class];
    return source_add(s, item, err);
}

static Status memory_open(Source *s, const char *where, Error *err) {
    Status status = MAE_OK;
    const MaeSource *m = s->memory;
    bool labelled;
    if (!m)
        return error_set(err, MAE_USAGE,
                         "memory:%s: these images came from a program, which has to give them "
                         "again (mae_options_set_source); name other images, or run the program",
                         where);
    TRY(refuse(m, err));
    TRY(source_check_entries(s, m->name, m->count, err));
    if (m->n_classes > 0) TRY(copy_class_names(s, m, err));
    for (int64_t i = 0; i < m->count; i++) TRY(add_image(s, m, i, err));
    TRY(source_all_labelled(s, &labelled, err));
    if (!labelled) s->n_classes = 0;
    TRY(source_describe(s, where, NULL, err));
done:
    return status;
}

/* A lack of memory is ours; every other failure says something about the image. */
static Status failed(const Source *s, int64_t index, Status status, MaeError *why, Error *err) {
    why->message[sizeof why->message - 1] = '\0';
    if (status != MAE_MEMORY && !dataset_is_image_fault(status)) status = MAE_IO;
    return error_set(err, status, "%.500s: %s", s->items[index].name,
                     *why->message ? why->message : "the program could not give the image");
}

static Status memory_fetch(const Source *s, int64_t index, int channels, ImageCrop *crop,
                           Image *out, Error *err) {
    const MaeSource *m = s->memory;
    MaeImage image = {0};
    MaeError why = {0};
    *out = (Image){0};
    Status status = m->fetch(m->user, index, &image, &why);
    if (status != MAE_OK) return failed(s, index, status, &why, err);
    status = image_from_caller(s->items[index].name, &image, s->type, channels,
                               s->limits.max_pixels, crop, out, err);
    if (m->release)
        m->release(m->user, index, &image);
    else
        mae_image_free(&image);
    return status;
}

/* Who gives it, and by which number: two sources may share one `user`. */
static bool memory_identify(const Source *s, int64_t index, ImageIdentity *out) {
    const MaeSource *m = s->memory;
    *out = (ImageIdentity){(uint64_t)(uintptr_t)m->user, (uint64_t)(uintptr_t)m->fetch, index};
    return true;
}

const SourceKind source_memory = {"memory", memory_open, memory_fetch, memory_identify, NULL};

/* Whether a folder may become a run's, or is one: runfolder_check of runfolder.h. */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "options/options.h"
#include "run/runfolder.h"

enum { LEAST_KEYS = 8 };

/* --- Whose run it is -------------------------------------------------------------------------- */

static int count_options(CommandId command) {
    size_t count;
    const OptionRow *table = option_table(&count);
    int n = 0;
    for (size_t i = 0; i < count; i++) n += (table[i].commands & (unsigned)command) != 0;
    return n;
}

/* The keys of a config.json that a command has and has not. */
static void count_keys(const json_t *config, CommandId command, int *known, int *unknown) {
    const char *key;
    json_t *value;
    *known = *unknown = 0;
    json_object_foreach((json_t *)(uintptr_t)config, key, value) {
        char name[64];
        size_t n = strlen(key);
        if (n >= sizeof name) continue;
        for (size_t i = 0; i <= n; i++) name[i] = (char)(key[i] == '_' ? '-' : key[i]);
        int *count = option_find(command, name) >= 0 ? known : unknown;
        ++*count;
    }
}

/* The command whose options fit config.json best; `wanted` wins a tie. NULL: the file is no run's.
 * An older or newer version may have a few options more or less. */
static const CommandRow *command_of(const json_t *config, CommandId wanted) {
    const CommandRow *best = NULL, *c;
    int most = 0;
    for (int64_t i = 0; (c = command_at(i)); i++) {
        int known, unknown;
        if (!c->trains) continue;
        count_keys(config, c->id, &known, &unknown);
        if (known < LEAST_KEYS || unknown > known) continue;
        int absent = count_options(c->id) - known;
        int score = 2 * (known - unknown - absent) + (c->id == wanted);
        if (best && score <= most) continue;
        best = c;
        most = score;
    }
    return best;
}

/* --- What else is in it ----------------------------------------------------------------------- */

/* Where this process talks: `mae pretrain --out run > run/log.txt` has made a file in the folder.
 */
static bool is_our_output(const struct stat *file) {
    struct stat own;
    for (int fd = 1; fd <= 2; fd++)
        if (fstat(fd, &own) == 0 && own.st_dev == file->st_dev && own.st_ino == file->st_ino)
            return true;
    return false;
}

/* What a run leaves that ends before it has written its options. */
static bool is_first_of_run(const char *path, const char *name) {
    if (strcmp(name, "config.json.tmp") == 0) return true;
    DIR *dir = strcmp(name, "reconstructions") == 0 ? opendir(path) : NULL;
    int n = 0;
    while (dir && readdir(dir)) n++;
    if (dir) closedir(dir);
    return n == 2; /* it and the folder above */
}

/* Hidden files are no one's work. */
static Status counts(const char *run, const char *name, bool *out, Error *err) {
    struct stat info;
    *out = name[0] != '.' && strcmp(name, "lost+found") != 0;
    if (!*out) return MAE_OK;
    char *path = NULL;
    Status status = file_path(run, name, &path, err);
    if (status != MAE_OK) return status;
    if (is_first_of_run(path, name) || (stat(path, &info) == 0 && is_our_output(&info)))
        *out = false;
    mem_free(path);
    return MAE_OK;
}

static bool is_part_of_run(const char *name) {
    static const char *const names[] = {"last.safetensors", "last.manifest.json",
                                        "next.manifest.json", "best.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

/* In `stranger` the name of a file, "" when there is none that counts; *part: one is a run's. */
static Status look(const char *run, char stranger[256], bool *part, Error *err) {
    DIR *dir = opendir(run);
    *stranger = '\0';
    *part = false;
    if (!dir) return error_set(err, MAE_IO, "%s: cannot be read: %s", run, strerror(errno));
    Status status = MAE_OK;
    for (const struct dirent *e; status == MAE_OK && (e = readdir(dir));) {
        bool counted;
        status = counts(run, e->d_name, &counted, err);
        if (status != MAE_OK || !counted) continue;
        if (is_part_of_run(e->d_name)) *part = true;
        if (!*stranger || strcmp(e->d_name, stranger) < 0)
            memcpy(stranger, e->d_name, strlen(e->d_name) + 1);
    }
    closedir(dir);
    return status;
}

/* --- The check -------------------------------------------------------------------------------- */

static Status refuse_other(const char *run, const CommandRow *owner, CommandId wanted, Error *err) {
    bool start = owner->id == COMMAND_PRETRAIN;
    return error_set(
        err, MAE_USAGE,
        "%s: holds a run of mae %s, which mae %s does not go on with; name another folder "
        "with --out%s%s%s",
        run, owner->command.name, command_row(wanted)->command.name,
        start ? " (to start from its weights: --init " : "", start ? run : "",
        start ? "/last.safetensors)" : "");
}

Status runfolder_check(const char *run, CommandId command, Error *err) {
    char stranger[256];
    bool part;
    if (!file_exists(run) && !file_is_standard_output(run)) return MAE_OK;
    if (!file_is_directory(run))
        return error_set(err, MAE_USAGE,
                         "%s: is no folder; a run writes a folder, name one with --out", run);
    json_t *config;
    Status status = json_find_object(run, "config.json", &config, err);
    const CommandRow *owner = config ? command_of(config, command) : NULL;
    json_decref(config);
    if (owner && owner->id != command) return refuse_other(run, owner, command, err);
    if (status == MAE_OK) status = look(run, stranger, &part, err);
    if (status != MAE_OK || owner || part || !*stranger) return status;
    return error_set(
        err, MAE_USAGE,
        "%s: is not empty and holds no run (it has %s); a run would mix its files with "
        "these, so name a new or empty folder with --out",
        run, stranger);
}

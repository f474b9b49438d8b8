/* The commands of `mae` that do a job, each once: what it is called, what the help says of it, and
 * the bit that its options carry in the table of options. */
#ifndef OPTIONS_COMMANDS_H
#define OPTIONS_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

#include "mae.h"

typedef enum CommandId {
    COMMAND_NONE = 0, /* has no options of its own, as plan */
    COMMAND_PRETRAIN = 1 << 0,
    COMMAND_RECONSTRUCT = 1 << 1,
    COMMAND_KNN = 1 << 2,
    COMMAND_FEATURES = 1 << 3,
    COMMAND_BENCH = 1 << 4,
    COMMAND_INFO = 1 << 5,
    COMMAND_FINETUNE = 1 << 6,
    COMMAND_PROBE = 1 << 7,
    COMMAND_EVAL = 1 << 8,
    COMMAND_CLASSIFY = 1 << 9,
    COMMAND_CONVERT = 1 << 10,
    COMMAND_NEIGHBOURS = 1 << 14,
    /* No commands: what an image, a model and a session of the library can be told. */
    COMMAND_IMAGE = 1 << 11,
    COMMAND_MODEL = 1 << 12,
    COMMAND_SESSION = 1 << 13
} CommandId;

typedef struct CommandRow {
    MaeCommand command; /* arguments NULL: it is no command */
    CommandId id;
    bool trains; /* writes a run folder, and can be planned */
} CommandRow;

/* Row i in the order of the help; NULL after the last. */
const CommandRow *command_at(int64_t i);
/* NULL: there is none of that name. */
const CommandRow *command_find(const char *name);
/* The row of an id other than COMMAND_NONE. */
const CommandRow *command_row(CommandId id);

#endif

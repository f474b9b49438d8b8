/* See commands.h. */
#include "options/commands.h"

#include <string.h>

#include "base/status.h"

static const CommandRow COMMANDS[] = {
    {{"pretrain", "--data SRC --out RUN", "pre-train; continues when RUN holds a run"},
     COMMAND_PRETRAIN,
     true},
    {{"reconstruct", "--model CKPT --out PNG IMAGE...",
      "masked, reconstructed, original side by side, a row an image"},
     COMMAND_RECONSTRUCT,
     false},
    {{"finetune", "--data SRC --val SRC --init CKPT --out RUN",
      "train a classifier end to end, in part (--tune-blocks), or from scratch (--init none)"},
     COMMAND_FINETUNE,
     true},
    {{"probe", "--data SRC --val SRC --init CKPT --out RUN",
      "train a linear layer on the frozen encoder"},
     COMMAND_PROBE,
     true},
    {{"eval", "--model CKPT --val SRC", "top-1, top-5 and loss of a classifier; --corruptions"},
     COMMAND_EVAL,
     false},
    {{"classify", "--model CKPT IMAGE...", "classes and probabilities"}, COMMAND_CLASSIFY, false},
    {{"knn", "--model CKPT --data SRC --val SRC",
      "k-nearest-neighbour accuracy of frozen features"},
     COMMAND_KNN,
     false},
    {{"features", "--model CKPT --data SRC --out FILE", "features of images as .npy or .csv"},
     COMMAND_FEATURES,
     false},
    {{"neighbours", "--model CKPT --data SRC IMAGE...",
      "the images of a source nearest to these; --out PNG shows them"},
     COMMAND_NEIGHBOURS,
     false},
    {{"convert", "IN OUT --to official|timm|hf|onnx",
      "between checkpoint dialects; what is written is read back and compared"},
     COMMAND_CONVERT,
     false},
    {{"info", "FILE", "what a checkpoint is: dialect, model, tensors, metadata"},
     COMMAND_INFO,
     false},
    {{"plan", "pretrain|finetune|probe --data SRC ...",
      "parameters, FLOPs, bytes and time, before anything starts"},
     COMMAND_NONE,
     false},
    {{"bench", "step|kernels|data",
      "a whole step, the kernels it is made of, or the loader, measured"},
     COMMAND_BENCH,
     false},
    {{"image", NULL, NULL}, COMMAND_IMAGE, false},
    {{"model", NULL, NULL}, COMMAND_MODEL, false},
    {{"session", NULL, NULL}, COMMAND_SESSION, false},
};
enum { N_COMMANDS = sizeof COMMANDS / sizeof *COMMANDS };

const CommandRow *command_at(int64_t i) {
    return i >= 0 && i < N_COMMANDS ? &COMMANDS[i] : NULL;
}

const CommandRow *command_find(const char *name) {
    for (const CommandRow *c = COMMANDS; c < COMMANDS + N_COMMANDS; c++)
        if (strcmp(c->command.name, name) == 0) return c;
    return NULL;
}

const CommandRow *command_row(CommandId id) {
    const CommandRow *c = COMMANDS;
    while (c < COMMANDS + N_COMMANDS && c->id != id) c++;
    ASSERT(c < COMMANDS + N_COMMANDS, "no command %d", (int)id);
    return c;
}

const MaeCommand *mae_command(int64_t i) {
    const CommandRow *c = command_at(i);
    return c && c->command.arguments ? &c->command : NULL;
}

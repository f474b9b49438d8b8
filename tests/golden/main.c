/* golden [--device NAME] [--isa NAME] DIR: compares the library with the numbers in DIR, a folder
 * in the form of tests/golden/data. Cases come from the manifests in DIR/manifest, every
 * dimension from the files. Without these options, everything that computes on a device runs for
 * each instruction set of this processor; once more, without the models of real size, on the
 * device "deferred" of the tests (tests/device/deferred.h); and the smallest models in bf16: as it
 * should be, within the limits of rounding.c, and with faults that these must find (faults.c).
 * Prints failures, by how many comparisons each fault is found, how many files it does not cover,
 * and one line of counts; exit status 1 when a comparison failed or none was made, 2 for a wrong
 * command line. */
#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "narrow.h"

static const struct {
    const char *pattern;
    Subject check; /* NULL: only read along with other files */
    bool once;     /* does not depend on the device */
} SUBJECTS[] = {
    {"weights/init_stats.json", check_initial, true},
    {"weights/*.safetensors", check_weights, true},
    {"model_forward/*_images.safetensors", NULL, true},
    {"model_forward/*.safetensors", check_forward, false},
    {"model_backward/*.safetensors", check_backward, false},
    {"train_trajectory/*.json", NULL, true},
    {"train_trajectory/*.safetensors", check_trajectory, false},
    {"real_size/mae_*.json", NULL, true},
    {"real_size/mae_*.safetensors", check_real_size, false},
    {"real_size/vit_*.json", NULL, true},
    {"real_size/vit_*.safetensors", check_real_classifier, false},
    {"finetune/head_*.safetensors", check_head, true},
    {"finetune/*_ls.safetensors", check_smoothed, false},
    {"finetune/*_mixup.safetensors", check_mixed, false},
    {"finetune/*_droppath.safetensors", check_drop_path, false},
    {"finetune/lrd_groups_*.json", check_layer_groups, true},
    {"finetune/traj*.json", NULL, true},
    {"finetune/traj*.safetensors", check_fine_tuning, false},
    {"linprobe/*.json", NULL, true},
    {"linprobe/*.safetensors", check_probe, false},
    {"checkpoint/expected.safetensors", check_checkpoint_models, false},
    {"checkpoint/resume_step.safetensors", check_resumed_update, false},
    {"pos_embed/*.safetensors", check_positions, true},
    {"masks/random.safetensors", check_random_masks, true},
    {"masks/len_keep.json", check_keep_counts, true},
    {"masks/grid.safetensors", check_grid_masks, true},
    {"masks/statistics.json", NULL, true},
    {"masks/beit_blocks.safetensors", check_block_masks, true},
    {"augment/photos/*", NULL, true},
    {"augment/decode/*", NULL, true},
    {"augment/decode.json", NULL, true},
    {"augment/decode.safetensors", check_decoding, true},
    {"augment/crops.json", NULL, true},
    {"augment/crops.safetensors", check_crops, false},
    {"augment/crop_params.json", check_crop_variants, true},
    {"augment/eval.json", NULL, true},
    {"augment/eval.safetensors", check_eval, true},
    {"augment/color_jitter.safetensors", check_color, true},
    {"augment/randaug.json", NULL, true},
    {"augment/randaug_ops.safetensors", check_randaugment_ops, true},
    {"augment/randaug_traces.safetensors", check_randaugment_traces, true},
    {"augment/random_erasing.json", NULL, true},
    {"augment/random_erasing.safetensors", check_erasing, true},
    {"augment/mixup.json", NULL, true},
    {"augment/mixup.safetensors", check_mixup, true},
    {"typed/files.json", check_image_files, true},
    {"typed/hostile.json", check_hostile_files, true},
    {"typed/npy.safetensors", NULL, true},
    {"typed/*.npy", NULL, true},
    {"typed/resample*.json", NULL, true},
    {"typed/resample*.safetensors", check_resampling, true},
    {"checkpoint/checkpoint-*.pth", check_training_file, true},
    {"checkpoint/half.pth", check_half, true},
    {"checkpoint/bf16.pth", check_half, true},
    {"checkpoint/hf_pytorch_model.bin", check_renamed, true},
    {"checkpoint/encoder_only.pth", check_encoder_only, true},
    {"checkpoint/odd*.pth", check_odd, true},
    {"checkpoint/odd_expected.*", NULL, true},
    {"checkpoint/optimizer*", NULL, true},
    {"checkpoint/hf_names.json", NULL, true},
    {"checkpoint/*model*.safetensors", NULL, true},
};
enum { N_SUBJECTS = sizeof SUBJECTS / sizeof SUBJECTS[0] };

static int subject_of(const char *path) {
    for (int i = 0; i < N_SUBJECTS; i++)
        if (fnmatch(SUBJECTS[i].pattern, path, 0) == 0) return i;
    return -1;
}

static int is_json(const struct dirent *e) {
    return fnmatch("*.json", e->d_name, FNM_PERIOD) == 0;
}

static bool read_manifest(Golden *g, const char *folder, const char *name) {
    json_error_t error;
    char path[8192];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    json_t *manifest = json_load_file(path, 0, &error);
    json_t *files = json_object_get(manifest, "files");
    bool ok = json_is_object(files) && json_object_update(g->files, files) == 0;
    if (!ok) fprintf(stderr, "golden: %s: no manifest: %s\n", path, error.text);
    json_decref(manifest);
    return ok;
}

static bool read_manifests(Golden *g) {
    char folder[4000];
    struct dirent **names;
    snprintf(folder, sizeof folder, "%s/manifest", g->dir);
    int n = scandir(folder, &names, is_json, alphasort);
    if (n < 0) {
        fprintf(stderr, "golden: %s cannot be read\n", folder);
        return false;
    }
    bool ok = true;
    for (int i = 0; i < n; i++) {
        ok = read_manifest(g, folder, names[i]->d_name) && ok;
        free(names[i]);
    }
    free(names);
    return ok;
}

/* What a pass leaves out, beside what does not depend on the device. */
typedef enum Extent { ALL, SMALL, MICRO } Extent;

static bool is_in(const char *path, Extent extent) {
    static const char *const micro[] = {"model_*", "train_trajectory/*", "finetune/cls_*"};
    bool is_micro = false;
    for (int i = 0; i < 3; i++) is_micro |= fnmatch(micro[i], path, 0) == 0;
    if (extent == MICRO) return is_micro;
    return extent == ALL || fnmatch("real_size/*", path, 0) != 0;
}

static void run_pass(Golden *g, bool first, Extent extent) {
    const char *path;
    json_t *entry;
    json_object_foreach(g->files, path, entry) {
        int i = subject_of(path);
        if (g->trial && g->failed > 0) return;
        if (i < 0 || !SUBJECTS[i].check || (SUBJECTS[i].once && !first)) continue;
        if (!is_in(path, extent)) continue;
        g->path = path;
        g->arena = arena_new();
        ASSERT(g->arena, "no memory");
        SUBJECTS[i].check(g, path, entry);
        golden_release(g);
    }
}

static bool run_device(Golden *g, const char *device, const char *isa, bool first, Extent extent) {
    Error err = {0};
    if (device_open(device, 0, isa, &g->device, &err) != MAE_OK) {
        fprintf(stderr, "golden: %s\n", err.message);
        return false;
    }
    run_pass(g, first, extent);
    device_close(g->device);
    return true;
}

/* --- bf16 ------------------------------------------------------------------------------------- */

enum { DRAWS = 8 };

static const char *const BF16 = "refbf16";

/* The errors of random rounding, of which limits are made. */
static bool draw_errors(Golden *g) {
    for (uint32_t seed = 1; seed <= DRAWS; seed++) {
        Golden draw = {.dir = g->dir, .files = g->files, .errors = g->errors, .draws = true};
        if (device_open(BF16, 0, NULL, &draw.device, NULL) != MAE_OK) return false;
        refdrawn_fill_table(&draw.device->kernels);
        narrow_seed(seed);
        run_pass(&draw, false, MICRO);
        device_close(draw.device);
    }
    return true;
}

/* Without a fault, or with fault i; *fault is what it is, NULL: there is none. */
static bool run_narrow(Golden *g, int i, const char **fault) {
    if (device_open(BF16, 0, NULL, &g->device, NULL) != MAE_OK) return false;
    if (i >= 0) *fault = golden_fault(g->device, i);
    bool ok = golden_watch_statistics(g);
    if (ok && *fault) run_pass(g, false, MICRO);
    golden_unwatch_statistics();
    device_close(g->device);
    return ok;
}

/* The limits of bf16 are worth what they find. */
static bool run_faults(Golden *g) {
    const char *fault = "";
    for (int i = 0; fault; i++) {
        Golden trial = {.dir = g->dir, .files = g->files, .errors = g->errors, .trial = true};
        if (!run_narrow(&trial, i, &fault)) return false;
        if (!fault) break;
        printf("%s: %s: %s\n", trial.failed > 0 ? "fault" : "FAIL: not found", fault, trial.found);
        g->failed += trial.failed == 0;
        g->compared++;
    }
    return true;
}

static bool run_bf16(Golden *g) {
    const char *none = "";
    g->errors = json_object();
    bool ok = g->errors && draw_errors(g) && run_narrow(g, -1, &none) && run_faults(g);
    json_decref(g->errors);
    return ok;
}

/* --- all passes ------------------------------------------------------------------------------- */

static bool run(Golden *g, const char *device, const char *isa) {
    if (device && strcmp(device, BF16) == 0) return run_bf16(g);
    if (isa || device) return run_device(g, device ? device : "cpu", isa, true, ALL);
    const char *const *isas = device_isas();
    for (int i = 0; isas[i]; i++)
        if (!run_device(g, "cpu", isas[i], i == 0, ALL)) return false;
    return run_device(g, "deferred", NULL, false, SMALL) && run_bf16(g);
}

static int64_t count_skipped(const Golden *g) {
    const char *path;
    json_t *entry;
    int64_t n = 0;
    json_object_foreach(g->files, path, entry) n += subject_of(path) < 0;
    return n;
}

static int usage(void) {
    fprintf(stderr, "usage: golden [--device NAME] [--isa NAME] DIR\n");
    return 2;
}

int main(int argc, char **argv) {
    Golden g = {0};
    const char *device = NULL, *isa = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--device") == 0 && i + 1 < argc)
            device = argv[++i];
        else if (strcmp(argv[i], "--isa") == 0 && i + 1 < argc)
            isa = argv[++i];
        else if (argv[i][0] == '-' || g.dir)
            return usage();
        else
            g.dir = argv[i];
    }
    if (!g.dir) return usage();
    g.files = json_object();
    bool ok = g.files && read_manifests(&g) && run(&g, device, isa);
    if (count_skipped(&g) > 0) printf("%lld files skipped\n", (long long)count_skipped(&g));
    printf("golden: %lld compared, %lld failed\n", (long long)g.compared, (long long)g.failed);
    json_decref(g.files);
    return !ok || g.failed > 0 || g.compared == 0;
}

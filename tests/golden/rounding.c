/* The error model of bf16, and the limits that follow from it.
 *
 * Model. bf16 has 8 bits of precision, so a number that is rounded to nearest is off by 2^-8 of
 * itself at most: its unit roundoff. What is stored as Real, and each weight that a product reads,
 * is rounded once; whatever is Wide, and all sums, are exact beside that. Errors of different
 * numbers are independent and have mean 0. How far they reach depends on the model and its numbers:
 * on depth, and on how steep softmax, norms and losses are there.
 *
 * (No formula of depth: micro8 is twice as sensitive at one mask ratio as at another. No wide
 * residual stream: in a trial of 11 seeds it took 8 to 17 % off the errors of gradients, and single
 * tensors were still up to 6 % off.)
 *
 * So the model is run, and not guessed. A device rounds at random: up or down to a neighbour, with
 * the mean kept. Its errors are independent with mean 0 like those of the model, and sqrt(2) larger
 * (variance 1/6 of the squared step between neighbours in place of 1/12). Several draws give the
 * relative error of each result, rel. L2 for a tensor; their root mean square is called deviation
 * here. Correct rounding is expected to be off by 0.7 deviations.
 *
 * Limits. A tensor may be off by 2 deviations. A number (a loss, a norm) may be off by 3, since
 * one error varies more than the mean of many; numbers that differ in their step alone share their
 * draws.
 *
 * Caps, whatever the model says. A loss may be off by 1 %, and a gradient, which is all of its
 * tensors as one, by 3 %. A single tensor of it may be off by 3 %, or by one deviation where that
 * is more: there correct rounding is expected to be off by 2 % and more. That is so in the encoder
 * of micro8 at a mask ratio of 0.75 with pixels as targets. Softmax scores reach 10, so that
 * roundings of q and k move probabilities by percents, and few tokens are there to average over. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "golden.h"

#define TENSOR_DEVIATIONS 2
#define NUMBER_DEVIATIONS 3
#define LOSS_CAP 0.01
#define GRADIENT_CAP 0.03

bool golden_is_narrow(const Golden *g) {
    return g->device->kernels.real_bytes < g->device->kernels.wide_bytes;
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

static double cap_of(const char *what) {
    if (begins(what, "grad.") || begins(what, "gradient")) return GRADIENT_CAP;
    return begins(what, "loss") && !begins(what, "loss_per_patch") ? LOSS_CAP : INFINITY;
}

/* Where the errors of draws are; numbers without their step. */
static const char *key_of(Golden *g, const char *what, bool is_tensor) {
    char key[512];
    size_t n = 0;
    for (; *what && n + 1 < sizeof key; what++)
        if (is_tensor || !isdigit((unsigned char)*what)) key[n++] = *what;
    key[n] = '\0';
    return golden_text(g, "%s: %s", g->path, key);
}

static void note(json_t *errors, const char *key, double error) {
    json_t *list = json_object_get(errors, key);
    if (!list) {
        list = json_array();
        ASSERT(json_object_set_new(errors, key, list) == 0, "no memory for %s", key);
    }
    ASSERT(json_array_append_new(list, json_real(error)) == 0, "%s is not finite", key);
}

/* Root mean square; NaN of nothing. */
static double deviation(const json_t *errors) {
    size_t i;
    json_t *error;
    double square = 0;
    json_array_foreach(errors, i, error) square += pow(json_number_value(error), 2);
    return sqrt(square / (double)json_array_size(errors));
}

double golden_rounding_limit(Golden *g, const char *what, bool is_tensor, double error) {
    const char *key = key_of(g, what, is_tensor);
    if (g->draws) {
        note(g->errors, key, error);
        return INFINITY;
    }
    double one = deviation(json_object_get(g->errors, key));
    double limit = fmin((is_tensor ? TENSOR_DEVIATIONS : NUMBER_DEVIATIONS) * one, cap_of(what));
    return begins(what, "grad.") ? fmax(limit, one) : limit;
}

/* Results and failures: JSON for programs, one line on standard error for people. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

static bool silent;

void output_silence(void) {
    silent = true;
    if (!freopen("/dev/null", "w", stdout)) fclose(stdout);
}

bool output_is_silent(void) {
    return silent;
}

int columns_of(FILE *to, int most) {
    struct winsize size = {0};
    const char *said = getenv("COLUMNS");
    if (!isatty(fileno(to))) return most;
    long n = said ? strtol(said, NULL, 10) : 0;
    if (n <= 0 && ioctl(fileno(to), TIOCGWINSZ, &size) == 0) n = size.ws_col;
    if (n <= 0) n = 80;
    return n < most ? (int)n : most;
}

void print_wrapped(FILE *to, const char *text, int column, int indent, int width) {
    if (column > indent) {
        fprintf(to, "\n%*s", indent, "");
        column = indent;
    }
    if (strlen(text) <= (size_t)(width > column ? width - column : 0)) {
        fprintf(to, "%s\n", text); /* with its blanks, which may be those of a path */
        return;
    }
    for (bool first = true; *text; first = false) {
        int word = (int)strcspn(text, " ");
        if (!first && column + 1 + word > width) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', to);
            column++;
        }
        fprintf(to, "%.*s", word, text);
        column += word;
        text += word;
        while (*text == ' ') text++;
    }
    fputc('\n', to);
}

int report(const MaeError *err) {
    if (!silent) fprintf(stderr, "mae: %s\n", err->message);
    return err->status == MAE_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

int report_usage(const char *command, const char *format, ...) {
    va_list args;
    if (silent) return EXIT_USAGE;
    va_start(args, format);
    fprintf(stderr, "mae: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n`mae %s --help` lists the options\n", command);
    va_end(args);
    return EXIT_USAGE;
}

const char *duration(double seconds, char *buffer, size_t bytes) {
    if (!(seconds < 1e10)) return "years";
    long s = (long)seconds;
    if (s >= 86400)
        snprintf(buffer, bytes, "%ldd%02ldh", s / 86400, s / 3600 % 24);
    else if (s >= 3600)
        snprintf(buffer, bytes, "%ldh%02ldm", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(buffer, bytes, "%ldm%02lds", s / 60, s % 60);
    else
        snprintf(buffer, bytes, "%.1fs", seconds);
    return buffer;
}

long long count_of(const MaeResult *r, const char *key) {
    return (long long)mae_result_integer(r, key);
}

double percent_of(const MaeResult *r, const char *key) {
    return 100 * mae_result_number(r, key);
}

double millions_of(const MaeResult *r, const char *key) {
    return 1e-6 * mae_result_number(r, key);
}

const char *text_of(const MaeResult *r, const char *key) {
    const char *text = mae_result_text(r, key);
    return text ? text : "";
}

bool is_known(const MaeResult *r, const char *key) {
    return mae_result_number(r, key) >= 0;
}

int print_as_json(const MaeResult *r) {
    char *text = mae_result_json(r);
    if (text)
        puts(text);
    else
        fprintf(stderr, "mae: no memory for the result\n");
    mae_free(text);
    return text ? EXIT_DONE : EXIT_FAILED;
}

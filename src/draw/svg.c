/* See svg.h. */
#include "draw/svg.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

static bool reserve(Svg *s, size_t more) {
    if (s->failed) return false;
    if (s->capacity - s->bytes > more) return true;
    size_t capacity = (s->bytes + more + 1) * 2;
    char *grown = mem_realloc(s->text, s->bytes, capacity);
    s->failed = !grown;
    if (!grown) return false;
    s->text = grown;
    s->capacity = capacity;
    return true;
}

static void put(Svg *s, const char *text, size_t n) {
    if (!reserve(s, n)) return;
    memcpy(s->text + s->bytes, text, n);
    s->bytes += n;
}

/* Short pieces only; never a floating-point conversion. */
static void print(Svg *s, const char *format, ...) PRINTF_LIKE(2, 3);

static void print(Svg *s, const char *format, ...) {
    char piece[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(piece, sizeof piece, format, args);
    va_end(args);
    ASSERT(n >= 0 && (size_t)n < sizeof piece, "a piece of %d bytes", n);
    put(s, piece, (size_t)n);
}

/* A length, without the ".0" that most would carry. */
static NumberText pixels(double v) {
    NumberText t = number_text(v, 1);
    size_t n = strlen(t.s);
    if (t.s[n - 1] == '0') t.s[n - 2] = '\0';
    return t;
}

/* Bytes of the character at p if it is UTF-8 and XML allows it, else 0. */
static size_t character(const unsigned char *p) {
    static const unsigned long lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (*p < 0x80) return *p >= 0x20 && *p != 0x7f;
    size_t n = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    unsigned long code = *p & (0xffU >> (n + 1));
    if (*p < 0xc0 || *p > 0xf4) return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0; /* also the NUL at the end */
        code = code << 6 | (p[i] & 0x3fU);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    bool allowed = code >= lowest[n] && code <= 0x10ffff && (code & 0xfffe) != 0xfffe;
    return allowed && !surrogate ? n : 0;
}

/* What is not a character becomes a blank (control) or the replacement character. */
static void put_escaped(Svg *s, const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t n = character(p);
        if (*p == '&')
            print(s, "&amp;");
        else if (*p == '<')
            print(s, "&lt;");
        else if (*p == '>')
            print(s, "&gt;");
        else if (n > 0)
            put(s, (const char *)p, n);
        else
            print(s, "%s", *p < 0x80 ? " " : "\xef\xbf\xbd");
        p += n > 0 ? n : 1;
    }
}

static void put_tip(Svg *s, const char *tip) {
    print(s, "<title>");
    put_escaped(s, tip);
    print(s, "</title>");
}

void svg_begin(Svg *s, double width, double height, const char *css) {
    NumberText w = pixels(width), h = pixels(height);
    print(s, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%s\" height=\"%s\" ", w.s, h.s);
    print(s, "viewBox=\"0 0 %s %s\">\n<style>\n", w.s, h.s);
    put(s, css, strlen(css));
    print(s, "</style>\n<rect width=\"%s\" height=\"%s\" fill=\"#fff\"/>\n", w.s, h.s);
}

Status svg_finish(Svg *s, Error *err) {
    print(s, "</svg>\n");
    return s->failed ? error_set(err, MAE_MEMORY, "no memory for a drawing") : MAE_OK;
}

void svg_free(Svg *s) {
    mem_free(s->text);
    *s = (Svg){0};
}

void svg_line(Svg *s, const char *class, double x0, double y0, double x1, double y1) {
    print(s, "<path class=\"%s\" d=\"M%s %sL%s %s\"/>\n", class, pixels(x0).s, pixels(y0).s,
          pixels(x1).s, pixels(y1).s);
}

void svg_text(Svg *s, const char *class, double x, double y, const char *text) {
    print(s, "<text class=\"%s\" x=\"%s\" y=\"%s\">", class, pixels(x).s, pixels(y).s);
    put_escaped(s, text);
    print(s, "</text>\n");
}

void svg_dot(Svg *s, const char *class, double x, double y, double radius, const char *tip) {
    print(s, "<circle class=\"%s\" cx=\"%s\" cy=\"%s\" r=\"%s\">", class, pixels(x).s, pixels(y).s,
          pixels(radius).s);
    put_tip(s, tip);
    print(s, "</circle>\n");
}

void svg_flag(Svg *s, const char *class, double x, double y, const char *tip) {
    print(s, "<path class=\"%s\" d=\"M%s %sl4.5 -8h-9z\">", class, pixels(x).s, pixels(y).s);
    put_tip(s, tip);
    print(s, "</path>\n");
}

void svg_path_begin(Svg *s, const char *class) {
    print(s, "<path class=\"%s\" d=\"", class);
}

void svg_path_point(Svg *s, bool first, double x, double y) {
    print(s, "%c%s %s", first ? 'M' : 'L', pixels(x).s, pixels(y).s);
}

void svg_path_end(Svg *s) {
    print(s, "\"/>\n");
}

/* --- Numbers for people ----------------------------------------------------------------------- */

NumberText number_text(double v, int decimals) {
    NumberText t;
    long long unit = 1;
    for (int i = 0; i < decimals; i++) unit *= 10;
    ASSERT(fabs(v) * (double)unit < 9e18, "%g with %d decimals", v, decimals);
    long long n = llround(fabs(v) * (double)unit);
    const char *sign = v < 0 && n > 0 ? "-" : "";
    if (decimals == 0)
        snprintf(t.s, sizeof t.s, "%s%lld", sign, n);
    else
        snprintf(t.s, sizeof t.s, "%s%lld.%0*lld", sign, n / unit, decimals, n % unit);
    return t;
}

NumberText epoch_text(double epoch) {
    NumberText t = number_text(epoch, epoch < 10 ? 2 : 1);
    size_t n = strlen(t.s);
    while (t.s[n - 1] == '0') n--;
    t.s[t.s[n - 1] == '.' ? n - 1 : n] = '\0';
    return t;
}

NumberText power_text(int n) {
    static const char *const digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    NumberText t;
    int size = n < 0 ? -n : n;
    ASSERT(size < 1000, "10 to the %d", n);
    snprintf(t.s, sizeof t.s, "10%s%s%s%s", n < 0 ? "⁻" : "", size >= 100 ? digits[size / 100] : "",
             size >= 10 ? digits[size / 10 % 10] : "", digits[size % 10]);
    return t;
}

NumberText value_text(double v, int digits) {
    int exponent = v < 0 || v > 0 ? (int)floor(log10(fabs(v))) : 0;
    if (exponent >= -3 && exponent < 6)
        return number_text(v, exponent < digits ? digits - 1 - exponent : 0);
    NumberText t, mantissa = number_text(v / pow(10, exponent), digits - 1);
    snprintf(t.s, sizeof t.s, "%.20s×%.20s", mantissa.s, power_text(exponent).s);
    return t;
}

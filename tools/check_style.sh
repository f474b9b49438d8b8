#!/bin/sh
# Checks what a compiler does not: layers (which folder may include which), the names libmae.so
# exports, forbidden calls, and layout where .clang-format and clang-format are there. Prints every
# violation; exit status 1 when there is one. Usage: tools/check_style.sh [LIBMAE.SO]
cd "$(dirname "$0")/.." || exit 1
library=$1
found=$(mktemp) || exit 1
trap 'rm -f "$found"' EXIT

sources() {
    for folder in "$@"; do
        [ -d "$folder" ] && find "$folder" -name '*.[ch]'
    done | sort
}

# A file may include its own folder and lower layers. Kernels of different devices may share
# kernels/, which is their own folder. The command line and the examples see mae.h and their own
# folder only.
check_layers() {
    sources src cli examples include | while read -r file; do
        awk -v file="$file" '
        BEGIN {
            layer["base"] = 0
            layer["options"] = layer["kernels"] = layer["formats"] = 1
            layer["data"] = layer["graph"] = layer["dist"] = 2
            layer["draw"] = layer["model"] = 3
            layer["checkpoint"] = layer["train"] = 4
            layer["infer"] = layer["export"] = 5
            layer["run"] = 6
            layer["jobs"] = 7
            n = split(file, part, "/")
            inside = part[1] == "src"
            home = inside && n > 2 ? part[2] : ""
            own = home == "" ? 8 : (home in layer ? layer[home] : -1)
            if (own < 0) print file ": folder " home " has no layer; give it one in tools/check_style.sh"
        }
        /^[ \t]*#[ \t]*include[ \t]*"/ {
            split($0, quoted, "\"")
            target = quoted[2]
            there = target
            sub(/\/.*/, "", there)
            place = file ":" FNR ": "
            if (target ~ /(^|\/)\.\.\//)
                print place "includes " target "; paths start at src/"
            else if (!inside) {
                if (target ~ /\// || target ~ /^mae_/)
                    print place "includes " target "; only mae.h is visible here"
            } else if (target == "mae.h") {
                # includes nothing of ours
            } else if (there == target) {
                if (home != "") print place "includes " target "; write the path from src/"
            } else if (!(there in layer))
                print place "includes " target ", which has no layer"
            else if (there != home && layer[there] >= own)
                print place home " (layer " own ") includes " target " (layer " layer[there] ")"
        }' "$file"
    done
}

# Comments and strings are blanked first: they may well name what must not be called.
check_calls() {
    sources src cli examples include tests bench tools | while read -r file; do
        awk -v file="$file" '
        function blank(line,    out, c, i, two, n) {
            out = ""
            n = length(line)
            for (i = 1; i <= n; i++) {
                c = substr(line, i, 1)
                two = substr(line, i, 2)
                if (comment) {
                    if (two == "*/") { comment = 0; i++ }
                } else if (quote != "") {
                    if (c == "\\") i++
                    else if (c == quote) quote = ""
                } else if (two == "/*") { comment = 1; i++; out = out " " }
                else if (two == "//") break
                else if (c == "\"" || c == "\047") { quote = c; out = out " " }
                else out = out c
            }
            quote = ""
            return out
        }
        {
            code = " " blank($0)
            if (match(code, /[^A-Za-z0-9_](strcpy|strcat|sprintf|vsprintf|atoi|atol|atof|system|gets|strtok)[ ]*\(/))
                print file ":" FNR ": forbidden call: " substr(code, RSTART + 1, RLENGTH - 2)
            if (file ~ /^src\// && file != "src/base/memory.c" &&
                match(code, /[^A-Za-z0-9_](malloc|calloc|realloc|aligned_alloc|posix_memalign|strdup|strndup|asprintf)[ ]*\(/))
                print file ":" FNR ": allocation outside base/memory: " substr(code, RSTART + 1, RLENGTH - 2)
            if (file ~ /^src\// && file != "src/base/status.c" &&
                match(code, /[^A-Za-z0-9_](printf|puts|putchar|perror|exit|_exit|abort)[ ]*\(/))
                print file ":" FNR ": the library neither prints nor exits: " substr(code, RSTART + 1, RLENGTH - 2)
        }' "$file"
    done
}

# Tabs and over-long lines, which need no clang-format to see. Bytes are counted as characters only
# in a UTF-8 locale; continuation bytes are dropped so that any locale does.
check_lines() {
    sources src cli examples include tests bench | while read -r file; do
        LC_ALL=C tr -d '\200-\277' <"$file" | LC_ALL=C awk -v file="$file" '
        length($0) > 100 { print file ":" FNR ": " length($0) " columns, 100 are allowed" }
        /\t/ { print file ":" FNR ": tab" }
        /[ \t]$/ { print file ":" FNR ": blank at the end of the line" }'
    done
}

check_exports() {
    [ -n "$library" ] || return 0
    nm -D --defined-only "$library" | awk -v library="$library" '
    $NF !~ /^mae_/ { print library ": exports " $NF }'
}

check_format() {
    # Other versions lay out a few lines differently.
    [ -f .clang-format ] && clang-format --version 2>/dev/null | grep -q "version 14" || return 0
    sources src cli examples include tests bench | while read -r file; do
        clang-format --dry-run --Werror "$file" >/dev/null 2>&1 || echo "$file: not as clang-format has it"
    done
}

{
    check_layers
    check_calls
    check_lines
    check_exports
    check_format
} >"$found"
cat "$found"
violations=$(wc -l <"$found")
echo "style: $((violations)) violations"
[ "$violations" -eq 0 ]

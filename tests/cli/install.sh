#!/bin/sh
# What the program writes for a machine it is installed on: manual pages and completions. Usage: sh
# install.sh PATH-OF-MAE (or MAE in the environment).
. "${0%/*}/language.inc"

has() { command -v "$1" >/dev/null 2>&1; }

# --- what is written by the program ---------------------------------------------------------------

commands=$("$mae" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p')
tiny="$(tiny_model 32 8 16 1 1) --threads 1 --workers 1 --batch 16 --warmup-epochs 1 --log-every 1"
data=synthetic:32x32x32

case_ 'a manual page for every command'
for c in '' $commands; do
    run 0 man $c
    out '^\.TH MAE'
    out '^\.SH EXIT STATUS'
    no_err
done
usage 'there is no command pretain; did you mean pretrain' man pretain
usage 'one page at a time' man knn eval
# Every option of the help is in the page, under its name.
"$mae" man finetune | sed -n 's/\\-/-/g; s/^\\fB\(--[a-z0-9-]*\)\\fR.*/\1/p' | sort >"$dir/in-page"
"$mae" finetune --help | sed -n 's/^  \(--[a-z0-9-]*\) .*/\1/p' | sort >"$dir/in-help"
same "$dir/in-page" "$dir/in-help"
[ "$(wc -l <"$dir/in-page")" -gt 50 ] || wrong 'the page of finetune has too few options'
end

# keys FILE: the keys of its objects, sorted; fields COMMAND FILE: those that the page explains.
keys() { tr ',{' '\n\n' <"$1" | sed -n 's/^ *"\([a-z0-9_]*\)":.*/\1/p' | sort -u; }
fields() {
    "$mae" man "$1" | sed -n "/^\.SH FIELDS OF $2/,/^\.SH E\|^\.SH FIELDS OF SUMMARY/s/^.fB\([a-z].*\).fR\$/\1/p" |
        tr -d ' ' | tr ',' '\n' | grep -v -x -e message -e changes | sort -u
}

case_ 'the manual explains the fields of a run'
run 0 pretrain --data $data --out "$dir/pre" $tiny --epochs 1 --quiet
# shellcheck disable=SC2086
run 0 finetune --data $data --val $data --accept-overlap --init none --model vit_tiny --image-size 32 --patch 8 \
    --embed-dim 16 --depth 1 --heads 1 --threads 1 --workers 1 --batch 16 --epochs 1 --log-every 1 \
    --out "$dir/fine" --quiet
for c in pretrain finetune; do
    [ $c = pretrain ] && made=$dir/pre || made=$dir/fine
    keys "$made/log.jsonl" >"$dir/keys"
    fields $c LOG.JSONL >"$dir/fields"
    diff "$dir/keys" "$dir/fields" >"$dir/diff" || wrong "log.jsonl of $c: $(tr '\n' ' ' <"$dir/diff")"
    keys "$made/summary.json" >"$dir/keys"
    fields $c SUMMARY.JSON >"$dir/fields"
    diff "$dir/keys" "$dir/fields" >"$dir/diff" || wrong "summary.json of $c: $(tr '\n' ' ' <"$dir/diff")"
done
end

case_ 'words to complete'
# words EXPECTED WORD...: the candidates are these.
words() {
    expected=$1
    shift
    run 0 completion words "$@"
    got=$(cut -f 1 "$dir/out" | tr '\n' ' ')
    [ "$got" = "$expected${expected:+ }" ] || wrong "mae completion words $*: $got"
}
words pretrain pre
words 'pretrain probe plan' help p
words 'pretrain finetune probe' plan ''
words --tune-blocks plan finetune --tune
words '' plan pretrain --tune
words --model pretrain --mo
words 'vit_small' pretrain --model vit_s
words 'vit_small' pretrain --model = vit_s
words '--model=vit_small' pretrain --model=vit_s
words --no-strict knn --no-str
words '' knn --data ''
words '' nonsense ''
words official convert in out --to of
usage 'write: mae completion' completion
usage 'write: mae completion' completion tcsh
end

if has bash; then
    case_ 'completion in bash'
    cat >"$dir/complete.bash" <<'EOF'
source <("$1" completion bash)
complete -p mae >/dev/null || exit 1
for line in 'pre' 'pretrain --mo' 'pretrain --mask = g'; do
    COMP_WORDS=("$1" $line) COMP_CWORD=$(wc -w <<<"$line")
    _mae "$1"
    echo "${COMPREPLY[*]}"
done
EOF
    got=$(bash "$dir/complete.bash" "$mae" | tr '\n' ' ')
    [ "$got" = 'pretrain --model grid ' ] || wrong "bash completes to: $got"
    end
else
    skip 'completion in bash' 'no bash'
fi

for shell in zsh fish; do
    if has $shell; then
        case_ "completion in $shell"
        run 0 completion $shell
        $shell -n "$dir/out" 2>"$dir/err" || wrong "$shell: $(head -n 1 "$dir/err")"
        end
    else
        skip "completion in $shell" "no $shell"
    fi
done

finish install

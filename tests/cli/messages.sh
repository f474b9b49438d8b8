#!/bin/sh
# No message names an option that does not exist. Usage: sh messages.sh PATH-OF-MAE (or MAE in the
# environment); the sources lie two folders above this script.
. "${0%/*}/language.inc"

top=${0%/*}/../..
word='--[a-z][a-z0-9-]*'

# named FILE...: options in the texts of sources, a line each.
named() {
    cat "$@" | grep -v '^ *\*' | sed -n 's/[^"]*\("[^"]*"\)[^"]*/\1 /gp' | grep -o -e "$word" |
        sort -u
}

known() { for c; do "$mae" $c --help; done | grep -o -e "$word" | sort -u; }

# expect NAME FILES COMMANDS: the texts of FILES name options that some of COMMANDS have.
expect() {
    # shellcheck disable=SC2086 # lists of words
    (cd "$top" && ls $2) >/dev/null 2>&1 || wrong "$1: not all of these files are there: $2"
    # shellcheck disable=SC2086
    known $3 >"$dir/known" && (cd "$top" && named $2) >"$dir/named"
    printf '%s\n' --name --version --config --help >>"$dir/known" # how options are written; the program's own
    sort -u -o "$dir/known" "$dir/known"
    unknown=$(comm -23 "$dir/named" "$dir/known" | tr '\n' ' ')
    [ -z "$unknown" ] || wrong "$1 names options that are none: $unknown"
}

case_ 'messages name options that exist'
commands=$("$mae" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p')
expect 'a source' 'src/*.c src/*/*.c src/*/*/*.c cli/*.c' "$commands"
expect 'pre-training' 'src/jobs/pretrain*.c src/jobs/init.c src/train/masked_batch.c src/train/pca.c' pretrain
expect 'a run' 'src/run/run*.c src/run/changes.c cli/cmd_train.c' 'pretrain finetune probe'
expect 'a classifier' 'src/jobs/finetune.c src/jobs/probe.c src/jobs/supervised*.c src/jobs/init.c' 'finetune probe'
expect 'evaluation' 'src/jobs/eval.c cli/cmd_eval.c' eval
expect 'nearest neighbours' 'cli/cmd_knn.c' knn
expect 'features' 'src/infer/session.c src/jobs/features.c cli/cmd_features.c' 'features knn'
expect 'reconstruction' 'src/jobs/reconstruct.c cli/cmd_reconstruct.c' reconstruct
end

finish messages

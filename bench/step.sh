#!/bin/sh
# bench/step.sh [MAE]: whole training steps beside the FMA peak of the same run, as in SPEED.md.
set -eu
mae=${1:-build/mae}
"$mae" bench step --model vit_base --batch 32 --repetitions 5 --json
"$mae" bench step --model vit_tiny --image-size 32 --patch 4 --batch 128 --repetitions 9 --json

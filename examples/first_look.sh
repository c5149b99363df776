#!/bin/sh
# From one clip to a look of your own, with a glance at every step. Stop it and start it again whenever you like; delete
# bad pictures from the dataset, and the next start trains without them.
#
#   sh examples/first_look.sh look.mp4 clip.mp4
set -eu
look="$1"
clip="$2"
name="$(basename "${look%.*}")"
out="$(basename "${clip%.*}").$name"

vidtrans make-dataset "$look" --pairing sketch -o "$name.dataset"
vidtrans sheet "$name.dataset" -o "$name.pairs.png" --overwrite        # look it over
vidtrans train "$name.dataset" -o "$name.safetensors" --minutes 10 --overwrite
vidtrans try "$clip" --model "$name" -o "$out.try.png" --overwrite      # what strength, lines and size would do
vidtrans stylize "$clip" --model "$name" -o "$out.mp4" --overwrite
vidtrans compare "$clip" "$out.mp4" --input "$name" -o "$out.compare.mp4" --overwrite

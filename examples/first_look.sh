#!/bin/sh
# From one clip to a look of your own, with a glance at every step. Stop it and start it again whenever you like.
#
#   sh examples/first_look.sh look.mp4 clip.mp4
set -eu
look="$1"
clip="$2"
name="$(basename "${look%.*}")"

vidtrans make-dataset "$look" --pairing sketch -o "$name.dataset"
vidtrans sheet "$name.dataset" -o "$name.pairs.png"         # look it over, delete bad pictures, start again
vidtrans train "$name.dataset" -o "$name.safetensors" --minutes 10
vidtrans try "$clip" --model "$name" -o "$name.try.png"      # what strength, lines and size would do
vidtrans stylize "$clip" --model "$name" --dry-run           # how long, how much disk
vidtrans stylize "$clip" --model "$name" -o "$name.mp4"
vidtrans compare "$clip" "$name.mp4" --input "$name" -o "$name.compare.mp4"

#!/bin/sh
# The moving picture of the README: a clip, what a model sees of it, and the model's picture, painted in oil. It needs an ffmpeg program, to scale. The
# README's is made from the scene and the model that ship.
#
#   sh examples/moving_picture.sh vidtrans/assets/friday.mp4 flower moving.gif
set -eu
clip="$1"
model="$2"
result="$3"
part="--end 3s --fps 8"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

# shellcheck disable=SC2086
vidtrans stylize "$clip" --model identity $part --filter "scale=280:-2" -o "$folder/before.mp4"
# shellcheck disable=SC2086
vidtrans stylize "$clip" --model "$model" --size source --strokes oil --strokes-size 0.5 $part --filter "scale=280:-2" -o "$folder/after.mp4"
vidtrans compare "$folder/before.mp4" "$folder/after.mp4" --input "$model" --label before --label after \
    -o "$folder/both.mp4"
vidtrans stylize "$folder/both.mp4" --model identity -o "$result" --overwrite

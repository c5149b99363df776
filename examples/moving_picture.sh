#!/bin/sh
# The moving picture of the README: a clip, its lines, and the clip as a model sees it, painted in oil, in the light of the clip. It needs an ffmpeg program, to
# scale. The README's is made from friday.mp4 of the MDN interactive examples (CC0-1.0) and the model that ships.
#
#   sh examples/moving_picture.sh friday.mp4 flower moving.gif
set -eu
clip="$1"
model="$2"
result="$3"
part="--start 1s --end 4s --fps 8"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

# shellcheck disable=SC2086
vidtrans stylize "$clip" --model identity $part --filter "scale=280:-2" -o "$folder/before.mp4"
# shellcheck disable=SC2086
vidtrans stylize "$clip" --model "$model" --strokes oil --keep-shading 0.6 $part --filter "scale=280:-2" -o "$folder/after.mp4"
vidtrans compare "$folder/before.mp4" "$folder/after.mp4" --input "$model" --label before --label after \
    -o "$folder/both.mp4"
vidtrans stylize "$folder/both.mp4" --model identity -o "$result" --overwrite

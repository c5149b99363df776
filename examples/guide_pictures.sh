#!/bin/sh
# The pictures of the site's guides that commands draw from what ships: run it in an empty folder, with the path of a checkout.
# batch-report.jpg and self-test.jpg are pictures of the report in renders/ and of what "vidtrans doctor" prints, in a browser.
# Some minutes on two CPU cores. The last line writes them to docs/images/guides as small JPEG files.
#
#   sh ../vidtrans/examples/guide_pictures.sh ../vidtrans
set -eu
root="$1"
cp "$root/vidtrans/assets/flower.mp4" "$root/vidtrans/assets/frames/astronaut.jpg" .
cp "$root/vidtrans/assets/frames/landscape.jpg" "$root/vidtrans/assets/frames/coffee.jpg" "$root/vidtrans/assets/frames/rocket.jpg" .
vidtrans stylize flower.mp4 --look pencil --end 12 --codec png -o drawn

# datasets, pairings, unpaired
vidtrans make-dataset flower.mp4 --preset fast -o flower.dataset
vidtrans sheet flower.dataset -n 4 -o datasets.png
vidtrans sheet flower.mp4 --pairing edges --pairing sketch --pairing regions -n 3 -o pairings-network.png
vidtrans make-dataset flower.mp4 --unpaired drawn/ --size 128 -o domains.dataset
vidtrans sheet domains.dataset -n 4 -o unpaired.png

# training
vidtrans train flower.dataset --minutes 1 -o taught.safetensors
cp taught.train/training.png training.png

# looks, settings, chains, grades
vidtrans try flower.mp4 --vary look=landscape.jpg,coffee.jpg,rocket.jpg --at 1s --at 4s -o looks-at-once.png
vidtrans try astronaut.jpg --look landscape.jpg --vary look=coffee.jpg --vary stroke-size=0,1 --vary keep-colour=1 -o looks.png
python "$root/examples/sheet_of_media.py" painters.png astronaut.jpg
vidtrans try flower.mp4 --look oil --vary strokes.size=2.5 --vary strokes.looseness=3 --at 2s -o painters-directing.png
vidtrans try flower.mp4 --model flower --vary pairing.density=0.05,0.12,0.3 --at 1s --at 4s -o settings.png
vidtrans stylize flower.mp4 --look pencil --start 40 --end 80 -o drawing.mp4
vidtrans grade flower.mp4 landscape.jpg --unpaired -o coloured.safetensors
vidtrans stylize flower.mp4 --model coloured --start 40 --end 80 -o coloured.mp4
vidtrans stylize flower.mp4 --look landscape.jpg --start 40 --end 80 -o painted.mp4
vidtrans stylize drawing.mp4 --model coloured -o chain.mp4
vidtrans stylize flower.mp4 --model identity --start 40 --end 80 -o source.mp4
vidtrans compare source.mp4 coloured.mp4 --label source --label graded -o grades.png
vidtrans compare source.mp4 drawing.mp4 chain.mp4 --label source --label "a medium" --label "and a grade" -o rendering-chains.png
vidtrans compare source.mp4 coloured.mp4 painted.mp4 --label source --label "its colours" --label "and its strokes" -o unpaired-scores.png

# key frames, drafts, what a model sees
vidtrans keyframes flower.mp4 -o keys && cp keys/sheet.png keyframes.png
vidtrans stylize flower.mp4 --model flower -o full.mp4
vidtrans stylize flower.mp4 --model flower --draft 4 -o draft.mp4
vidtrans compare flower.mp4 full.mp4 draft.mp4 --label source --label "every frame" --label "--draft 4" -o speed.png
vidtrans compare flower.mp4 full.mp4 --input flower --label "RGB in" --label "RGB out" -o export.png

# a face that is kept: a matte, black where it is
python -c "from PIL import Image, ImageDraw as D, ImageFilter as F; m = Image.new('L', Image.open('astronaut.jpg').size, 255); D.Draw(m).ellipse((88, 6, 172, 118), fill=0); m = m.filter(F.GaussianBlur(5)); m.save('matte.png')"
vidtrans stylize astronaut.jpg --look oil -o whole.png
vidtrans stylize astronaut.jpg --look oil --mask matte.png -o kept.png
python "$root/examples/small_pictures.py" --beside looks-faces.png astronaut.jpg whole.png kept.png

# steadiness, codecs, media, batches
vidtrans stylize flower.mp4 --look landscape.jpg --start 40 --end 80 --score -o scored.mp4
mv scored.score.png steadiness-measured.png
vidtrans stylize flower.mp4 --model identity --start 40 --end 60 --codec gif -o few-colours.gif
vidtrans compare source.mp4 few-colours.gif --label h264 --label "gif: 256 colours" -o codecs.png
vidtrans sheet flower.mp4 -n 8 -o media.png
mkdir -p clips && cp flower.mp4 clips/a.mp4 && cp source.mp4 clips/b.mp4
vidtrans stylize clips/ --look oil --jobs 2 -o renders && vidtrans batch report renders

# drawings, and the frames made between them
python -c "import sys; sys.path.insert(0, '$root'); from pathlib import Path; from benchmarks.drawings import film, fish, grass; from vidtrans.video.images.picture import write_picture as w; [(Path(f.__name__).mkdir(), [w(Path(f.__name__) / f'{n:03}.png', p) for n, p in enumerate(film(f)[8:19:2])]) for f in (fish, grass)]"
for film in fish grass; do vidtrans retime $film --set rendering.picture_fps=12 --fps 24 --codec png -o $film-24; done
for film in fish grass; do python "$root/examples/small_pictures.py" --beside $film.png $film-24/000004.png $film-24/000005.png $film-24/000006.png $film-24/000007.png $film-24/000008.png; done
python -c "from PIL import Image; a, b = (Image.open(n + '.png') for n in ('fish', 'grass')); s = Image.new('RGB', (a.width, a.height + b.height)); s.paste(a); s.paste(b, (0, a.height)); s.save('time.png')"
rm fish.png grass.png

python "$root/examples/small_pictures.py" "$root/docs/images/guides" ./*.png

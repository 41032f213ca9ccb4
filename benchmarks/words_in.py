"""How well words are taken in, and what that costs: `python -m benchmarks.words_in`.

    python -m benchmarks.words_in --only speech      # word errors, clean and in noise; inventions
    python -m benchmarks.words_in --only text        # lines in drawn pictures
    python -m benchmarks.words_in --only cost        # 720p with speech and without; Linux only

All of it is made here: speech by eSpeak NG, whose voices are harder to understand than people, and
lines drawn in the fonts of DejaVu. So the figures say what changes between versions, and
nothing of how well a person in the street is understood. `--only clips` listens to recordings of a
folder, FILE.wav beside FILE.txt.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.memory import watched
from benchmarks.table import ffmpeg
from feature_extract.networks.lettering import LetterReader, Picture
from feature_extract.networks.speech import RATE, Block, Listener, Sound, find_model
from tests.support.speech import in_noise, music, save_wav, speak, tones, word_errors, words_of
from vmr.cli.samples import build_samples

VOICES = ("en-us", "en-us+f3", "en-gb-x-rp", "en-gb-scotland")
TEXT = """
Thank you all for coming to the meeting this morning. The train to the city leaves at half past
nine from platform four. My sister bought a red bicycle for the birthday of her daughter. We walked
along the river until it began to rain. Could you please close the window, it is getting cold in
here. The old man opened the door and looked into the garden. Two dogs are playing with a yellow
ball on the beach. She cut the onions, put them into the pan, and added some salt. The football
match ended with three goals in the last ten minutes. Turn left at the next corner and follow the
road to the church. I have never seen so many people in this museum. Put the camera on the table and
press the button on the right. The boat was loaded with apples, bread and fresh water. Nobody knew
why the teacher had left the school so early. Happy birthday to you, said the children, and blew
out the candles. The mountain was covered with snow, and the sky was blue.
"""
LINES = (
    "Emergency exit",
    "Platform 9 to London",
    "Happy birthday Anna",
    "CLOSED ON SUNDAYS",
    "Speed limit 50",
    "Chapter two: the river",
    "Please keep off the grass",
    "Total 42.50",
    "Meeting room B12",
    "No smoking",
)
HEIGHTS = (14, 18, 24, 32, 44)
KINDS = ("plain", "low contrast", "blurred", "moving", "over a photograph")


def main() -> None:
    """Print one table for each part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.words_in", description=__doc__)
    parser.add_argument("--only", choices=("speech", "text", "cost", "clips"))
    parser.add_argument("--model", default="tiny.en", help="as for `index --speech`")
    parser.add_argument("--clips", type=Path, help="a folder of FILE.wav and FILE.txt")
    parser.add_argument("--seconds", type=float, default=300.0, help="of each film of `cost`")
    options = parser.parse_args()
    if options.only in (None, "speech"):
        speech(options.model)
    if options.only in (None, "text"):
        text()
    if options.only in (None, "cost"):
        cost(options.seconds)
    if options.only == "clips":
        clips(options.model, options.clips)


def heard(listener: Listener, sound: Sound) -> tuple[list[Block], float]:
    """What is heard, and processor seconds for each second of sound."""
    began = time.process_time()
    blocks = list(listener.listen(np.array_split(sound, 20)))
    return blocks, (time.process_time() - began) * RATE / len(sound)


def speech(name: str) -> None:
    """Word errors of every voice, clean and in noise; times of words; words where nobody speaks."""
    listener = Listener(find_model(name))
    text, late = " ".join(TEXT.split()), []
    spoken = {voice: speak(text, voice=voice) for voice in VOICES}
    print("| speech | word errors | kept sentences | processor time of the sound's length |")
    print("|---|---|---|---|")
    for label, decibels in (("clean", None), ("in noise, 10 dB", 10.0), ("in noise, 0 dB", 0.0)):
        wrong = said = count = 0
        costs = []
        for voice, (samples, words) in spoken.items():
            noisy = samples if decibels is None else in_noise(samples, decibels=decibels)
            blocks, seconds = heard(listener, noisy)
            spans = [span for block in blocks for span in block.spans]
            found = words_of(" ".join(span.text for span in spans))
            errors = word_errors(words_of(text), found)
            wrong, said, count = wrong + errors, said + len(words_of(text)), count + len(spans)
            costs.append(seconds)
            if decibels is None:
                late += off_times(words, [word for span in spans for word in span.words])
                print(f"  {voice}: {errors / len(words_of(text)):.1%}", flush=True)
        share = statistics.median(costs)
        print(f"| {label} | {wrong / said:.1%} | {count} | {share:.3f} |", flush=True)
    late.sort()
    print(f"words begin within {late[len(late) // 2]:.2f} s of their time (median), ", end="")
    print(f"{late[len(late) * 9 // 10]:.2f} s (90 %), of {len(late)} words heard right")
    rng = np.random.default_rng(0)
    nobody = {
        "silence": np.zeros(120 * RATE, np.float32),
        "white noise": rng.normal(0, 0.2, 120 * RATE).astype(np.float32),
        "hum and clicks": hum(rng, 120),
        "tones and a siren": tones(120),
        "made-up music": np.concatenate([music(60, seed=seed) for seed in (1, 2)]),
    }
    for label, sound in nobody.items():
        blocks, seconds = heard(listener, sound)
        invented = sum(len(span.words) for block in blocks for span in block.spans)
        print(f"| {label}, 120 s | {invented} words | | {seconds:.4f} |", flush=True)


def hum(rng: np.random.Generator, seconds: int) -> Sound:
    """Mains hum with clicks at random times."""
    sound = 0.2 * np.sin(2 * np.pi * 50 * np.arange(seconds * RATE) / RATE)
    for at in rng.integers(0, len(sound) - 200, 3 * seconds):
        sound[at : at + 200] += rng.normal(0, 0.5, 200)
    return np.clip(sound, -1, 1).astype(np.float32)


def off_times(said: Sequence[tuple[float, float, str]], heard: Sequence[object]) -> list[float]:
    """By how many seconds words that occur once each, said and heard, begin beside their time."""
    truth = [(words_of(text), start) for start, _, text in said]
    found = [(words_of(word.text), word.start) for word in heard]  # type: ignore[attr-defined]
    once = Counter(str(name) for name, _ in truth), Counter(str(name) for name, _ in found)
    starts = {str(name): start for name, start in truth}
    return [
        abs(start - starts[str(name)])
        for name, start in found
        if once[0][str(name)] == 1 and once[1][str(name)] == 1
    ]


def clips(name: str, folder: Path) -> None:
    """Word errors of recordings whose words are known."""
    listener = Listener(find_model(name))
    for text in sorted(folder.glob("*.txt")):
        decoded = np.frombuffer(_decoded(text.with_suffix(".wav")), "<i2")
        raw = (decoded / 32768).astype(np.float32)
        blocks, seconds = heard(listener, raw)
        found = words_of(" ".join(span.text for block in blocks for span in block.spans))
        said = words_of(text.read_text(encoding="utf-8"))
        print(f"{text.stem}: {word_errors(said, found) / len(said):.1%}, {seconds:.3f}")


def _decoded(path: Path) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "raw")
        ffmpeg("-i", str(path), "-ac", "1", "-ar", str(RATE), "-f", "s16le", str(raw))
        return raw.read_bytes()


def fonts() -> list[Path]:
    """The TrueType fonts of this computer, at most twenty."""
    places = (Path("/usr/share/fonts"), Path("/Library/Fonts"), Path("C:/Windows/Fonts"))
    found = sorted(file for place in places if place.exists() for file in place.rglob("*.ttf"))
    return [file for file in found if "Math" not in file.name][:20]


def drawn(kind: str, height: int, font: Path, line: str, seed: int) -> Picture:
    """A 1280 x 720 picture with one line."""
    rng = np.random.default_rng(seed)
    base = np.full((720, 1280, 3), rng.integers(20, 80), np.float32)
    base += np.linspace(0, 40, 1280)[None, :, None]
    if kind == "over a photograph":
        base = photograph()
    picture = Image.fromarray(base.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    ink: tuple[int, ...] = (255, 255, 255)
    where = int(rng.integers(40, 600)), int(rng.integers(40, 640))
    if kind == "low contrast":
        ink = tuple(int(v) + 60 for v in base[where[1], where[0]])
    draw.text(where, line, ink, ImageFont.truetype(str(font), height))
    if kind == "blurred":
        picture = picture.filter(ImageFilter.GaussianBlur(1.5))
    if kind == "moving":  # a pan by six pixels while the shutter is open
        whole = np.asarray(picture, np.float32)
        whole = np.mean([np.roll(whole, step, axis=1) for step in range(6)], axis=0)
        picture = Image.fromarray(whole.astype(np.uint8))
    return np.asarray(picture)


def photograph() -> np.ndarray:
    """The cat of scikit-image, filling the picture."""
    from skimage import data

    cat = Image.fromarray(data.chelsea()).resize((1280, 851)).crop((0, 60, 1280, 780))
    return np.asarray(cat, np.float32) * 0.8


def text() -> None:
    """Lines found and right by height and kind, and finds where there is no text."""
    reader, faces = LetterReader(), fonts()
    print("| text of | " + " | ".join(f"{height} px" for height in HEIGHTS) + " |")
    print("|---|" + "---|" * len(HEIGHTS))
    began, pictures = time.process_time(), 0
    for kind in KINDS:
        cells = []
        for height in HEIGHTS:
            found = right = 0
            for seed, line in enumerate(LINES):
                font = faces[(seed * 7 + height) % len(faces)]
                lines = reader.lines(drawn(kind, height, font, line, seed))
                plain = ["".join(words_of(read.text)) for read in lines]
                found += bool(plain)
                right += "".join(words_of(line)) in plain
                pictures += 1
            cells.append(f"{found}/{right} of {len(LINES)}")
        print(f"| {kind}: found/right | " + " | ".join(cells) + " |", flush=True)
    seconds = (time.process_time() - began) / pictures
    print(f"{len(faces)} fonts; {seconds:.2f} processor seconds a picture")
    wrong = sum(bool(reader.lines(picture)) for picture in without_text())
    print(f"pictures without text in which some was found: {wrong} of {len(list(without_text()))}")


def without_text() -> Iterator[Picture]:
    """Pictures of scikit-image and noise."""
    from skimage import data

    rng = np.random.default_rng(0)
    for name in ("chelsea", "astronaut", "coffee", "rocket", "hubble_deep_field"):
        yield np.asarray(Image.fromarray(getattr(data, name)()).resize((1280, 720)))
    yield rng.integers(0, 256, (720, 1280, 3)).astype(np.uint8)


def cost(seconds: float) -> None:
    """Two films of 720p with speech all through, indexed with it and without."""
    with tempfile.TemporaryDirectory() as folder:
        films = [talking_film(Path(folder), number, seconds) for number in range(2)]
        walls, peaks, spent = [], [], []
        for extra in (("--no-speech",), ("--speech", "tiny.en")):
            library = Path(folder, extra[0].strip("-"))
            began, used = time.monotonic(), processor_seconds()
            peak = watched("index", *map(str, films), "--library", str(library), *extra)
            walls.append(time.monotonic() - began)
            spent.append(processor_seconds() - used)
            peaks.append(peak.all_bytes / 1e6)
            print(f"{extra[0]}: {walls[-1]:.0f} s, {spent[-1]:.0f} processor seconds, ", end="")
            print(f"{peaks[-1]:.0f} MB at most", flush=True)
        length = len(films) * seconds
        print(f"speech adds {(walls[1] - walls[0]) / length:.3f} of the sound's length ", end="")
        print(f"(processor time: {(spent[1] - spent[0]) / length:.3f})", end="")
        print(f" ({length:.0f} s), {walls[1] / walls[0]:.2f} x, {peaks[1] - peaks[0]:.0f} MB")


def processor_seconds() -> float:
    """Of all programs that were run from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def talking_film(folder: Path, number: int, seconds: float) -> Path:
    """The sample pictures in 720p over eSpeak's voice."""
    path, sound = folder / f"film{number}.mp4", folder / f"{number}.wav"
    spoken = speak(" ".join(TEXT.split()), voice=VOICES[number]).samples
    save_wav(sound, np.tile(spoken, int(seconds * RATE / len(spoken)) + 1))
    source = build_samples(folder / "samples")[number]
    loop = ["-stream_loop", "-1", "-i", str(source), "-i", str(sound), "-t", f"{seconds:.0f}"]
    coding = ["-vf", "scale=1280:720", "-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac"]
    ffmpeg(*loop, "-map", "0:v", "-map", "1:a", *coding, str(path))
    return path


if __name__ == "__main__":
    main()

"""What encoders of true size cost: random weights, the real layouts, no download.

    python -m benchmarks.encoders [--seconds 20] [--threads 1] [--film 60] [clip-b32 ...]

For each a line: pictures a second of the library's own batched forward pass and of the product's
way (decoder's pixels to unit vectors), measured in turns; the share of the one that the other gets;
milliseconds of a question; megabytes of weights. mobileclip2-s0 needs 'vmr[encoders]'.

Then, with `--film SECONDS`, what reading a film of 720p costs against that forward pass of a
picture a second, three times in turns: of the encoder's columns alone (what `rescan --encoder`
does), and of all that `index --encoder` does.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.table import drawn_film, looped, ratios
from feature_extract.encoders.encoder import BATCH, Encoder
from feature_extract.encoders.source import OPEN_CLIP, look_at
from feature_extract.encoders.torchvision_import import make_importable
from feature_extract.extract import Extractor, encode, row_times

REPEATS = 3  # of each film, and of what it is compared with
DRAWN = 10.0  # seconds of film that are drawn, and then repeated


def clip_b32(folder: Path) -> None:
    """ViT-B/32 as openai and laion have it."""
    make_importable()
    from transformers import CLIPConfig, CLIPModel

    from tests.support.tiny_encoders import word_tokenizer, write_preparation

    text = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    config = CLIPConfig(text_config=text, vision_config={"patch_size": 32}, projection_dim=512)
    CLIPModel(config).save_pretrained(folder)
    word_tokenizer(["dog"]).save_pretrained(folder)
    write_preparation(folder, 224)


def mobileclip2_s0(folder: Path) -> None:
    """MobileCLIP2-S0 by OpenCLIP's own table."""
    make_importable()
    import open_clip

    folder.mkdir()
    settings = open_clip.get_model_config("MobileCLIP2-S0")
    model = open_clip.create_model("MobileCLIP2-S0")
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    preparation = {"mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bilinear"}
    content = {"model_cfg": settings, "preprocess_cfg": preparation}
    (folder / OPEN_CLIP).write_text(json.dumps(content))


MAKERS: dict[str, Callable[[Path], None]] = {
    "clip-b32": clip_b32,
    "mobileclip2-s0": mobileclip2_s0,
}


def main() -> None:
    """Print a line for each encoder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoders")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MAKERS)}")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each encoder's pictures")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--film", type=float, default=0.0, metavar="SECONDS", help="of a film")
    options = parser.parse_args()
    names = options.names or list(MAKERS)
    if unknown := [name for name in names if name not in MAKERS]:
        parser.error(f"{unknown[0]}: none of {', '.join(MAKERS)}")
    torch.set_num_threads(options.threads)
    print("encoder | library's pictures/s | product's | share | ms a question | MB of weights")
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / name
            MAKERS[name](folder)
            print(f"{name} | {line(folder, options.seconds)}", flush=True)
            if options.film:
                drawn = drawn_film(Path(place) / "drawn.mp4", min(DRAWN, options.film))
                film = looped(drawn, Path(place) / "film.mp4", "-c", "copy", seconds=options.film)
                for what, taken in film_ratios(folder, film, options.film):
                    spread = f"{min(taken):.2f} to {max(taken):.2f}"
                    print(f"{name}: {what} / forward pass: {median(taken):.2f} ({spread})")


def line(folder: Path, seconds: float) -> str:
    """The figures of one encoder."""
    source = look_at(folder)
    eyes = Encoder(source, texts=False)
    pixels = np.random.default_rng(0).integers(0, 255, (BATCH, 224, 224, 3), dtype=np.uint8)
    if eyes.side > pixels.shape[1]:
        pixels = pixels.repeat(2, 1)[:, : eyes.side].repeat(2, 2)[:, :, : eyes.side]
    towers, dtype = eyes._towers, eyes._dtype
    prepared = torch.zeros(BATCH, 3, eyes.side, eyes.side, dtype=dtype)
    theirs, ours = [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        with torch.inference_mode():
            theirs.append(_seconds(lambda: towers.see(prepared)))
        ours.append(_seconds(lambda: eyes.see(pixels)))
    ears = Encoder(source, pictures=False)
    texts = [f"a dog on a beach {i}" for i in range(20)]
    asked = [_seconds(lambda text=text: ears.read([text])) for text in texts]  # type: ignore[misc]
    shares = [a / b for a, b in zip(theirs, ours, strict=True)]
    size = sum(path.stat().st_size for path in source.weights)
    return (
        f"{BATCH / median(theirs):.1f} | {BATCH / median(ours):.1f} | {median(shares):.2f} | "
        f"{1000 * median(asked):.0f} | {size / 1e6:.0f}"
    )


def film_ratios(folder: Path, film: Path, seconds: float) -> Iterator[tuple[str, list[float]]]:
    """Time of reading a film, by that of the library's forward pass of a picture a second."""
    eyes = Encoder(look_at(folder), texts=False)
    towers, count = eyes._towers, len(row_times(seconds)[0])
    prepared = torch.zeros(BATCH, 3, eyes.side, eyes.side, dtype=eyes._dtype)

    def forward() -> None:
        with torch.inference_mode():
            for first in range(0, count, BATCH):
                towers.see(prepared[: count - first])

    whole = Extractor(encoder=eyes)
    forward()  # warm
    yield "its columns of a film", ratios(REPEATS, lambda: encode(film, eyes), forward)
    yield "a film indexed", ratios(REPEATS, lambda: whole.extract(film), forward)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()

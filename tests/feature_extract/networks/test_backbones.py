"""torchvision's networks through the same call, where torchvision is; and a clear word otherwise.

Those that need it run the real networks with random weights, in a process of their own, where the
two operators that a CPU build of torch lacks are declared first: the networks never call them.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from feature_extract.networks.backbones import KINDS, Backbone, BackboneError, cached_weights
from feature_extract.networks.c3d import WeightsError
from tests.support.media import counter_video

INSTALLED = importlib.util.find_spec("torchvision") is not None
RUN = """
import sys, torch
from pathlib import Path
import importlib
library = torch.library.Library("torchvision", "FRAGMENT")
try:
    import torchvision
except RuntimeError:  # built for CUDA, beside torch for CPU
    for module in [m for m in sys.modules if m.startswith("torchvision")]:
        del sys.modules[module]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from torchvision.models import video
from feature_extract.networks.backbones import Backbone
from feature_extract.networks.c3d import WeightsError
from feature_extract.clips import PROTOCOLS, extract_clips
torch.set_num_threads(1)
name, film, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
torch.manual_seed(0)
state = getattr(video, name)(weights=None).state_dict()
torch.save(state, folder / "good.pth")
features = extract_clips(film, Backbone(name, folder / "good.pth"), PROTOCOLS["tacos"], name)
assert features.blocks == {name: features.rows.shape[1]}, features.blocks
assert len(features.rows) == 1 and (features.rows != 0).any()
torch.save(dict(list(state.items())[1:]), folder / "other.pth")
state[next(iter(state))].fill_(float("nan"))
torch.save(state, folder / "nan.pth")
for bad in ("other.pth", "nan.pth", "missing.pth"):
    try:
        Backbone(name, folder / bad)
    except WeightsError as error:
        print(bad, error)
    else:
        raise SystemExit(f"{bad} was taken")
print("done")
"""


@pytest.mark.skipif(not INSTALLED, reason="NOT RUN: torchvision is not installed here")
@pytest.mark.parametrize("name", KINDS)
def test_random_weights(name: str, tmp_path: Path) -> None:
    counter_video(tmp_path / "a.mp4", 1.0)
    done = subprocess.run(
        [sys.executable, "-c", RUN, name, tmp_path / "a.mp4", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.stdout.endswith("done\n"), done.stderr


def fake_torchvision(folder: Path, content: str) -> None:
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("raise RuntimeError('operator torchvision::nms does not exist')", "built for another"),
        ("raise ModuleNotFoundError('none')", "not installed"),
    ],
)
def test_torchvision_that_does_not_fit(
    content: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_torchvision(tmp_path, content)
    monkeypatch.syspath_prepend(tmp_path)
    for module in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(BackboneError, match=said) as caught:
        Backbone("r2plus1d_18", tmp_path / "none.pth")
    assert "\n" not in str(caught.value)


def test_names_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="r2plus1d_18, mvit_v2_s, swin3d_t"):
        Backbone("i3d", tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsError, match="--weights"):
        cached_weights("swin3d_t")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / KINDS["swin3d_t"].weights).touch()
    assert cached_weights("swin3d_t").is_file()

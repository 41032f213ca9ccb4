import numpy as np
import pytest
import torch

from feature_extract.appearance import SIZE, WIDTH, Appearance, load_network, normalised, pooled


@pytest.fixture(scope="module")
def network() -> Appearance:
    torch.set_num_threads(1)
    return Appearance(device="cpu")


def pictures(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def test_fast_network_is_the_published_one(network: Appearance) -> None:
    """Folding, padding and layout change the speed only: against the package's own network."""
    pixels = pictures()
    plain = load_network()
    with torch.inference_mode():
        batch = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
        expected = pooled(plain, normalised(batch, torch.float32)).numpy()
    if network._dtype is torch.float32:
        np.testing.assert_allclose(network(pixels), expected, atol=1e-4)
    else:
        np.testing.assert_allclose(network(pixels), expected, atol=0.05 * expected.max())


def test_weights_know_their_pictures() -> None:
    """A picture of a cat is called a cat (ImageNet 281..285): weights, colours and scale fit."""
    from skimage import data, transform

    cat = transform.resize(data.chelsea(), (SIZE, SIZE), preserve_range=True)
    plain = load_network()
    with torch.inference_mode():
        batch = torch.from_numpy(cat.astype(np.uint8)[None].transpose(0, 3, 1, 2).copy())
        logits = plain._fc(pooled(plain, normalised(batch, torch.float32)))
    assert 281 <= int(logits.argmax()) <= 285


def test_rows_do_not_depend_on_the_batch(network: Appearance) -> None:
    pixels = pictures(4)
    together = network(pixels)
    assert together.shape == (4, WIDTH)
    assert together.dtype == np.float32
    alone = np.concatenate([network(pixels[i : i + 1]) for i in range(4)])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert network(pixels[:0]).shape == (0, WIDTH)


def test_other_shapes_are_refused(network: Appearance) -> None:
    with pytest.raises(ValueError, match="224"):
        network(np.zeros((1, 112, 112, 3), np.uint8))

import numpy as np
import pytest
import torch

from feature_extract.networks.appearance import (
    BLOCKS,
    SIZE,
    WIDTH,
    Appearance,
    load_network,
    normalised,
    pooled,
)


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
    edges = np.cumsum([0, *BLOCKS.values()])
    for found, right in zip(
        np.split(network(pixels), edges[1:-1], axis=1),
        np.split(expected, edges[1:-1], axis=1),
        strict=True,
    ):
        if network._dtype is torch.float32:
            np.testing.assert_allclose(found, right, atol=1e-4 * np.abs(right).max())
        else:  # bfloat16 keeps three digits, and noise is the hardest picture there is
            lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(right, axis=1)
            assert ((found * right).sum(axis=1) / lengths).min() > 0.99


def test_blocks_are_means_of_what_they_say(network: Appearance) -> None:
    """The last layer as the package's own code has it; the colours of a two-coloured picture."""
    pixels = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    pixels[:, : SIZE // 2] = (255, 0, 0)
    plain = load_network()
    with torch.inference_mode():
        batch = normalised(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()), torch.float32)
        last = plain.extract_features(batch).mean(dim=(2, 3))
        row = pooled(plain, batch)[0]
    np.testing.assert_allclose(row[: BLOCKS["appearance"]], last[0], atol=1e-5)
    colours = row[-BLOCKS["colours"] :].reshape(3, 4, 4)
    np.testing.assert_allclose(colours[0, :2], 1, atol=1e-5)
    np.testing.assert_allclose(colours[0, 2:], 0, atol=1e-5)
    np.testing.assert_allclose(colours[1:], 0, atol=1e-5)


def test_weights_know_their_pictures() -> None:
    """A picture of a cat is called a cat (ImageNet 281..285): weights, colours and scale fit."""
    from skimage import data, transform

    cat = transform.resize(data.chelsea(), (SIZE, SIZE), preserve_range=True)
    plain = load_network()
    with torch.inference_mode():
        batch = torch.from_numpy(cat.astype(np.uint8)[None].transpose(0, 3, 1, 2).copy())
        row = pooled(plain, normalised(batch, torch.float32))
        logits = plain._fc(row[:, : BLOCKS["appearance"]])
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
    with pytest.raises(ValueError, match="260"):
        network(np.zeros((1, 112, 112, 3), np.uint8))

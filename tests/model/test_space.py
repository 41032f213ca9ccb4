"""Where the columns of a vector lie: parts that are joined come apart again, and none overlap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmr.model.retrieval import RetrievalModel
from vmr.model.space import Space

WIDTHS = st.builds(Space, st.integers(1, 9), st.integers(0, 5), st.integers(0, 4))


@given(WIDTHS, st.integers(1, 6))
def test_what_is_joined_comes_apart_again(space: Space, count: int) -> None:
    numbers = np.arange(count * space.width, dtype=np.float32).reshape(count, space.width)
    parts = space.shared(numbers), space.names(numbers), space.movements(numbers)
    assert [part.shape[1] for part in parts] == [
        space.shared_width,
        space.names_width,
        space.movements_width,
    ]
    np.testing.assert_array_equal(space.join(*parts, space.hub(numbers)), numbers)
    np.testing.assert_array_equal(space.looks(numbers), np.hstack(parts[:2]))
    np.testing.assert_array_equal(space.content(numbers), np.hstack(parts))


@given(WIDTHS)
def test_parts_are_views(space: Space) -> None:
    vector = np.zeros(space.width, np.float32)
    for part in (space.shared, space.names, space.movements, space.hub):
        part(vector)[...] += 1
    np.testing.assert_array_equal(vector, 1)


def test_the_hub_counts_for_neither_length_nor_likeness() -> None:
    space = Space(3, movements_width=1)
    vector = np.array([3, 0, 0, 4, 10], np.float32)
    assert space.unit(vector).tolist() == pytest.approx([0.6, 0, 0, 0.8, 2])
    assert space.cosine(vector, vector * 2) == pytest.approx(1)
    assert space.cosine(vector, np.array([0, 1, 0, 0, 10], np.float32)) == pytest.approx(0)
    assert space.unit(np.zeros(5, np.float32)).tolist() == [0] * 5


def test_the_shipped_model_has_every_column() -> None:
    space = RetrievalModel.load().space
    assert min(space.shared_width, space.names_width, space.movements_width) > 0

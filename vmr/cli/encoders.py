"""`calibrate`: strength and verdict for the encoder of a library.

Heavy modules are imported inside the commands that need them, so that `--help` answers at once.
"""

import argparse
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from vmr.cli.console import DONE, Commands

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vmr.library.store import Library
    from vmr.model.retrieval import RetrievalModel
    from vmr.training.own_calibration import Fitted
    from vmr.training.own_orders import FittedOrders


FEWEST_ROWS = 30
"""Seconds of video that a calibration needs at least."""


def add_parsers(command: Commands) -> None:
    """Register the command."""
    calibrate = command(
        "calibrate", _calibrate, "Fit strength and verdict for the encoder of a library."
    )
    calibrate.add_argument("--json", action="store_true")


def _calibrate(options: argparse.Namespace) -> int:
    from vmr.library.encoders import chosen
    from vmr.library.store import Library
    from vmr.model.retrieval import RetrievalModel
    from vmr.search.model import basis_folder, basis_of, model_of, write_basis
    from vmr.training.own_calibration import fit
    from vmr.training.own_orders import fit_orders

    library = Library(options.library)
    choice = chosen(library)
    if choice is None:
        raise ValueError(
            f"{library.name} is searched with what comes with the project, which is calibrated"
        )
    model = model_of(library)
    material = material_of(library, model)
    fitted = fit(model, *material)
    if fitted.calibration is None:
        raise ValueError(
            f"{choice.name}: nothing can be fitted, as it answers {fitted.right:.0%} of questions "
            "about packaged photographs right, and those with no higher scores than others; the "
            "library stays uncalibrated"
        )
    base = RetrievalModel.load()
    orders = fit_orders(model, *material, fitted.calibration)
    basis = basis_of(library, choice, base)
    basis = replace(basis, calibration=fitted.calibration, mix=orders.mix)
    rows = sum(video.rows for video in library.videos() if video.searchable)
    worth = {name: value for name, value in asdict(fitted).items() if name != "calibration"}
    worth |= {"orders": orders.right, "orders_error": orders.error}
    write_basis(basis_folder(library, choice), basis, rows, base, fit=worth)
    if options.json:
        print(json.dumps(worth))
        return DONE
    print(
        f"fitted on the library's {fitted.rows} rows and packaged photographs; of photographs left "
        f"out:\n{fitted.right:.0%} of questions are answered right, {fitted.verdicts:.0%} of "
        f"verdicts hold, strength is off by {fitted.error:.2f} on average\n{_said(orders)}"
    )
    return DONE


def _said(orders: "FittedOrders") -> str:
    """What became of questions in two parts, in a line."""
    said = f'of "a cat, then a rocket" and its like {orders.right:.0%} are answered right, '
    if orders.error is None:
        return said + "with no higher scores than others: their answers stay uncalibrated"
    return said + f"strength is off by {orders.error:.2f} on average"


def fit_for(library: "Library", model: "RetrievalModel") -> "Fitted":
    """A calibration of a library's model, and what it is worth.

    Raises:
        ValueError: the library has next to nothing to make timelines of.
    """
    from vmr.training.own_calibration import fit

    return fit(model, *material_of(library, model))


def material_of(
    library: "Library", model: "RetrievalModel"
) -> "tuple[list[NDArray[np.float32]], NDArray[np.float32]]":
    """What calibrations are fitted on: for each packaged photograph the rows (V, W) of its views,
    and (R, W) rows of the library.

    Raises:
        ValueError: the library has next to nothing to make timelines of.
    """
    import numpy as np
    from PIL import Image

    from vmr.search.model import looks_of
    from vmr.search.picture import PictureReader
    from vmr.training.own_calibration import views_of
    from vmr.training.packaged import PHOTOGRAPHS, picture_of

    footage = looks_of(library, model)
    if len(footage) < FEWEST_ROWS:
        raise ValueError(
            f"{library.name}: {len(footage)} s of video are too few to calibrate on; "
            f"index {FEWEST_ROWS} s or more"
        )
    reader, shown = PictureReader(model), []
    for photograph in PHOTOGRAPHS:
        with Image.open(picture_of(photograph)) as image:
            views = views_of(np.array(image.convert("RGB")))
        shown.append(np.stack([reader.row_of(Image.fromarray(view)) for view in views]))
    return shown, footage

"""The page over a library of videos: `python app.py --library DIR` prints its address."""

import gc

gc.disable()  # until all is imported: looking for garbage took a quarter of that time

from vmr.page.options import read_options
from vmr.page.server import run

gc.enable()

if __name__ == "__main__":
    run(read_options(None))

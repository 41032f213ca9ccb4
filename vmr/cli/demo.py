"""`python -m vmr demo`: the page over the sample library, which is made at the first start."""

import argparse
import sys
from pathlib import Path

from feature_extract.extract import extractor_fingerprint
from vmr.cli.console import DONE, REFUSED
from vmr.cli.library import ingest_files, report
from vmr.cli.samples import QUERIES, WORD_QUERIES, build_samples, build_station
from vmr.library.store import Library
from vmr.library.words import DEFAULT
from vmr.page.options import read_options
from vmr.page.server import run


def run_demo(options: argparse.Namespace) -> int:
    """Make what is missing of the sample library, and serve the page; `rest` holds its options."""
    library = Path(".demo") / "library"
    print("the sample library is made at the first start, which takes a minute", file=sys.stderr)
    videos = Path(".demo") / "videos"
    samples = Library(library)
    samples.adopt(extractor_fingerprint(), reindex=True)  # one of an earlier version is read again
    samples.words.want(speech=DEFAULT, text=True)
    jobs = ingest_files(samples, [*build_samples(videos), build_station(videos)])
    if report(jobs, []):
        return REFUSED
    offered = [part for query in (*QUERIES, *WORD_QUERIES) for part in ("--example", query)]
    run(read_options(["--library", str(library), *offered, *options.rest]))
    return DONE

"""What the page answers and is sent (views.py, requests.py), compared with what really goes by.

misfits({"word": "dog", "near": "cat"}, SuggestionView)     # ["near: 'cat' is no list"]
watching_script()       # for a browser tab: reading a key that no view has is an error of the page
"""

import json
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

from vmr.page import requests, views

CONTRACT: dict[str, tuple[type, type]] = {
    "search": (requests.SearchRequest, views.AnswerView),
    "like": (requests.LikeRequest, views.AnswerView),
    "picture": (requests.PictureRequest, views.AnswerView),
    "explain": (requests.ExplainRequest, views.ExplanationView),
    "curve": (requests.CurveRequest, views.CurveView),
    "transcript": (requests.TranscriptRequest, views.TranscriptView),
    "library": (requests.NoRequest, views.LibraryView),
    "preview": (requests.PreviewRequest, views.PreviewView),
    "add": (requests.AddRequest, views.AddedView),
    "rescan": (requests.NoRequest, views.RescanView),
    "rate": (requests.RateRequest, views.DoneView),
    "setup": (requests.NoRequest, views.SetupView),
    "set_up": (requests.SetUpRequest, views.SetupView),
    "act": (requests.ActRequest, views.DoneView),
}
"""What each function of the page's scripts is sent, and what it answers."""
Seen = set[tuple[str, str]]
"""(view, key) pairs"""


def misfits(value: object, kind: Any, seen: Seen | None = None, where: str = "") -> list[str]:
    """What of a JSON value is not as its type says, deep; each line names the place.

    Args:
        seen: keys of views that were met are added to it.
    """
    kind = bare(kind)
    if is_typeddict(kind):
        return list(_misfits_of_view(value, kind, seen, where))
    if get_origin(kind) is list:
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no list"]
        (item,) = get_args(kind)
        pairs = enumerate(value)
        return [line for i, one in pairs for line in misfits(one, item, seen, f"{where}[{i}]")]
    if get_origin(kind) is Literal:
        return [] if value in get_args(kind) else [f"{where}: {value!r} is not in {kind}"]
    if get_origin(kind) in (Union, UnionType):
        tries = [misfits(value, one, seen, where) for one in get_args(kind)]
        return min(tries, key=len)
    fits = type(value) in {float: (float, int), None: (NoneType,)}.get(kind, (kind,))
    return [] if fits else [f"{where}: {value!r} is no {kind.__name__}"]


def _misfits_of_view(value: object, view: Any, seen: Seen | None, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is no {view.__name__}"
        return
    kinds = get_type_hints(view)
    yield from (f"{where}.{key}: not in {view.__name__}" for key in value.keys() - kinds.keys())
    yield from (f"{where}.{key}: missing" for key in view.__required_keys__ - value.keys())
    for key in value.keys() & kinds.keys():
        if seen is not None:
            seen.add((view.__name__, key))
        yield from misfits(value[key], kinds[key], seen, f"{where}.{key}")


def bare(kind: Any) -> Any:
    """A type without its notes: Annotated and NotRequired."""
    while get_origin(kind) in (Annotated, NotRequired):
        kind = get_args(kind)[0]
    return kind


def all_views() -> list[Any]:
    """Every view of views.py, not the requests."""
    named = vars(views).items()
    return [kind for name, kind in named if name.endswith("View") and is_typeddict(kind)]


def keys_of(view: Any) -> set[str]:
    """Every key that a view may have."""
    return set(get_type_hints(view))


def schema(kind: Any) -> Any:
    """The keys of a type, deep, for watching.js: {"keys": ...}, {"items": ...}, or None."""
    kind = bare(kind)
    if is_typeddict(kind):
        return {"keys": {key: schema(value) for key, value in get_type_hints(kind).items()}}
    if get_origin(kind) is list:
        return {"items": schema(get_args(kind)[0])}
    if get_origin(kind) in (Union, UnionType):
        return next(filter(None, map(schema, get_args(kind))), None)
    return None


def watching_script() -> str:
    """What a tab runs before the page's scripts: `watched(server)` as watching.js makes it."""
    error = schema(views.ErrorView)["keys"]
    contract = {
        name: [schema(asked), {"keys": schema(view)["keys"] | error}]
        for name, (asked, view) in CONTRACT.items()
    }
    code = Path(__file__).with_name("watching.js").read_text(encoding="utf-8")
    return f"const CONTRACT = {json.dumps(contract)};\n{code}"

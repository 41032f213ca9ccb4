"""An encoder by its name: a short name, a repository of the hub, or a folder.

    encoder = open_encoder("clip-b32")                       # from the hub, or its cache
    encoder = open_encoder("weights/my-clip", texts=False)

Called where an encoder is named, and nowhere else: it brings torch and a library of encoders.
"""

from pathlib import Path

from feature_extract.encoders.encoder import Encoder
from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.hub import fetch
from feature_extract.encoders.known import KNOWN, MAIN, known_or_none
from feature_extract.encoders.source import Source, look_at


def open_encoder(
    name: str,
    *,
    folder: Path | None = None,
    digest: str = "",
    pictures: bool = True,
    texts: bool = True,
    device: str = "cpu",
    prompt: str = "",
) -> Encoder:
    """The encoder of this name, loaded.

    Args:
        folder: where its files were before; looked at first.
        digest: what they have to be; empty where any will do.
        pictures, texts: which of its towers are wanted.
        prompt: what a question becomes before it is read, with {} in its place; empty for what is
            usual with this encoder.

    Raises:
        EncoderError: there is none, it cannot be fetched or used, or it is another revision; or the
            prompt has no place for the question.
    """
    if prompt and prompt.count("{}") != 1:
        raise EncoderError(f"prompt {prompt!r}: needs one {{}}, where the question goes")
    try:
        source = _there(folder, name, digest) or find(name)
    except EncoderError as error:
        if not digest:
            raise
        raise EncoderError(f"{error}; or `rescan --encoder NAME` takes another one") from error
    if digest and source.digest != digest:
        raise EncoderError(
            f"{name}: another revision than the library was indexed with ({source.digest}, not "
            f"{digest}); restore it, or `rescan --encoder {name}` takes the new one"
        )
    prompt = prompt or (KNOWN[name].prompt if name in KNOWN else "{}")
    return Encoder(source, device=device, pictures=pictures, texts=texts, prompt=prompt)


def find(name: str) -> Source:
    """The files of an encoder, fetched where they are not here yet. Raises as `open_encoder`."""
    if not name.strip():
        raise EncoderError("which encoder? a short name, OWNER/NAME of the hub, or a folder")
    if "://" in name:
        owned = "/".join(name.split("://", 1)[1].strip("/").split("/")[-2:])
        raise EncoderError(f"{name}: an address; name the repository as OWNER/NAME ({owned})")
    folder = Path(name).expanduser()
    if folder.exists():
        return look_at(folder.absolute(), name)
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise EncoderError(f"{name}: no such folder")
    known = known_or_none(name)
    repository, revision = (known.repository, known.revision) if known else (name, MAIN)
    return look_at(fetch(repository, revision), name)


def _there(folder: Path | None, name: str, digest: str) -> Source | None:
    """What lies where it lay before, if that is what is wanted."""
    if folder is None or not folder.is_dir():
        return None
    source = look_at(folder, name)
    return source if source.digest == digest else None

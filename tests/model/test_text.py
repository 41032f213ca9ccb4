"""Words: tokens, vectors, unknown words, other sources of vectors."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
from gensim.models import KeyedVectors

from feature_extract.files import PREFIX
from feature_extract.text_form import normal_form
from vmr.model.text import MOST_SOURCES, QueryError, Words, WordsError, tokenize


@pytest.fixture(scope="module")
def words() -> Words:
    return Words.load()


def test_packaged_vectors_are_the_published_ones(words: Words) -> None:
    # First numbers of "the" in glove.6B.50d.txt, which anybody can check.
    published = [0.418, 0.24968, -0.41242, 0.1217, 0.34527]
    assert words.width == 50
    np.testing.assert_allclose(words.lookup(["the"])[0, :5], published, atol=1e-5)


Form = Literal["NFC", "NFD", "NFKC", "NFKD"]


@pytest.mark.parametrize("text", ["na\u00efve painting", "a pi\u00f1ata", "fa\u00e7ade of a house"])
@pytest.mark.parametrize("form", get_args(Form))
def test_a_word_is_the_same_in_whatever_bytes_it_comes(words: Words, text: str, form: Form) -> None:
    plain, other = words.query(text), words.query(unicodedata.normalize(form, text))
    assert (other.text, other.words, other.unknown) == (plain.text, plain.words, plain.unknown)


def test_what_cannot_be_seen_tears_no_word_apart() -> None:
    for hidden in "\u00ad\u200b\u200d\u200e\u2060\ufeff\ufe0f\U000e0041":
        assert tokenize(f"a b{hidden}all") == ["a", "ball"]
    assert tokenize("Ａ ｄｏｇ in \u0130stanbul, 3 ﬁsh") == [
        "a",
        "dog",
        "in",
        "istanbul",
        "3",
        "fish",
    ]


def test_the_normal_form_leaves_ascii_alone_and_is_reached_at_once() -> None:
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    assert all(normal_form(c) == c for c in characters[:128])
    forms = [normal_form(c) for c in characters]
    assert [normal_form(form) for form in forms] == forms


def test_a_home_that_cannot_be_written_is_named_and_so_is_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VMR_CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "own.txt").write_text("dog 1.0 0.0\ncat 0.0 1.0\n")
    with pytest.raises(WordsError, match=r"file.cache: .*cannot be written.*VMR_CACHE"):
        Words.load(tmp_path / "own.txt")


def test_tokens_are_lower_case_words_and_numbers() -> None:
    text = "A dog's ball, 3.5 metres (or 10,000)! Café-au-lait"
    assert tokenize(text) == ["a", "dog's", "ball", "3.5", "metres", "or", "10,000", "café-au-lait"]


def test_unknown_words_are_reported_and_left_out(words: Words) -> None:
    query = words.query("a frisbeeeee dog frisbeeeee")
    assert query.words == ("a", "dog")
    assert query.unknown == ("frisbeeeee",)
    assert query.vectors.shape == (2, 50)


def test_a_rare_word_may_be_a_slip_of_a_usual_one(words: Words) -> None:
    assert [words.meant(word) for word in ("motocycle", "runing")] == ["motorcycle", "running"]
    for fine in ("motorcycle", "unicycle", "retrievers", "dogg", "qqzzxx"):
        assert words.meant(fine) == ""


def test_compounds_are_read_as_their_parts(words: Words) -> None:
    assert words.query("the dog's ball").words == ("the", "dog", "ball")
    assert words.query("skate-jumping").words == ("skate", "jumping")
    assert words.query("t-shirt").words == ("t-shirt",)  # has a vector of its own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("   ", "no words"),
        ("?!", "no words"),
        ("qqzzxx", "qqzzxx"),
        ("a dog " * 400, "2399 characters; at most 2000"),
        ("собака бежит", "“собака” is in another script"),
        ("🐕🎾", "no words"),
        ("https://example.org/dog", "“https://example.org/dog” is an address"),
        ("for (i = 0; i < n; i++) { jump(dog[i]); }", "looks like code"),
        ("the a the", "“the a” alone shows nothing"),
        ("is something happening?", "shows nothing"),
        ("a qqzzxx", "no known word in the query .unknown: qqzzxx"),
    ],
)
def test_queries_that_cannot_be_answered_say_why(words: Words, text: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        words.query(text)


def test_near_words_for_typing_errors(words: Words) -> None:
    assert "bicycle" in words.near("bicycel")
    assert "frisbee" in words.near("frisbeee")
    assert words.near("qqzzxx") == []


def _write_glove(path: Path, *, header: bool, width: int) -> None:
    rows = {"dog": 1.0, "cat": -1.0, "ball": 0.5}
    lines = [" ".join([word, *[str(value)] * width]) for word, value in rows.items()]
    path.write_text("\n".join([f"{len(rows)} {width}"] * header + lines) + "\n")


@pytest.mark.parametrize("header", [False, True], ids=["glove", "word2vec"])
def test_own_vectors_of_any_width(
    words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: bool
) -> None:
    monkeypatch.setenv("VMR_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "glove.own.txt"
    _write_glove(file, header=header, width=300)
    own = Words.load(file)
    assert own.width == 300
    np.testing.assert_array_equal(own.query("cat").vectors, np.full((1, 300), -1.0))
    again = Words.load(file)
    assert again.fingerprint == own.fingerprint != words.fingerprint


def test_files_that_are_no_vectors_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMR_CACHE", str(tmp_path / "cache"))
    prose = tmp_path / "prose.txt"
    prose.write_text("It was a dark night.\nThe rain fell.\n")
    with pytest.raises(WordsError, match=r"prose\.txt"):
        Words.load(prose)
    with pytest.raises(WordsError, match="no such file"):
        Words.load(tmp_path / "absent.txt")
    assert not list((tmp_path / "cache").glob(f"{PREFIX}*"))


@pytest.mark.parametrize("damaged", ["words.txt", "words.kv.vectors.npy"])
def test_a_damaged_cache_is_removed_and_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str
) -> None:
    monkeypatch.setenv("VMR_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "glove.own.txt"
    _write_glove(file, header=False, width=4)
    Words.load(file)
    (cached,) = (tmp_path / "cache").glob(f"*/{damaged}")
    cached.write_bytes(b"garbage")
    with pytest.raises(WordsError, match="run it again"):
        Words.load(file)
    assert Words.load(file).width == 4


def test_vectors_are_memory_mapped(words: Words) -> None:
    assert isinstance(words._vectors, np.memmap)


def test_the_cache_is_gensims_own_and_is_read_without_gensim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMR_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "glove.own.txt"
    _write_glove(file, header=False, width=4)
    words = Words.load(file)
    (saved,) = (tmp_path / "cache").glob("*/words.kv")
    known = KeyedVectors.load(str(saved), mmap="r")
    assert isinstance(known.vectors, np.memmap)
    np.testing.assert_array_equal(words.lookup(known.index_to_key), known.vectors)
    code = (
        "import sys; from pathlib import Path; from vmr.model.text import Words; "
        "Words.load(Path(sys.argv[1])); print('gensim' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=120
    )
    assert said.stdout.strip() == "False"


def test_two_processes_may_fill_the_cache_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMR_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "glove.own.txt"
    _write_glove(file, header=False, width=4)
    code = (
        "import sys; from pathlib import Path; from vmr.model.text import Words; "
        "print(Words.load(Path(sys.argv[1])).width)"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [run.communicate(timeout=120)[0].strip() for run in runs] == ["4", "4"]


def test_only_the_sources_used_last_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of vectors that changes, or is tried once, stayed in the cache for ever."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("VMR_CACHE", str(cache))
    files = [tmp_path / f"glove.{number}.txt" for number in range(MOST_SOURCES + 1)]
    for number, file in enumerate([*files[:-1], files[0], files[-1]]):
        _write_glove(file, header=False, width=4)
        os.utime(file, (1, 1))  # so that it stays the same source
        Words.load(file)
        for folder in cache.glob(f"{file.stem}-*"):
            os.utime(folder, (number, number))  # clocks of file systems are coarse
    kept = {path.parent.name.rpartition("-")[0] for path in cache.glob("*/words.txt")}
    assert kept == {file.stem for file in files} - {files[1].stem}

"""Whether a question is asked in another language than the one that pictures are asked for in.

language_of("ein hund läuft am strand", rank)       # "German"
language_of("a dog at le mans", rank)               # None

By the little words that every sentence has, and by the letters: no model, and no guess where a
question has neither.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Final

from vmr.model.text import tokenize, word_set
from vmr.search.hearing import FUNCTION_WORDS

USUAL: Final = 15_000
"""Words up to this rank are English, or names that English knows."""
_LITTLE: Final = {
    "German": word_set("der das den dem und ein eine einen mit auf im ist nicht von zu am in"),
    "French": word_set("le la les un une et dans sur avec est de du au des qui pas elle deux"),
    "Spanish": word_set("el la los las un una con por que de del en hay se y al dos"),
    "Italian": word_set("il la gli un una con nel della che di sul alla dei per ed"),
    "Portuguese": word_set("um uma com em na os dos das pela não para ao de"),
    "Dutch": word_set("het een de van met op en niet naar aan uit zijn voor in"),
    "Polish": word_set("w z na się jest nie do przez po przy"),
    "Swedish": word_set("en ett och på som med är av till inte"),
}
_SHARED: Final = word_set("am a an as at by do he i in is it me no on or so to was")
"""Little words of English that other languages have, too."""
_SCRIPTS: Final = {
    "CYRILLIC": "Cyrillic",
    "GREEK": "Greek",
    "ARABIC": "Arabic",
    "HEBREW": "Hebrew",
    "DEVANAGARI": "Devanagari",
    "CJK": "Chinese or Japanese",
    "HIRAGANA": "Chinese or Japanese",
    "KATAKANA": "Chinese or Japanese",
    "HANGUL": "Korean",
    "THAI": "Thai",
}


def language_of(text: str, rank: Callable[[str], int | None]) -> str | None:
    """The name of the language, or of its letters, or several names where its little words are of
    several; None where it may be English.

    Args:
        rank: the place of a word among all words by frequency; None of an unknown one.
    """
    letters = [sign for sign in text if sign.isalpha()]
    scripts = Counter(_SCRIPTS.get(unicodedata.name(sign, "").split(" ")[0]) for sign in letters)
    script, count = scripts.most_common(1)[0] if scripts else (None, 0)
    if script and count > len(letters) / 2:
        return f"{script} letters"
    words = set(tokenize(text))
    if words & (FUNCTION_WORDS - _SHARED):
        return None
    little = {name: words & known for name, known in _LITTLE.items()}
    most = max(map(len, little.values()))
    names = [
        name
        for name, known in little.items()
        if len(known) == most and _is_of(known, words - known - _SHARED, rank)
    ]
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or None


def _is_of(little: set[str], others: set[str], rank: Callable[[str], int | None]) -> bool:
    """Whether little words of a language stand among words that are hardly English."""
    if not little - _SHARED or not others:
        return False
    rare = [word for word in others if (place := rank(word)) is None or place > USUAL]
    # Two little words say more than one, which may be part of a name.
    return len(rare) / len(others) > (0.5 if len(little) < 2 else 0.3)

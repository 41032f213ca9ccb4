"""The one form in which text is compared: questions, names, annotations, transcripts.

normal_form("nai\u0308ve")    # the same as "na\u00efve"
"""

import re
import unicodedata

# Unicode's Default_Ignorable_Code_Point, which `unicodedata` does not tell.
_IGNORABLE = re.compile(
    "[\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u202a-\\u202e"
    "\\u2060-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufff8"
    "\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff]"
)


def normal_form(text: str) -> str:
    """The same text in the one form in which text is compared: Unicode's NFKC, without characters
    that are not to be seen (soft hyphens, zero-width spaces, marks of direction). Plain ASCII stays
    as it is. macOS takes accents apart, phones type full-width letters, pages hide soft hyphens."""
    return text if text.isascii() else unicodedata.normalize("NFKC", _IGNORABLE.sub("", text))

"""Which words of DICOM's Body Part Examined mean a chest, in widely spoken languages.

The service and its edge to a PACS are separate programs, so each has its copy: app/intake/dicom/body_parts.py
and docker/orthanc/cxr_edge/body_parts.py. A test checks that they are equal. The file needs only the standard library.
"""

import unicodedata
from collections.abc import Iterable

# Word stems, in the form that ``plain`` gives: many languages add endings.
_CHEST = (
    "CHEST THORA TORAX TORAC TORAK THX CXR LUNG PULM "  # medical Latin and English; lungs in German, Swedish and Danish
    "BRUST BORST LONGEN BROST BRYST RINTAKEH KEUHKO "  # German, Dutch, Swedish, Danish and Norwegian, Finnish
    "PECHO PEITO POITRINE POUMON PETTO POLMON PLAMAN "  # Spanish, Portuguese, French, Italian, Romanian
    "PIERSIOW PLUC HRUDN PLICE PRSNI GRUDN LEGKI MELLKAS "  # Polish, Czech, Croatian, Russian in Latin, Hungarian
    "GOGUS AKCIGER DADA PARU NGUC "  # Turkish, Indonesian, Vietnamese
    "ГРУД ГРЪД ЛЕГК ЛЕГЕН ОГК ΘΩΡΑΚ ΠΝΕΥΜΟΝ "  # Russian, Bulgarian, Ukrainian, Greek
    "胸 肺 흉부 가슴 폐 صدر رئة سینه سینہ חזה ריאות छाती वक्ष বুক বক্ষ ทรวงอก หน้าอก ปอด"
)
# In many languages the names of the thoracic spine and the breastbone contain the chest.
_NO_CHEST = (
    "SPINE SPINAL VERTEB COLUM COLUN COLONN COLOAN RACHI RAQUI WIRBEL WERVEL RYGG RYGS KREG PATER GERINC OMURGA "
    "STERN BRUSTBEIN BORSTBEEN ПОЗВОН ХРЕБ ГРУДИН ΣΠΟΝΔΥΛ 椎 脊 胸骨 فقر עמוד שדרה"
)
_NO_PART = frozenset({"", "UNKNOWN", "UNDEFINED", "UNSPECIFIED", "NOTSPECIFIED", "OTHER", "NONE", "NA", "ANY"})
_LETTERS = str.maketrans({"Ł": "L", "Ø": "O", "Đ": "D", "İ": "I"})


def plain(text: str) -> str:
    """``text`` in a form for comparison: letters and digits only, in capitals, without accents."""
    parts = unicodedata.normalize("NFKD", text.upper().translate(_LETTERS))
    return unicodedata.normalize("NFC", "".join(part for part in parts if part.isalnum()))


CHEST = tuple(map(plain, _CHEST.split()))
NO_CHEST = tuple(map(plain, _NO_CHEST.split()))


def is_chest(part: str, further: Iterable[str] = ()) -> bool | None:
    """Whether a Body Part Examined is the chest; None where it names no body part.

    Args:
        further: more words that mean the chest.
    """
    named = plain(part)
    if named in _NO_PART:
        return None
    words = (*CHEST, *filter(None, map(plain, further)))
    return any(word in named for word in words) and not any(word in named for word in NO_CHEST)

"""Which names and hashtags are found in texts."""

import unicodedata

import pytest

from pamps.entities import MAX_RAW_TAG_LENGTH, MAX_TAG_LENGTH, find_entities, fold_tag

NAMES = {
    # Where a name ends.
    "@ana": "ana",
    "oi @ana oi": "ana",
    "@ana.": "ana",
    "@ana. Oi": "ana",
    "@ana...": "ana",
    "@ana- oi": "ana",
    "@ana\u2013oi": "ana",
    "@ana's": "ana",
    "@ana: oi": "ana",
    "@ana, @bia!": "ana bia",
    "@ana,@bia": "ana bia",
    "@ana\n@bia": "ana bia",
    "@ana/@bia": "ana",
    "@a1_": "a1_",
    "@_": "_",
    "@7": "7",
    f"@{'x' * 30}": "x" * 30,
    f"@{'x' * 31}": "",
    # Where it begins.
    ".@ana": "ana",
    "..@ana": "ana",
    "oi, .@ana": "ana",
    "(@ana)": "ana",
    '"@ana"': "ana",
    "¿@ana?": "ana",
    "olá!@ana": "ana",
    "😀@ana😀": "ana",
    "❤\ufe0f@ana❤\ufe0f": "ana",
    "\u200f@ana\u200f": "ana",
    "سلام @ana سلام": "ana",
    "#@ana": "ana",
    "@ #ana": "",
    # In any case, each once.
    "@Bia @ANA @bia": "bia ana",
    # What is not ASCII is no name.
    "@anaé": "",
    "@ana\u0301": "",
    "é@ana": "",
    "e\u0301@ana": "",
    "\u0928\u0940@ana": "",
    "五@ana": "",
    "@são": "",
    "@\u0430na": "",
    "＠ana": "",
    "@ａｎａ": "",
    # Within a word or an address.
    "@": "",
    "@ ana": "",
    "@@ana": "",
    "@@@ana": "",
    "@ana@": "",
    "_@ana": "",
    "/@ana": "",
    "-@ana": "",
    "+@ana": "",
    "1@ana": "",
    "ana@example.com": "",
    "ana.maria@example.com": "",
    "ana.@example": "",
    "ana+oi@example": "",
    "oi!@example.com": "",
    "@ana.com": "",
    "@ana.maria": "",
    "@ana-maria": "",
    "@ana@example.com": "",
    "@ana@example.com @bia": "bia",
    "mailto:ana@example.com": "",
    "https://example.com/@ana": "",
    "https://example.com/?q=@ana": "",
    "https://example.com/(@ana)": "",
    "https://@example/": "",
    "HTTPS://example.com/?@ana": "",
    "ssh://@example": "",
    "example.com/@ana": "",
    "https://example.com @ana": "ana",
    "https://example.com\u3000@ana": "ana",
    "@ana https://example.com": "ana",
    "@ana:https://example.com": "ana",
}


@pytest.mark.parametrize(("text", "names"), NAMES.items(), ids=map(ascii, NAMES))
def test_names(text, names):
    assert find_entities(text).usernames == names.split()


TAGS = {
    # Of any script.
    "#tag": "tag",
    "oi #tag oi": "tag",
    "#são_joão": "são_joão",
    "#sa\u0303o": "são",
    "#SÃO #são #sa\u0303o #SA\u0303O": "são",
    "#Straße #STRASSE": "strasse",
    "#ΣΊΣΥΦΟΣ #σίσυφος": "σίσυφοσ",
    "#ﬁm #ＦＩＭ": "fim",
    "＃tag ﹟outra": "tag outra",
    "#Москва": "москва",
    "#سلام": "سلام",
    "\u200f#سلام\u200f": "سلام",
    "#שָׁלוֹם": "שָׁלוֹם",
    "#हिन्दी": "हिन्दी",
    "#ภาษาไทย": "ภาษาไทย",
    "#日本語": "日本語",
    "#한국어 #\u1112\u1161\u11ab국어": "한국어",
    "#x\u0302\u0323": "x\u0323\u0302",
    "#𝐁𝐨𝐥𝐝": "bold",
    "#五": "五",
    "#km²": "km2",
    # Not only digits.
    "#1": "",
    "#2026": "",
    "#1\u0301": "",
    "#٣": "",
    "#½": "",
    "#1\ufe0f\u20e3": "",
    "#\ufe0f\u20e3": "",
    "#\ufe0f\u20e3tag": "",
    "#2026a": "2026a",
    "#a2026": "a2026",
    "#_": "_",
    "#2_0": "2_0",
    # Where it ends.
    "#tag.": "tag",
    "#tag's": "tag",
    "#tag-oi": "tag",
    "#c++": "c",
    "#tag😀": "tag",
    "#tag❤\ufe0f": "tag",
    "#tag1\ufe0f\u20e3": "tag1",
    "#tag\u200doi": "tag",
    "#tag\u200coi": "tag",
    "#tag\u3164": "tag",
    "#ta\u034fg": "ta",
    "#a#b": "a",
    "#a #b,#c\n#d": "a b c d",
    "#ana@bia": "ana",
    # Where it begins.
    "(#tag)": "tag",
    "-#tag": "tag",
    "😀#tag": "tag",
    "❤\ufe0f#tag": "tag",
    "。#tag": "tag",
    "#": "",
    "# tag": "",
    "##tag": "",
    "#＃tag": "",
    "a#tag": "",
    "1#tag": "",
    "_#tag": "",
    "ã#tag": "",
    "a\u0303#tag": "",
    "ी#tag": "",
    "&#tag": "",
    "&#39;": "",
    "/#tag": "",
    "😀": "",
    "#😀": "",
    "#\u200dtag": "",
    "#\u3164": "",
    # Within an address.
    "https://example.com/#tag": "",
    "https://example.com/tag#tag": "",
    "https://example.com/?q=#tag": "",
    "https://example.com/tag.#tag": "",
    "example.com/#tag": "",
    "https://example.com #tag": "tag",
    "#https://example.com/?#tag": "https",
    # How long.
    f"#{'x' * 50}": "x" * 50,
    f"#{'x' * 51}": "",
    f"#{'x' * 51} #tag": "tag",
    f"#{'ß' * 50}": "s" * 100,
    f"#{'ﬁ' * 25}": "fi" * 25,
    f"#{'ﬁ' * 26}": "",
    "#" + "a\u0303" * 50: "ã" * 50,
    "#" + "a\u0303" * 51: "",
    "#" + "α\u0313\u0300\u0345" * 50: "ἂι" * 50,
    "#" + "α\u0313\u0300\u0345" * 51: "",
    "#a" + "\u0301" * 300 + " #tag": "tag",
    "#" * 255: "",
}


@pytest.mark.parametrize(("text", "tags"), TAGS.items(), ids=lambda text: ascii(text)[:40])
def test_tags(text, tags):
    assert find_entities(text).tags == tags.split()


def test_both():
    text = "@ana, veja #são_joão https://example.com/@eva#junho com @bia e @ana #SÃO_JOÃO #festa."
    assert find_entities(text) == (["ana", "bia"], ["são_joão", "festa"])


def test_folding_a_folded_tag_changes_nothing():
    """Else the address of a tag's page could not be made from a post."""
    for text in TAGS:
        for tag in find_entities(text).tags:
            assert fold_tag(tag) == tag
            assert len(tag) <= MAX_RAW_TAG_LENGTH
    characters = map(chr, [*range(0xD800), *range(0xE000, 0x20000)])
    assert [c for c in characters if fold_tag(fold_tag(c)) != fold_tag(c)] == []


def test_what_normalizing_does():
    """What pamps/entities.py relies on, whatever version of Unicode Python has."""
    characters = [chr(n) for n in range(0x110000) if not 0xD800 <= n < 0xE000]
    signs = [c for c in characters if "#" in unicodedata.normalize("NFKC", c)]
    assert signs == ["#", "\ufe5f", "\uff03"]
    longest = max(len(unicodedata.normalize("NFD", c)) for c in characters)
    assert longest * MAX_TAG_LENGTH == MAX_RAW_TAG_LENGTH

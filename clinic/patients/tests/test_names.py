import unicodedata

import pytest

from clinic.names import (
    Name,
    fold,
    from_given_and_family,
    is_unspaced,
    spellings_of,
    split_name,
    words_of,
    write_name,
)


@pytest.mark.parametrize(
    ("whole", "parts"),
    [
        ("Luz", ("Luz", "", "", "")),
        ("Luz Peña", ("Luz", "", "Peña", "")),
        ("Luz Marina Peña", ("Luz", "Marina", "Peña", "")),
        ("Luz Marina Peña Ruiz", ("Luz", "Marina", "Peña", "Ruiz")),
        ("Aurelia de la Hoz", ("Aurelia", "", "de la Hoz", "")),
        ("Ludwig van Beethoven", ("Ludwig", "", "van Beethoven", "")),
        ("Peña Ruiz, Luz Marina", ("Luz", "Marina", "Peña", "Ruiz")),
        ("佐々木 太郎", ("太郎", "", "佐々木", "")),
        ("김 민준", ("민준", "", "김", "")),
        ("黄梓涵", ("黄梓涵", "", "", "")),
        ("De", ("De", "", "", "")),
        ("", ("", "", "", "")),
    ],
)
def test_split_name(whole, parts):
    assert split_name(whole) == Name(*parts)


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        (("Luz", "Marina", "Peña", "Ruiz"), "Luz Marina Peña Ruiz"),
        (("太郎", "", "佐々木", ""), "佐々木太郎"),
        (("민준", "", "김", ""), "김민준"),
        (("ﾏﾘｱ", "", "ｶﾞﾙｼｱ", ""), "ｶﾞﾙｼｱﾏﾘｱ"),
        (("Hana", "", "佐々木", ""), "Hana 佐々木"),
        (("", "", "Voigt", ""), "Voigt"),
    ],
)
def test_whole_name_as_people_write_it(parts, whole):
    assert Name(*parts).whole == whole


def test_from_given_and_family_keeps_particles_with_their_word():
    assert from_given_and_family("Ana María", "de la Cruz Mejía") == Name("Ana", "María", "de la Cruz", "Mejía")


@pytest.mark.parametrize(
    "spellings",
    [
        ["José Peña", "JOSE PENA", "jose\u0301 pen\u0303a", "Ｊｏｓｅ Pena"],
        ["Yıldız", "YILDIZ", "yildiz"],
        ["İbrahim", "ibrahim", "IBRAHIM"],
        ["Straße", "STRASSE", "strasse"],
        ["Łukasz", "lukasz"],
        ["Søren", "SOREN"],
        ["Đặng", "dang"],
        ["Þóra", "thora"],
        ["Παπαδόπουλος", "ΠΑΠΑΔΟΠΟΥΛΟΣ"],
        ["O'Brien", "O’Brien", "OBRIEN", "O´Brien", "o`brien"],
        ["Kaʻahumanu", "Ka'ahumanu", "Kaahumanu"],
        ["إبراهيم", "ابراهيم"],
        ["فاطمة", "فاطمه"],
        ["علی", "على", "علي"],
        ["کریم", "كريم"],
        ["علی\u200cرضا", "علیرضا"],
        ["מֹשֶׁה", "משה"],
        ["ガルシア", "ｶﾞﾙｼｱ"],
        ["Ёлкин", "елкин"],
        ["\u200fלוי\u200e", "לוי"],
    ],
)
def test_words_of_are_the_same_for_spellings_of_one_name(spellings):
    assert len({tuple(words_of(text)) for text in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("Ana", "Anna"), ("김", "강"), ("黄", "孫"), ("علي", "عمر"), ("Ира", "Юра"), ("Jose", "Joseph")]
)
def test_words_of_differ_for_different_names(one, other):
    assert words_of(one) != words_of(other)


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("O'Brien", {"obrien", "o", "brien"}),
        ("García-Márquez", {"garcia", "marquez", "garciamarquez"}),
        ("Al-Sayed", {"al", "sayed", "alsayed"}),
        ("Peña", {"pena"}),
    ],
)
def test_spellings_of(name, spellings):
    assert spellings_of(name) == spellings


@pytest.mark.parametrize("text", ["Ñandú", "ﬁ", "각", "がぎ", "น้ำ", "कृष्णा", "ỆẾ", "ıİ"])
def test_fold_is_the_same_for_composed_and_decomposed_text_and_folding_twice(text):
    assert fold(unicodedata.normalize("NFD", text)) == fold(text) == fold(fold(text))


@pytest.mark.parametrize(
    ("text", "unspaced"),
    [("黄梓涵", True), ("佐々木", True), ("김 민준", True), ("Mai", False), ("กมล", False), ("", False)],
)
def test_is_unspaced(text, unspaced):
    assert is_unspaced(text) == unspaced


@pytest.mark.parametrize(
    ("parts", "written"),
    [
        (("de la Hoz Restrepo", "Aurelia", "Dr"), "DE LA HOZ RESTREPO, Aurelia (Dr)"),
        (("Ñuñez", "", ""), "ÑUÑEZ"),
        (("", "Aurelia", ""), "Aurelia"),
        (("", "", "Dr"), ""),
        (("Weiß", "Jörg", ""), "WEIẞ, Jörg"),
        (("მიქელაძე", "მარიამი", ""), "მიქელაძე, მარიამი"),
        (("الخوارزمي", "محمد", ""), "الخوارزمي, محمد"),
        (("欧阳", "静怡", ""), "欧阳, 静怡"),
        (("김", "민준", ""), "김, 민준"),
        (("ศรีสุวรรณ", "ณัฐธิดา", ""), "ศรีสุวรรณ, ณัฐธิดา"),
        (("Иванов", "Пётр", ""), "ИВАНОВ, Пётр"),
        (("N\N{COMBINING TILDE}u", "A", ""), "N\N{COMBINING TILDE}U, A"),
    ],
)
def test_write_name_capitalises_only_scripts_that_have_capitals(parts, written):
    assert write_name(*parts) == written

"""Captions in six languages against sentences written by hand, and descriptions."""

from dataclasses import replace

import pytest

from processing.scenes.content import PATTERNS, Scene
from processing.scenes.grammar import LANGUAGES, caption, description, write

DOG_AND_BOAT = Scene("dog", "red", "left", "big", "boat", "green", "right", "beach", "left", 2)
HOUSE_AND_CAT = Scene("house", "white", "middle", "small", "cat", "black", "left", "night", "right", 1)
BIRD_AND_CAR = Scene("bird", "blue", "right", "small", "car", "brown", "middle", "meadow", "left", 0)
FLOWER_AND_TREE = Scene("flower", "purple", "left", "big", "tree", "yellow", "right", "snow", "right", 3)

# In the order of PATTERNS.
DOG_AND_BOAT_CAPTIONS = {
    "en": [
        "A red dog is to the left of a green boat.",
        "Red dog and green boat on the beach.",
        "On the left of the picture you can see a big red dog on the beach.",
        "A big red dog in front of a boat on the beach.",
        "The picture shows a red dog on the left and a green boat on the right.",
        "Behind a big red dog there is a green boat.",
        "On the beach, a big red dog can be seen on the left of the picture.",
        "The red dog is on the left of the picture, and a boat is on the right.",
    ],
    "de": [
        "Ein roter Hund ist links neben einem grünen Boot.",
        "Roter Hund und grünes Boot am Strand.",
        "Links im Bild sieht man einen großen roten Hund am Strand.",
        "Ein großer roter Hund vor einem Boot am Strand.",
        "Das Bild zeigt links einen roten Hund und rechts ein grünes Boot.",
        "Hinter einem großen roten Hund ist ein grünes Boot.",
        "Am Strand ist links im Bild ein großer roter Hund zu sehen.",
        "Der rote Hund ist links im Bild, und rechts ist ein Boot.",
    ],
    "fr": [
        "Un chien rouge se trouve à gauche d'un bateau vert.",
        "Chien rouge et bateau vert sur la plage.",
        "À gauche de l'image, on voit un grand chien rouge sur la plage.",
        "Un grand chien rouge devant un bateau sur la plage.",
        "L'image montre un chien rouge à gauche et un bateau vert à droite.",
        "Derrière un grand chien rouge, il y a un bateau vert.",
        "Sur la plage, on aperçoit un grand chien rouge à gauche de l'image.",
        "Le chien rouge est à gauche de l'image, et il y a un bateau à droite.",
    ],
    "cs": [
        "Červený pes je vlevo od zelené lodi.",
        "Červený pes a zelená loď na pláži.",
        "Vlevo na obrázku vidíme velkého červeného psa na pláži.",
        "Velký červený pes před lodí na pláži.",
        "Obrázek ukazuje vlevo červeného psa a vpravo zelenou loď.",
        "Za velkým červeným psem je zelená loď.",
        "Na pláži je vlevo na obrázku velký červený pes.",
        "Červený pes je vlevo na obrázku a vpravo je loď.",
    ],
    "zh": [
        "一只红色的狗在一艘绿色的船的左边。",
        "沙滩上的一只红色的狗和一艘绿色的船。",
        "画面左边可以看到沙滩上的一只红色的大狗。",
        "沙滩上，一只红色的大狗在一艘船前面。",
        "图片左边是一只红色的狗，右边是一艘绿色的船。",
        "一只红色的大狗后面有一艘绿色的船。",
        "沙滩上，画面左边有一只红色的大狗。",
        "这只红色的狗在画面左边，右边有一艘船。",
    ],
    "ja": [
        "赤い犬が緑の船の左にいます。",
        "砂浜の赤い犬と緑の船。",
        "画面の左に、砂浜の大きな赤い犬が見えます。",
        "場面は砂浜で、船の前に大きな赤い犬がいます。",
        "絵の左には赤い犬、右には緑の船が見えます。",
        "大きな赤い犬の後ろに緑の船があります。",
        "場面は砂浜で、画面の左に大きな赤い犬がいます。",
        "その赤い犬は画面の左にいて、右には船があります。",
    ],
}
HOUSE_AND_CAT_CAPTIONS = {
    "en": [
        "A white house is to the right of a black cat.",
        "White house and black cat at night.",
        "In the middle of the picture you can see a small white house at night.",
        "A small white house in front of a cat at night.",
        "The picture shows a white house in the middle and a black cat on the left.",
        "Behind a small white house there is a black cat.",
        "At night, a small white house can be seen in the middle of the picture.",
        "The white house is in the middle of the picture, and a cat is on the left.",
    ],
    "de": [
        "Ein weißes Haus ist rechts neben einer schwarzen Katze.",
        "Weißes Haus und schwarze Katze bei Nacht.",
        "In der Bildmitte sieht man ein kleines weißes Haus bei Nacht.",
        "Ein kleines weißes Haus vor einer Katze bei Nacht.",
        "Das Bild zeigt in der Mitte ein weißes Haus und links eine schwarze Katze.",
        "Hinter einem kleinen weißen Haus ist eine schwarze Katze.",
        "Bei Nacht ist in der Bildmitte ein kleines weißes Haus zu sehen.",
        "Das weiße Haus ist in der Bildmitte, und links ist eine Katze.",
    ],
    "fr": [
        "Une maison blanche se trouve à droite d'un chat noir.",
        "Maison blanche et chat noir dans la nuit.",
        "Au milieu de l'image, on voit une petite maison blanche dans la nuit.",
        "Une petite maison blanche devant un chat dans la nuit.",
        "L'image montre une maison blanche au milieu et un chat noir à gauche.",
        "Derrière une petite maison blanche, il y a un chat noir.",
        "Dans la nuit, on aperçoit une petite maison blanche au milieu de l'image.",
        "La maison blanche est au milieu de l'image, et il y a un chat à gauche.",
    ],
    "cs": [
        "Bílý dům je vpravo od černé kočky.",
        "Bílý dům a černá kočka v noci.",
        "Uprostřed obrázku vidíme malý bílý dům v noci.",
        "Malý bílý dům před kočkou v noci.",
        "Obrázek ukazuje uprostřed bílý dům a vlevo černou kočku.",
        "Za malým bílým domem je černá kočka.",
        "V noci je uprostřed obrázku malý bílý dům.",
        "Bílý dům je uprostřed obrázku a vlevo je kočka.",
    ],
    "zh": [
        "一座白色的房子在一只黑色的猫的右边。",
        "夜色中的一座白色的房子和一只黑色的猫。",
        "画面中间可以看到夜色中的一座白色的小房子。",
        "夜色中，一座白色的小房子在一只猫前面。",
        "图片中间是一座白色的房子，左边是一只黑色的猫。",
        "一座白色的小房子后面有一只黑色的猫。",
        "夜色中，画面中间有一座白色的小房子。",
        "这座白色的房子在画面中间，左边有一只猫。",
    ],
    "ja": [
        "白い家が黒い猫の右にあります。",
        "夜の白い家と黒い猫。",
        "画面の中央に、夜の小さな白い家が見えます。",
        "場面は夜で、猫の前に小さな白い家があります。",
        "絵の中央には白い家、左には黒い猫が見えます。",
        "小さな白い家の後ろに黒い猫がいます。",
        "場面は夜で、画面の中央に小さな白い家があります。",
        "その白い家は画面の中央にあって、左には猫がいます。",
    ],
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("scene", "expected"), [(DOG_AND_BOAT, DOG_AND_BOAT_CAPTIONS), (HOUSE_AND_CAT, HOUSE_AND_CAT_CAPTIONS)]
)
def test_every_pattern_as_written_by_hand(scene, expected, language):
    assert [write(scene, language, pattern) for pattern in PATTERNS] == expected[language]


@pytest.mark.parametrize(
    ("scene", "language", "pattern", "expected"),
    [
        (FLOWER_AND_TREE, "de", "view", "Links im Bild sieht man eine große violette Blume im Schnee."),
        (FLOWER_AND_TREE, "de", "both_sides", "Das Bild zeigt links eine violette Blume und rechts einen gelben Baum."),
        (FLOWER_AND_TREE, "de", "behind", "Hinter einer großen violetten Blume ist ein gelber Baum."),
        (FLOWER_AND_TREE, "de", "definite", "Die violette Blume ist links im Bild, und rechts ist ein Baum."),
        (FLOWER_AND_TREE, "de", "headline", "Violette Blume und gelber Baum im Schnee."),
        (BIRD_AND_CAR, "de", "relation", "Ein blauer Vogel ist rechts neben einem braunen Auto."),
        (BIRD_AND_CAR, "fr", "definite", "L'oiseau bleu est à droite de l'image, et il y a une voiture au milieu."),
        (BIRD_AND_CAR, "fr", "relation", "Un oiseau bleu se trouve à droite d'une voiture marron."),
        (FLOWER_AND_TREE, "fr", "in_front", "Une grande fleur violette devant un arbre dans la neige."),
        (BIRD_AND_CAR, "cs", "view", "Vpravo na obrázku vidíme malého modrého ptáka na louce."),
        (BIRD_AND_CAR, "cs", "relation", "Modrý pták je vpravo od hnědého auta."),
        (BIRD_AND_CAR, "cs", "headline", "Modrý pták a hnědé auto na louce."),
        (BIRD_AND_CAR, "cs", "in_front", "Malý modrý pták před autem na louce."),
        (FLOWER_AND_TREE, "cs", "behind", "Za velkou fialovou květinou je žlutý strom."),
        (FLOWER_AND_TREE, "cs", "relation", "Fialová květina je vlevo od žlutého stromu."),
        (FLOWER_AND_TREE, "zh", "headline", "雪地里的一朵紫色的花和一棵黄色的树。"),
        (BIRD_AND_CAR, "zh", "in_front", "草地上，一只蓝色的小鸟在一辆汽车前面。"),
        (BIRD_AND_CAR, "ja", "definite", "その青い鳥は画面の右にいて、中央には車があります。"),
    ],
)
def test_further_genders_cases_and_measure_words(scene, language, pattern, expected):
    assert write(scene, language, pattern) == expected


def test_captions_of_one_number_have_one_pattern_in_every_language():
    for number in range(5):
        position = DOG_AND_BOAT_CAPTIONS["en"].index(caption(DOG_AND_BOAT, "en", number))
        for language in LANGUAGES:
            assert caption(DOG_AND_BOAT, language, number) == DOG_AND_BOAT_CAPTIONS[language][position]


def test_a_wrong_form_breaks_agreement():
    assert write(DOG_AND_BOAT, "de", "view", True) == "Links im Bild sieht man eine große rote Hund am Strand."
    assert write(HOUSE_AND_CAT, "fr", "spot", True).startswith("Dans la nuit, on aperçoit un petit maison blanc ")
    assert write(HOUSE_AND_CAT, "cs", "behind", True) == "Za malou bílou domem je černá kočka."
    assert write(HOUSE_AND_CAT, "zh", "behind", True) == "一个白色的小房子后面有一只黑色的猫。"
    assert write(HOUSE_AND_CAT, "ja", "headline", True) == "夜の白な家と黒い猫。"


def test_a_language_without_captions_is_refused():
    with pytest.raises(ValueError, match="no captions in 'it'; choose one of"):
        caption(DOG_AND_BOAT, "it", 0)


def test_the_description_tells_every_attribute():
    told = description(HOUSE_AND_CAT)
    for words in ("small white house", "black cat", "in the middle", "on the left", "to the right of", "at night"):
        assert words in told
    assert told.endswith("The moon is in the top right corner, and there is one cloud in the sky.")
    assert "The sun is in the top left corner, and there are two clouds in the sky." in description(DOG_AND_BOAT)
    assert "there are no clouds in the sky." in description(BIRD_AND_CAR)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "cat"},
        {"colour": "blue"},
        {"place": "middle"},
        {"size": "small"},
        {"second_kind": "car"},
        {"second_colour": "black"},
        {"second_place": "middle"},
        {"background": "desert"},
        {"light_side": "right"},
        {"clouds": 0},
    ],
)
def test_no_two_scenes_have_one_description(change):
    assert description(replace(DOG_AND_BOAT, **change)) != description(DOG_AND_BOAT)

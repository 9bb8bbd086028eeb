"""The words of the scene captions in six languages, with the forms that the grammar in `scenes_grammar` needs."""

EN_BACKGROUND = {
    "beach": "on the beach",
    "snow": "in the snow",
    "forest": "in the forest",
    "meadow": "in a meadow",
    "desert": "in the desert",
    "night": "at night",
}
EN_SCENERY = {
    "beach": "Behind the sand lies the blue sea.",
    "snow": "The ground is white, and there is a mountain with a white top.",
    "forest": "Dark green fir trees stand close together.",
    "meadow": "The grass is light green and full of tiny flowers.",
    "desert": "There are sand dunes and a cactus.",
    "night": "The sky is dark and full of stars.",
}
EN_PLACE = {"left": "on the left", "middle": "in the middle", "right": "on the right"}

DE_NOUN = {
    "dog": ("Hund", "m"),
    "cat": ("Katze", "f"),
    "bird": ("Vogel", "m"),
    "fish": ("Fisch", "m"),
    "car": ("Auto", "n"),
    "boat": ("Boot", "n"),
    "house": ("Haus", "n"),
    "tree": ("Baum", "m"),
    "ball": ("Ball", "m"),
    "flower": ("Blume", "f"),
}
DE_ADJECTIVE = {
    "red": "rot",
    "blue": "blau",
    "green": "grün",
    "yellow": "gelb",
    "white": "weiß",
    "black": "schwarz",
    "brown": "braun",
    "purple": "violett",
    "big": "groß",
    "small": "klein",
}
DE_BACKGROUND = {
    "beach": "am Strand",
    "snow": "im Schnee",
    "forest": "im Wald",
    "meadow": "auf einer Wiese",
    "desert": "in der Wüste",
    "night": "bei Nacht",
}
DE_PLACE = {"left": "links", "middle": "in der Mitte", "right": "rechts"}
DE_PLACE_IN_PICTURE = {"left": "links im Bild", "middle": "in der Bildmitte", "right": "rechts im Bild"}
# Article and adjective ending by kind of article and case, then by gender.
DE_FORMS = {
    ("ein", "nominative"): {"m": ("ein ", "er"), "f": ("eine ", "e"), "n": ("ein ", "es")},
    ("ein", "accusative"): {"m": ("einen ", "en"), "f": ("eine ", "e"), "n": ("ein ", "es")},
    ("ein", "dative"): {"m": ("einem ", "en"), "f": ("einer ", "en"), "n": ("einem ", "en")},
    ("der", "nominative"): {"m": ("der ", "e"), "f": ("die ", "e"), "n": ("das ", "e")},
    ("", "nominative"): {"m": ("", "er"), "f": ("", "e"), "n": ("", "es")},
}

FR_NOUN = {
    "dog": ("chien", "m"),
    "cat": ("chat", "m"),
    "bird": ("oiseau", "m"),
    "fish": ("poisson", "m"),
    "car": ("voiture", "f"),
    "boat": ("bateau", "m"),
    "house": ("maison", "f"),
    "tree": ("arbre", "m"),
    "ball": ("ballon", "m"),
    "flower": ("fleur", "f"),
}
FR_ADJECTIVE = {
    "red": {"m": "rouge", "f": "rouge"},
    "blue": {"m": "bleu", "f": "bleue"},
    "green": {"m": "vert", "f": "verte"},
    "yellow": {"m": "jaune", "f": "jaune"},
    "white": {"m": "blanc", "f": "blanche"},
    "black": {"m": "noir", "f": "noire"},
    "brown": {"m": "marron", "f": "marron"},
    "purple": {"m": "violet", "f": "violette"},
    "big": {"m": "grand", "f": "grande"},
    "small": {"m": "petit", "f": "petite"},
}
FR_BACKGROUND = {
    "beach": "sur la plage",
    "snow": "dans la neige",
    "forest": "dans la forêt",
    "meadow": "dans un pré",
    "desert": "dans le désert",
    "night": "dans la nuit",
}
FR_PLACE = {"left": "à gauche", "middle": "au milieu", "right": "à droite"}

# Nominative, genitive, accusative, instrumental; "a" is masculine animate, "m" masculine inanimate.
CS_NOUN = {
    "dog": (("pes", "psa", "psa", "psem"), "a"),
    "cat": (("kočka", "kočky", "kočku", "kočkou"), "f"),
    "bird": (("pták", "ptáka", "ptáka", "ptákem"), "a"),
    "fish": (("ryba", "ryby", "rybu", "rybou"), "f"),
    "car": (("auto", "auta", "auto", "autem"), "n"),
    "boat": (("loď", "lodi", "loď", "lodí"), "f"),
    "house": (("dům", "domu", "dům", "domem"), "m"),
    "tree": (("strom", "stromu", "strom", "stromem"), "m"),
    "ball": (("míč", "míče", "míč", "míčem"), "m"),
    "flower": (("květina", "květiny", "květinu", "květinou"), "f"),
}
CS_CASES = ("nominative", "genitive", "accusative", "instrumental")
CS_ENDING = {
    "a": ("ý", "ého", "ého", "ým"),
    "m": ("ý", "ého", "ý", "ým"),
    "f": ("á", "é", "ou", "ou"),
    "n": ("é", "ého", "é", "ým"),
}
CS_ADJECTIVE = {
    "red": "červen",
    "blue": "modr",
    "green": "zelen",
    "yellow": "žlut",
    "white": "bíl",
    "black": "čern",
    "brown": "hněd",
    "purple": "fialov",
    "big": "velk",
    "small": "mal",
}
CS_BACKGROUND = {
    "beach": "na pláži",
    "snow": "ve sněhu",
    "forest": "v lese",
    "meadow": "na louce",
    "desert": "v poušti",
    "night": "v noci",
}
CS_PLACE = {"left": "vlevo", "middle": "uprostřed", "right": "vpravo"}
CS_PLACE_IN_PICTURE = {"left": "vlevo na obrázku", "middle": "uprostřed obrázku", "right": "vpravo na obrázku"}

ZH_NOUN = {
    "dog": ("狗", "只"),
    "cat": ("猫", "只"),
    "bird": ("鸟", "只"),
    "fish": ("鱼", "条"),
    "car": ("汽车", "辆"),
    "boat": ("船", "艘"),
    "house": ("房子", "座"),
    "tree": ("树", "棵"),
    "ball": ("球", "个"),
    "flower": ("花", "朵"),
}
ZH_COLOUR = {
    "red": "红色",
    "blue": "蓝色",
    "green": "绿色",
    "yellow": "黄色",
    "white": "白色",
    "black": "黑色",
    "brown": "棕色",
    "purple": "紫色",
}
ZH_SIZE = {"": "", "big": "大", "small": "小"}
ZH_BACKGROUND = {
    "beach": "沙滩上",
    "snow": "雪地里",
    "forest": "森林里",
    "meadow": "草地上",
    "desert": "沙漠里",
    "night": "夜色中",
}
ZH_PLACE = {"left": "左边", "middle": "中间", "right": "右边"}

JA_NOUN = {
    "dog": "犬",
    "cat": "猫",
    "bird": "鳥",
    "fish": "魚",
    "car": "車",
    "boat": "船",
    "house": "家",
    "tree": "木",
    "ball": "ボール",
    "flower": "花",
}
JA_ANIMATE = ("dog", "cat", "bird", "fish")
JA_COLOUR = {
    "red": "赤い",
    "blue": "青い",
    "green": "緑の",
    "yellow": "黄色い",
    "white": "白い",
    "black": "黒い",
    "brown": "茶色い",
    "purple": "紫の",
}
JA_SIZE = {"": "", "big": "大きな", "small": "小さな"}
JA_BACKGROUND = {
    "beach": "砂浜",
    "snow": "雪の中",
    "forest": "森の中",
    "meadow": "草原",
    "desert": "砂漠",
    "night": "夜",
}
JA_PLACE = {"left": "左", "middle": "中央", "right": "右"}

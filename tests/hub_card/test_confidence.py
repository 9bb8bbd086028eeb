from hub_card.confidence import confidence_section
from hub_card.model_card import ModelFacts, model_card
from tests.hub_card.test_model_card import CONFIG

CURVE = {"slope": 20.0, "intercept": -5.0, "queries": 1500}
CALIBRATION = {
    "overall": {"slope": 0.0, "intercept": -5.0, "queries": 3000},
    "languages": {"de": CURVE, "zh": CURVE},
    "pictures": 1000,
    "description_weight": None,
}


def test_it_has_the_curve_of_each_language() -> None:
    section = confidence_section(CALIBRATION)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("|")]
    assert rows[0] == ["queries in", "slope", "intercept", "score of an even chance", "captions"]
    assert rows[2] == ["German", "20.00", "-5.00", "0.250", "1,500"]
    # A constant has no such score.
    assert rows[-1] == ["all together", "0.00", "-5.00", "none", "3,000"]
    assert "among 1,000 pictures" in section and "weight" not in section
    assert "had the weight 0.2" in confidence_section({**CALIBRATION, "description_weight": 0.2})
    assert "had a description" not in confidence_section(CALIBRATION)
    assert "Of these pictures 80% had a description" in confidence_section({**CALIBRATION, "described": 0.8})


def test_only_the_card_of_a_calibrated_model_has_it() -> None:
    assert confidence_section(CALIBRATION) in model_card(ModelFacts("org/x", CONFIG, calibration=CALIBRATION))
    assert "## Confidence" not in model_card(ModelFacts("org/x", CONFIG))

from __future__ import annotations

from typing import Any

import pytest

from segma.errors import InputError
from segma.training.catalog import RECIPES, recipe
from segma.training.config import TrainConfig
from segma.training.settings import changed


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("steps=2000", "steps", 2000),
        ("optim.lr=3e-4", "optim.lr", 3e-4),
        ("optim.lr = 1", "optim.lr", 1.0),
        ("crop.mosaic=0", "crop.mosaic", 0.0),
        ("clips.train_encoder=true", "clips.train_encoder", True),
        ("clips.strides=2,4", "clips.strides", (2, 4)),
        ("frozen=image_encoder.,memory_", "frozen", ("image_encoder.", "memory_")),
        ("frozen=", "frozen", ()),
        ("start=a=b.pt", "start", "a=b.pt"),
    ],
)
def test_a_setting_is_a_value_of_its_field(setting: str, path: str, value: object) -> None:
    found: Any = changed(TrainConfig(name="mine"), [setting])
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)


def test_later_settings_win_and_others_stay() -> None:
    before = TrainConfig(name="mine")
    after = changed(before, ["optim.lr=1", "optim.clip=2", "optim.lr=3"])
    assert (after.optim.lr, after.optim.clip, after.optim.ema) == (3.0, 2.0, before.optim.ema)
    assert after.crop == before.crop


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("steps", "sets nothing"),
        ("steps=many", "a whole number"),
        ("steps=1.5", "a whole number"),
        ("optim.lr=nan", "a number"),
        ("optim.lr=inf", "a number"),
        ("clips.train_encoder=maybe", "true or false"),
        ("clips.strides=2", "2 numbers with commas"),
        ("stepz=1", "Nearest: steps."),
        ("optim.lrr=1", "Nearest: optim.lr."),
        ("mosaic=1", "Nearest: crop.mosaic."),
        ("optim=1", "optim.lr"),
        ("steps.more=1", '"steps" has no parts'),
        ("=1", "no setting"),
    ],
)
def test_what_makes_no_sense_is_told(setting: str, said: str) -> None:
    with pytest.raises(InputError, match=r".*") as error:
        changed(TrainConfig(name="mine"), [setting])
    assert error.value.code == "input.value"
    assert said in str(error.value)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_a_config_of_its_name(name: str) -> None:
    assert recipe(name).name == name


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(InputError, match="Nearest: sam2_conv_images"):
        recipe("sam2_conv_image")

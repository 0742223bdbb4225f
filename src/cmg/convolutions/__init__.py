"""3x3 convolutions on small feature maps, in the forms that are fast where they run."""

from cmg.convolutions.forms import TOOM_COOK_FROM, Form, Library, form_for
from cmg.convolutions.taps import Taps
from cmg.convolutions.toom_cook import ToomCook

__all__ = ["TOOM_COOK_FROM", "Form", "Library", "Taps", "ToomCook", "form_for"]

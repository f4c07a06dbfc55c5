"""What the tests of whole boards share."""

from __future__ import annotations

import pytest

from deploy.image import build
from tests.support.processes import ROOT
from tests.vm.image.cards import Made, make_card


@pytest.fixture(scope="session")
def made() -> Made:
    """The card's image with the package that `make deb ARCH=armhf` left in dist/."""
    return make_card(build.find_deb(ROOT / "dist", "bookworm"))

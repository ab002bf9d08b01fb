"""On how many examples a property is tried: one choice for all of them.

fast      a tenth of what each test asks for     make check
default   what each test asks for                make test, and plain pytest
thorough  ten times that                         make soak

HYPOTHESIS_PROFILE names one. Owns: the profiles, and the number of examples in each. Must not know: any test.
"""

import os
from collections.abc import Mapping
from typing import Final

from hypothesis import settings

VARIABLE: Final = "HYPOTHESIS_PROFILE"
EXAMPLES: Final = {"fast": 10, "default": 100, "thorough": 1000}
"""Of a test that asks for no number of its own: in `default` as many as Hypothesis itself takes."""


class UnknownProfile(ValueError):
    """The environment asks for a profile that there is not."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{VARIABLE}={name} names no profile: there are {', '.join(EXAMPLES)}")
        self.name = name


def load_profile(environment: Mapping[str, str] = os.environ) -> None:
    """Must come before any test is imported: a test's numbers are worked out there.

    All else stays as Hypothesis has it, in CI too, where it draws the same examples in every run.
    """
    name = environment.get(VARIABLE) or "default"
    if name not in EXAMPLES:
        raise UnknownProfile(name)
    before = settings()
    for each, examples in EXAMPLES.items():
        settings.register_profile(each, parent=before, max_examples=examples, deadline=None)
    settings.load_profile(name)


def examples(by_default: int) -> int:
    """For `@settings(max_examples=...)`: so many in the profile `default`, in the others in proportion."""
    return max(1, by_default * settings().max_examples // EXAMPLES["default"])

"""What storepulse is called among Python's packages, and which version of it runs.

Owns: the distribution's name, which is not the command's: `storepulse` is the package of somebody else. Must not
know: who shows the version.
"""

from importlib.metadata import version
from typing import Final

DISTRIBUTION: Final = "storepulse-uptime"


def running_version() -> str:
    """The version in the metadata of the installed package.

    Raises importlib.metadata.PackageNotFoundError where the source runs and nothing is installed.
    """
    return version(DISTRIBUTION)

"""The version of this distribution, as its metadata tell it."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("poe2gpt")
except PackageNotFoundError:  # run from a checkout that was never installed
    VERSION = "0"

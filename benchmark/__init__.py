"""credbench compares credit-assignment algorithms; the names in contract.py can be had from here.

They are imported when the first is asked for, so that the command starts before anything loads.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from credbench.contract import *  # noqa: F403

__version__ = "0.1.0"

if not TYPE_CHECKING:

    def __getattr__(name):  # noqa: ANN001, ANN202
        """Return what a plugin needs by its name."""
        from importlib import import_module

        return getattr(import_module("credbench.contract"), name)

    def __dir__():  # noqa: ANN202
        """Return the names there are, those of the contract with them."""
        from importlib import import_module

        return sorted({*globals(), *vars(import_module("credbench.contract"))})

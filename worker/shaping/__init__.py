"""Gives an answer the form that the client asked for, where the upstream does not.

`instructed` tells the model, `Shaping` reads its answer, and `correction` asks again after a
Mismatch. Pure: events in, events out.
"""

from worker.shaping.instructions import correction, instructed
from worker.shaping.mismatch import Mismatch
from worker.shaping.pipeline import Shaping
from worker.shaping.reasoning import without_thoughts

__all__ = ["Mismatch", "Shaping", "correction", "instructed", "without_thoughts"]

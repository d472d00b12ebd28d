"""Lightning callbacks of a PersonLab run."""

from personlab.training.callbacks.averaging import PolyakAveraging
from personlab.training.callbacks.contact_sheet import ContactSheet
from personlab.training.callbacks.evaluation import CocoEvaluation
from personlab.training.callbacks.finite import FiniteSteps, NotFinite
from personlab.training.callbacks.kept import KeptCheckpoints
from personlab.training.callbacks.progress import PlainProgress, SampleCounter
from personlab.training.callbacks.random_state import RandomStates
from personlab.training.callbacks.recovery import Preempted, Recovery

__all__ = [
    "CocoEvaluation", "ContactSheet", "FiniteSteps", "KeptCheckpoints", "NotFinite", "PlainProgress",
    "PolyakAveraging", "Preempted", "RandomStates", "Recovery", "SampleCounter",
]  # fmt: skip

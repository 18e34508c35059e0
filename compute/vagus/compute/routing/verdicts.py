"""What follows from a canary's answer, and from none: the score, quarantine, and the end of it."""

import structlog

from vagus.compute.base import Barred
from vagus.compute.routing.judged import SILENT, Judged, Question
from vagus.compute.routing.router import Router
from vagus.compute.routing.sequential import Check
from vagus.protocol import Refuse, Retry

__all__ = ["Verdicts"]


class Verdicts:
    """Tells the router whom to leave alone. trusted: the name of who is believed."""

    def __init__(self, router: Router, trusted: str) -> None:
        self._router = router
        self._trusted = trusted
        self._log = structlog.get_logger("vagus.canaries")

    def heed(self, judged: Judged) -> None:
        """Judge anew whom an operator has let in."""
        if judged.quarantined and not self._router.measurements.of(*judged.key).trust.reason:
            judged.let_in()

    def checked(self, judged: Judged, passed: bool, by: Check) -> None:
        """Count a check."""
        alarm = judged.test.note(passed, by)
        self._router.verified(*judged.key, passed)
        name, model = judged.backend.name, judged.model.name
        if not passed:
            suspicion = round(judged.test.suspicion, 2)
            self._log.info("canary failed", backend=name, model=model, suspicion=suspicion)
        if alarm and not judged.quarantined:
            self._shut_out(judged, f"its answers are not those of {model} at {self._trusted}")
        elif judged.pardoned:
            passes = judged.test.passed_in_a_row
            self._log.info("released", backend=name, model=model, passed=passes)
            judged.let_in()
            self._router.release(*judged.key)

    def unanswered(
        self, judged: Judged, asked: Question, error: Retry | Refuse, *, used: bool
    ) -> None:
        """Count a question that was not answered; used: whether others were, since the one before.

        One that was made is asked again, unless it was refused, and rows of them shut a backend out: else
        it could be silent whenever it sees that it is checked. One of the traffic proves nothing: nobody
        sees that of it, and a stranger may have chosen what can't be answered. Nor does one who answers
        nobody: who is down is the router's affair.
        """
        self._log.debug("canary unanswered", backend=judged.backend.name, reason=error.reason)
        if judged.quarantined:
            # Whatever it is sent is a check: it must not choose those that it can pass.
            judged.test.passed_in_a_row = 0
        if asked.copied:
            return
        refused = isinstance(error, Refuse) and not isinstance(error, Barred)
        judged.unanswered = None if refused else asked
        judged.silent += used
        if judged.silent >= SILENT and not judged.quarantined:
            self._shut_out(judged, f"it answers others, but not {SILENT} canaries in a row")

    def _shut_out(self, judged: Judged, reason: str) -> None:
        judged.shut_out()
        self._router.quarantine(*judged.key, reason)

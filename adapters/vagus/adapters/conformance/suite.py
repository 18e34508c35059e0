"""All of the kit in one class."""

from vagus.adapters.conformance.agreement import AgreementTests
from vagus.adapters.conformance.calls import CallTests
from vagus.adapters.conformance.faulty import FaultTests
from vagus.adapters.conformance.heads import HeadTests
from vagus.adapters.conformance.reading import ReadingTests
from vagus.adapters.conformance.reorgs import ReorgTests
from vagus.adapters.conformance.sending import SendingTests

__all__ = ["AdapterConformance"]


class AdapterConformance(
    HeadTests,
    ReadingTests,
    CallTests,
    SendingTests,
    FaultTests,
    AgreementTests,
    ReorgTests,
):
    """Subclass it in a test module and give the fixture `harness`, entered, of the module's scope.

    `lacks` names what the chain can't, each with the reason, which the run prints.
    """
